// The rest of the screen: where we are, whether it is live, banners, counts, services, recent changes, and what is spoken.

import { byId, el, KeyedList, Label, mark, show } from "./dom.js";
import { age, clockTime, quantity, span, zone } from "./format.js";
import { judgeServices, serviceName } from "./health.js";
import { GRAVITY, TIERS } from "./model.js";
import { OriginBadge, TierMark, tierWord } from "./tiers.js";
import { named, t } from "./words.js";

const SPOKEN_ONE_BY_ONE = 3;
const STATE_WORD = { ok: "serviceOk", unready: "serviceUnready", late: "serviceLate", unheard: "serviceUnheard", behind: "serviceBehind", awaited: "unknown" };

/** The path to the region, its name, and the regions below it. Links carry `#region=…`; the page follows them without a reload. */
export class Whereabouts {
  #below = byId("below");

  constructor() {
    document.addEventListener("click", (event) => {
      if (!this.#below.contains(event.target)) this.fold();
    });
    this.#below.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.#below.open) return;
      this.fold();
      this.#below.querySelector("summary").focus();
    });
  }

  /** Show where we are. */
  update(model) {
    byId("region").textContent = named(model.region.name);
    byId("path").replaceChildren(...model.path.slice(1).reverse().map((region) => el("li", "", link(region))));
    const list = this.#below.querySelector("ul");
    list.replaceChildren(...model.children.map((region) => el("li", "", link(region), el("span", "count"))));
    this.#below.querySelector("summary").textContent = t("below", { n: model.children.length });
    show(this.#below, model.children.length > 0);
    this.count(model);
  }

  /** Say beside each region below how many warnings it has, as far as it is known which streets are its own. */
  count(model) {
    const counts = new Map();
    for (const { street } of model.open.values()) {
      const child = model.childOf(street);
      counts.set(child, (counts.get(child) ?? 0) + 1);
    }
    const items = this.#below.querySelectorAll("li");
    model.children.forEach((region, at) => {
      const n = counts.get(region.code) ?? 0;
      items[at].lastChild.textContent = n > 0 ? t("belowCount", { n }) : "";
    });
  }

  /** Fold the list of regions below. */
  fold() {
    this.#below.open = false;
  }
}

function link(region) {
  const node = el("a", "", named(region.name));
  node.href = `#region=${encodeURIComponent(region.code)}`;
  node.dataset.region = region.code;
  return node;
}

/** The banners: what `diagnose` finds, and notices. Screen readers are told of new ones only, not of each second. */
export class Banners {
  #list = new KeyedList(byId("banners"), (key) => this.#make(key));
  #retry;
  #said = "";

  constructor({ retry }) {
    this.#retry = retry;
  }

  #make(key) {
    const text = new Label("p", "text");
    const more = new Label("span", "more");
    const button = el("button");
    button.type = "button";
    const node = el("li", "", text.node, more.node, button);
    node.dataset.key = key;
    return { node, text, more, button };
  }

  /** Show findings (`key`, `level`, `text`, and `more`, `retry` or `action` where they have them). */
  update(findings) {
    this.#list.sync(findings.map((finding) => finding.key));
    for (const finding of findings) this.#show(this.#list.items.get(finding.key), finding);
    this.#say(findings);
  }

  #show({ node, text, more, button }, finding) {
    mark(node, "level", finding.level);
    text.set(finding.text);
    more.set(finding.more ?? "");
    const action = finding.retry ? { word: t("retryNow"), run: this.#retry } : finding.action;
    show(button, action !== undefined);
    if (!action) return;
    if (button.textContent !== action.word) button.textContent = action.word;
    button.onclick = action.run;
  }

  #say(findings) {
    const keys = findings.map((finding) => finding.key).join();
    if (keys === this.#said) return;
    this.#said = keys;
    const graver = findings.filter(({ level }) => level !== "notice");
    if (graver.length > 0) byId("assertive").textContent = graver.map((finding) => finding.text).join(" ");
  }
}

/** A term with its number and, below it, that number's age or state. */
class Gauge {
  #term;
  #number = new Label("span", "number");
  #note = new Label("span", "note");

  constructor(term) {
    this.#term = term;
    this.node = el("div", "", term.node, el("dd", "", this.#number.node, this.#note.node));
  }

  set(term, number, note, state = "") {
    this.#term.set(term);
    this.#number.set(number);
    this.#note.set(note);
    mark(this.node, "state", state);
  }
}

/** `TierMark` as a term: it shows the tier and takes no other text. */
class TierTerm {
  #mark = new TierMark();

  constructor(tier) {
    this.#mark.set(tier);
    this.tier = tier;
    this.node = el("dt", "", this.#mark.node);
  }

  set() {
    this.#mark.set(this.tier);
  }
}

/** Counts by tier, sensors, the data path and the services, each with its age. */
export class Strip {
  #tiers = new Map(TIERS.map((tier) => [tier, new Gauge(new TierTerm(tier))]));
  #sensors = new Gauge(new Label("dt"));
  #silent = new Gauge(new Label("dt"));
  #pipeline = new Gauge(new Label("dt"));
  #services = new KeyedList(byId("services"), () => this.#serviceItem());

  constructor() {
    for (const [tier, gauge] of this.#tiers) {
      mark(gauge.node, "tier", tier);
      byId("tiers").append(gauge.node);
    }
    byId("gauges").append(this.#sensors.node, this.#silent.node, this.#pipeline.node);
  }

  /** Show all of it; `lost`: the gateway is not heard; `ours`: what is silent may be so because of us. */
  update(model, now, { lost, ours }) {
    const asOf = t("countAge", { x: age(model.frameAt, now) });
    const counts = model.counts();
    for (const [tier, gauge] of this.#tiers) {
      gauge.set("", String(counts[tier]), asOf);
      mark(gauge.node, "some", counts[tier] > 0 ? "yes" : "");
    }
    this.#sensors.set(t("sensors"), String(model.sensors.size), asOf);
    this.#updateSilent(model, now, ours, asOf);
    this.#updatePipeline(model, now, lost);
    this.#updateServices(lost ? null : judgeServices(model, now), now);
  }

  #updateSilent(model, now, ours, asOf) {
    const silent = model.silentSensors(now);
    this.#silent.set(t("silentSensors"), ours ? "—" : String(silent), ours ? t("unknown") : asOf, ours || silent > 0 ? "bad" : "");
  }

  #updatePipeline(model, now, lost) {
    const at = model.pipelineAt;
    if (lost || at === null) this.#pipeline.set(t("pipeline"), "—", t(lost ? "unknown" : "pipelineNone"), "bad");
    else this.#pipeline.set(t("pipeline"), span(now - at), clockTime(at, now), now - at > 4500 ? "bad" : "");
  }

  #serviceItem() {
    const name = new Label("span", "name");
    const state = new Label("span", "word");
    return { node: el("li", "", el("span", "lamp"), name.node, state.node), name, state };
  }

  #updateServices(judged, now) {
    const all = judged ?? ["ingest", "rules", "history", "alerts", "gateway"].map((service) => ({ service, state: "awaited" }));
    this.#services.sync(all.map((one) => one.service));
    for (const one of all) {
      const item = this.#services.items.get(one.service);
      mark(item.node, "state", one.state);
      mark(item.node, "service", one.service);
      item.name.set(serviceName(one.service));
      item.state.set(serviceWords(one, now));
    }
  }
}

function serviceWords(one, now) {
  const words = [t(STATE_WORD[one.state])];
  if (one.state === "behind") words.push(span(one.behind));
  if (one.lag > 0) words.push(t("serviceLag", { n: one.lag }));
  if (one.at !== undefined) words.push(age(one.at, now));
  return words.join(" · ");
}

/** The lamp, its words and the server's clock. */
export class Pulse {
  #words = new Label("span", "words");
  #clock = new Label("time");
  #zone = new Label("span", "zone");

  constructor() {
    byId("pulse").querySelector(".words").replaceWith(this.#words.node);
    byId("clock").append(this.#clock.node, this.#zone.node);
  }

  /** Show whether what is shown is live, and how old it is. */
  update(model, now, state) {
    mark(byId("pulse"), "state", state);
    const fresh = model.region === null ? "" : ` · ${t("asOf", { x: age(model.frameAt, now) })}`;
    this.#words.set(t({ live: "live", lost: "pulseLost", opening: "pulseOpening" }[state]) + fresh);
    this.#clock.set(clockTime(now));
    this.#zone.set(Number.isFinite(now) ? zone(now) : "");
  }
}

/** What changed lately, the newest first. */
export class ChangesView {
  #list = new KeyedList(byId("changes"), () => new ChangeItem());

  /** Show the changes. */
  update(model) {
    const keyed = new Map(model.changes.map((warning) => [`${warning.id}:${warning.rev}`, warning]));
    this.#list.sync([...keyed.keys()]);
    for (const [key, warning] of keyed) this.#list.items.get(key).update(warning);
    show(byId("changes-none"), keyed.size === 0);
  }

  /** Bring the ages up to date. */
  tick(now) {
    for (const item of this.#list.items.values()) item.tick(now);
  }
}

class ChangeItem {
  #tier = new TierMark();
  #what = new Label("strong");
  #rule = new Label("span", "rule");
  #sensor = new Label("span", "where");
  #value = new Label("span", "value");
  #time = new Label("time");
  #age = new Label("span", "age");
  #origin = new OriginBadge();
  #at = NaN;

  constructor() {
    const head = el("span", "line", this.#tier.node, this.#what.node, this.#time.node);
    this.node = el("li", "", head, el("span", "line", this.#rule.node, this.#origin.node), el("span", "line", this.#sensor.node, this.#value.node, this.#age.node));
  }

  update(warning) {
    this.#at = warning.changed;
    mark(this.node, "tier", warning.tier);
    mark(this.node, "state", warning.state);
    this.#tier.set(warning.tier);
    this.#what.set(t(warning.change));
    this.#origin.set(warning.origin);
    this.#rule.set(named(warning.rule_name));
    this.#sensor.set(named(warning.sensor_name));
    this.#value.set(quantity(warning.evidence.value, warning.evidence.unit));
  }

  tick(now) {
    this.#time.set(clockTime(this.#at, now));
    this.#age.set(age(this.#at, now));
  }
}

/** Tell screen readers of warnings that were opened or raised; red interrupts. */
export function speakNews(news) {
  const worse = news.filter(({ warning, before }) => isWorse(warning, before)).map(({ warning }) => warning);
  if (worse.length === 0) return;
  const text = worse.length > SPOKEN_ONE_BY_ONE ? spokenTogether(worse) : worse.map(spokenAlone).join(" ");
  byId(worse.some((warning) => warning.tier === "red") ? "assertive" : "polite").textContent = text;
}

function isWorse(warning, before) {
  if (warning.state !== "open") return false;
  return before === undefined || before.state !== "open" || GRAVITY[warning.tier] > GRAVITY[before.tier];
}

const spokenAlone = (warning) =>
  t("sayWarning", { tier: t(warning.tier), change: t(warning.change), rule: named(warning.rule_name), sensor: named(warning.sensor_name) });

function spokenTogether(warnings) {
  const gravest = TIERS.find((tier) => warnings.some((warning) => warning.tier === tier));
  return t("sayMany", { n: warnings.length, tier: t(gravest) });
}

/** The window's title: a sign when the screen stands still, the gravest count, the region. */
export function title(model, lost) {
  const counts = model.counts();
  const gravest = TIERS.find((tier) => counts[tier] > 0);
  const parts = [lost ? "⚠" : "", gravest ? `${tierWord(gravest)} ${counts[gravest]}` : "", model.region ? named(model.region.name) : "", t("brand")];
  const text = parts.filter(Boolean).join(" · ");
  if (document.title !== text) document.title = text;
}
