// The page of a region: it puts the parts together. The socket fills the model at once; the screen is drawn four times a second.

import { ServerClock } from "./clock.js";
import { byId, show } from "./dom.js";
import { diagnose, standsStill, warningsUnsure } from "./health.js";
import { Live } from "./live.js";
import { Model } from "./model.js";
import { regionsBelow } from "./regions.js";
import { Banners, ChangesView, Pulse, speakNews, Strip, title, Whereabouts } from "./screen.js";
import { ValuesView } from "./values.js";
import { WarningsView } from "./warnings.js";
import { language, named, speak, t, translate } from "./words.js";

const DRAW_MS = 250;
const NEWS_KEPT = 500; // between two draws; a hidden window draws rarely, and the newest are what is spoken

/** A browser's storage that may be forbidden: then nothing is kept. */
class Store {
  #storage;

  constructor(kind) {
    try {
      this.#storage = window[kind];
    } catch {
      this.#storage = null;
    }
  }

  get(key) {
    return this.#storage?.getItem(`tongguan.${key}`) ?? "";
  }

  set(key, value) {
    try {
      if (value) this.#storage?.setItem(`tongguan.${key}`, value);
      else this.#storage?.removeItem(`tongguan.${key}`);
    } catch (error) {
      console.warn("not kept", key, error); // full or forbidden: the page works without
    }
  }
}

/** The views of one region; made anew for another. */
class Views {
  constructor() {
    this.warnings = new WarningsView();
    this.values = new ValuesView();
    this.changes = new ChangesView();
  }

  clear() {
    this.values.clear();
    for (const id of ["open", "cleared", "changes"]) byId(id).replaceChildren();
  }
}

/** The page. One region is watched (`live`, `model`); another may be `pending` until its snapshot comes, so a refusal costs nothing. */
class Page {
  #session = new Store("sessionStorage");
  #local = new Store("localStorage");
  #token = "";
  #clock = new ServerClock();
  #model = new Model();
  #live = null;
  #pending = null;
  #pendingName = "";
  #notice = null;
  #news = [];
  #views = new Views();
  #whereabouts = new Whereabouts();
  #banners = new Banners({ retry: () => this.#live?.connect() });
  #strip = new Strip();
  #pulse = new Pulse();
  #tickedSecond = NaN;
  #ours = false;
  #drawAll = true;
  #refilter = false;

  /** Take over the document. */
  start() {
    this.#listen();
    this.#takeFragment();
    this.#token = this.#session.get("token");
    const region = this.#session.get("region");
    this.#dress();
    if (this.#token && region) this.#open(region, { push: false });
    else this.#ask("");
    setInterval(() => this.#beat(), DRAW_MS);
  }

  #listen() {
    byId("ask").addEventListener("submit", (event) => this.#submitted(event));
    byId("leave").addEventListener("click", () => this.#leave());
    byId("language").addEventListener("click", () => this.#setLanguage(language() === "zh" ? "en" : "zh"));
    byId("theme").addEventListener("click", () => this.#setTheme(this.#otherTheme()));
    document.addEventListener("click", (event) => this.#clicked(event));
    for (const [id, kind] of [["find", "input"], ["show", "change"]]) byId(id).addEventListener(kind, () => (this.#refilter = true));
    window.addEventListener("hashchange", () => this.#hashChanged());
    window.addEventListener("popstate", (event) => this.#wentBack(event.state?.region));
    window.addEventListener("online", () => this.#retryIfWaiting());
    document.addEventListener("visibilitychange", () => this.#beat());
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.#dress());
  }

  // The token and region of the fragment are kept for this tab and taken out of the address bar, so that no one copies or reads them there.
  #takeFragment() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const [token, region] = [asked.get("token"), asked.get("region")];
    if (token === null && region === null) return false;
    if (token !== null) this.#session.set("token", token);
    if (region !== null) this.#session.set("region", region);
    history.replaceState({ region: this.#session.get("region") }, "", location.pathname + location.search);
    return true;
  }

  #hashChanged() {
    if (!this.#takeFragment()) return;
    this.#token = this.#session.get("token");
    const region = this.#session.get("region");
    if (this.#token && region) this.#open(region, { push: false });
    else this.#ask("");
  }

  #wentBack(region) {
    if (region && this.#token && region !== this.#live?.region) this.#open(region, { push: false });
  }

  #clicked(event) {
    const anchor = event.target.closest?.("a[data-region]");
    if (!anchor || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.#whereabouts.fold();
    this.#open(anchor.dataset.region, { push: true, name: anchor.textContent });
  }

  #submitted(event) {
    event.preventDefault();
    const form = new FormData(event.target);
    this.#token = String(form.get("token")).trim();
    const region = String(form.get("region")).trim();
    this.#session.set("token", this.#token);
    this.#session.set("region", region);
    this.#open(region, { push: false });
  }

  // ---- watching -------------------------------------------------------------------------------------------------------------------

  #open(region, { push, name = "" }) {
    this.#pending?.stop();
    this.#pendingName = name;
    this.#notice = null;
    const live = new Live({
      url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/live`,
      token: this.#token,
      region,
      onFrame: (frame) => this.#hear(live, frame, push),
      onRefused: (code) => this.#refused(live, code),
    });
    if (this.#model.region === null) {
      this.#live?.stop();
      this.#live = live;
      this.#pending = null;
      show(byId("ask"), false);
    } else {
      this.#pending = live;
    }
    live.connect();
    this.#beat();
  }

  #hear(live, frame, push) {
    if (live === this.#pending) this.#promote(live, push);
    if (frame.type === "snapshot") this.#clock.restart();
    const first = this.#model.region === null;
    const news = this.#model.apply(frame);
    this.#clock.sample(this.#model.frameAt);
    if (frame.type === "snapshot") this.#arrived(live);
    if (!first) this.#news = [...this.#news, ...news].slice(-NEWS_KEPT);
  }

  #promote(live, push) {
    this.#live.stop();
    this.#live = live;
    this.#pending = null;
    this.#forget();
    if (push) history.pushState({ region: live.region }, "", location.pathname + location.search);
  }

  #arrived(live) {
    if (byId("screen").hidden) byId("polite").textContent = t("sayLoaded", { x: named(this.#model.region.name), n: this.#model.open.size });
    this.#session.set("region", live.region);
    show(byId("screen"), true);
    show(byId("ask"), false);
    show(byId("leave"), true);
    this.#learnStreets(this.#model);
  }

  // Without these names the page works: it shows codes, and asks again after the next snapshot.
  async #learnStreets(model) {
    const districts = model.children.filter((child) => child.level === "district");
    const asked = districts.map(async ({ code }) => model.learn(code, await regionsBelow(code, this.#token)));
    const failed = (await Promise.allSettled(asked)).filter((one) => one.status === "rejected");
    if (failed.length > 0) console.warn(`${failed.length} districts' streets have no names`, failed[0].reason);
    if (districts.length > 0 && model === this.#model) this.#drawAll = true;
  }

  #refused(live, code) {
    if (live === this.#pending && code === 4403) {
      const name = `${this.#pendingName} (${live.region})`.trim();
      const text = `${t("why4403", { x: name })}${t("stay", { x: named(this.#model.region.name) })}`;
      this.#notice = { key: "refused", level: "serious", text, action: { word: t("dismiss"), run: () => (this.#notice = null) } };
      this.#pending = null;
      return;
    }
    if (code === 4401) this.#session.set("token", "");
    this.#end();
    this.#ask(t(`why${code}`, { x: live.region }), live.region);
  }

  #leave() {
    this.#session.set("token", "");
    this.#session.set("region", "");
    this.#end();
    this.#ask("");
  }

  // What a token no longer opens is no longer shown.
  #end() {
    this.#live?.stop();
    this.#pending?.stop();
    this.#live = this.#pending = null;
    this.#notice = null;
    this.#forget();
    show(byId("screen"), false);
    show(byId("leave"), false);
    byId("path").replaceChildren();
    show(byId("below"), false);
    this.#dress();
  }

  #forget() {
    this.#model = new Model();
    this.#news = [];
    this.#views.clear();
    this.#views = new Views();
    this.#drawAll = true;
  }

  #ask(why, region = this.#session.get("region")) {
    const form = byId("ask");
    show(form, true);
    show(byId("ask-why"), why !== "");
    byId("ask-why").textContent = why;
    form.elements.region.value = region;
    form.elements.token.value = "";
    form.elements[region ? "token" : "region"].focus();
  }

  #retryIfWaiting() {
    for (const live of [this.#live, this.#pending]) if (live?.phase === "waiting") live.connect();
  }

  // ---- drawing --------------------------------------------------------------------------------------------------------------------

  #beat() {
    this.#live?.watch();
    this.#pending?.watch();
    this.#draw();
  }

  #draw() {
    const now = this.#clock.now();
    const findings = this.#live === null ? [] : diagnose(this.#live, this.#model, this.#clock);
    const known = this.#model.region !== null;
    const lost = findings.some((finding) => finding.level === "grave");
    this.#banners.update([...findings, ...this.#notices()]);
    this.#pulse.update(this.#model, now, lost ? "lost" : known ? "live" : "opening");
    show(byId("pulse"), this.#live !== null);
    show(byId("opening"), this.#live !== null && !known);
    byId("opening").textContent = known || this.#live === null ? "" : t("opening", { x: this.#live.region });
    title(this.#model, lost);
    if (known) this.#drawScreen(now, findings, lost);
    speakNews(this.#news.splice(0));
  }

  #notices() {
    const opening = this.#pending && {
      key: "opening",
      level: "notice",
      text: t("bannerOpening", { x: this.#pendingName || this.#pending.region }),
      action: { word: t("cancel"), run: () => this.#cancel() },
    };
    return [opening, this.#notice].filter(Boolean);
  }

  #cancel() {
    this.#pending?.stop();
    this.#pending = null;
  }

  #drawScreen(now, findings, lost) {
    byId("screen").classList.toggle("stale", lost);
    const second = Math.floor(now / 1000);
    const ours = standsStill(findings);
    const ticking = second !== this.#tickedSecond || ours !== this.#ours || this.#drawAll;
    this.#tickedSecond = second;
    this.#ours = ours;
    if (ticking) this.#model.forgetCleared(now);
    const { touched } = this.#model;
    const all = this.#drawAll;
    this.#drawChanges(touched, all);
    this.#drawAges(now, { ticking, touched, ours, lost });
    if (ticking || touched.warnings || this.#refilter) this.#views.values.filter(this.#model, now);
    this.#refilter = false;
    this.#views.warnings.note(this.#model, warningsUnsure(findings));
  }

  #drawChanges(touched, all) {
    this.#model.touched = { values: new Set(), sensors: false, warnings: false, region: false };
    this.#drawAll = false;
    if (touched.region || all) this.#whereabouts.update(this.#model);
    if (touched.warnings || all) {
      this.#views.warnings.update(this.#model, { all, news: !all });
      this.#views.changes.update(this.#model);
      this.#whereabouts.count(this.#model);
    }
    this.#views.values.update(this.#model, touched.values, { all, reorder: touched.sensors });
  }

  // All ages once a second; between, only of what has just changed.
  #drawAges(now, { ticking, touched, ours, lost }) {
    if (ticking || touched.warnings) {
      this.#strip.update(this.#model, now, { lost, ours });
      this.#views.warnings.tick(now);
      this.#views.changes.tick(now);
    }
    this.#views.values.tick(now, ours, ticking ? null : touched.values);
  }

  // ---- language and theme ---------------------------------------------------------------------------------------------------------

  #setLanguage(code) {
    speak(code);
    this.#local.set("language", code);
    this.#dress();
    this.#drawAll = true;
    this.#beat();
  }

  #otherTheme() {
    return document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  }

  #setTheme(theme) {
    document.documentElement.dataset.theme = theme;
    this.#local.set("theme", theme);
    this.#dress();
  }

  // The fixed words, and the two switches, which name where they lead.
  #dress() {
    translate();
    if (this.#model.region === null) byId("region").textContent = t("noRegion");
    byId("language").textContent = language() === "zh" ? "English" : "中文";
    byId("language").lang = language() === "zh" ? "en" : "zh-CN";
    const other = t(this.#otherTheme() === "dark" ? "toDark" : "toLight");
    byId("theme").textContent = other;
    byId("theme").setAttribute("aria-label", t("themeLabel", { x: other }));
  }
}

new Page().start();
