// The region that this screen watches. The socket fills the model at once; what is shown follows at most four times a second.

import { computed, shallowRef } from "vue";
import { ServerClock } from "../core/clock";
import { diagnose, type Finding, standsStill, warningsUnsure } from "../core/health";
import { type Frame, Live } from "../core/live";
import { Model, type News } from "../core/model";
import { named, t } from "../core/words";
import type { WarningActions } from "../schema";
import { announceNews, assertive, polite } from "./announce";
import { sound } from "./sound";

const SHOW_MS = 250;
const NEWS_KEPT = 500; // between two looks; a hidden window looks rarely, and the newest are what is spoken

/**
 * What is shown, made anew with each look; `model` is the same object as long as the region is, so read it through this.
 *
 * `lost`: the gateway is not heard. `ours`: what is silent may be so because of the platform. `unsure`: warnings may be missing.
 */
export interface View {
  model: Model;
  now: number;
  findings: readonly Finding[];
  lost: boolean;
  ours: boolean;
  unsure: boolean;
  /** The region that is being opened while another is still shown. */
  opening: string | null;
}

/** A region that the gateway refuses, and the close code. */
export interface Refusal {
  region: string;
  code: number;
}

const socketUrl = (): string => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/live`;

const nothing = (): View => ({ model: new Model(), now: NaN, findings: [], lost: false, ours: false, unsure: false, opening: null });

/** One region is watched; another may be pending until its snapshot comes, so that a refusal costs nothing. */
class Watching {
  readonly view = shallowRef<View>(nothing());
  /** The last refusal, until another region is opened. */
  readonly refusal = shallowRef<Refusal | null>(null);
  onSessionEnded: () => void = () => undefined;
  #clock = new ServerClock();
  #model = new Model();
  #live: Live | null = null;
  #pending: Live | null = null;
  #news: News[] = [];
  #dirty = false;
  #second = NaN;
  #said = "";

  /** Look from here on. */
  start(): void {
    setInterval(() => this.#look(), SHOW_MS);
    window.addEventListener("online", () => this.#retryIfWaiting());
    document.addEventListener("visibilitychange", () => this.#look());
  }

  /** Watch a region. The one shown stays until the other's snapshot is there. */
  open(region: string): void {
    this.refusal.value = null;
    if ((this.#pending ?? this.#live)?.region === region) return;
    this.#pending?.stop();
    this.#pending = null;
    if (this.#live?.region !== region) this.#connect(region);
    this.look();
  }

  #connect(region: string): void {
    const live = new Live({ url: socketUrl(), region, onFrame: (frame) => this.#hear(live, frame), onRefused: (code) => this.#refused(live, code) });
    if (this.#model.region === null) {
      this.#live?.stop();
      this.#live = live;
    } else {
      this.#pending = live;
    }
    live.connect();
  }

  /** Connect now, whatever is waited for. */
  retry(): void {
    this.#live?.connect();
  }

  /** Stop, and forget all: what a session no longer opens is no longer shown. */
  stop(): void {
    this.#live?.stop();
    this.#pending?.stop();
    this.#live = this.#pending = null;
    this.#forget();
    sound.update([]);
    this.look();
  }

  /** Take what REST answered of a warning, before the live connection says it too. */
  take(actions: WarningActions): void {
    this.#model.takeActions(actions);
    this.look();
  }

  #hear(live: Live, frame: Frame): void {
    if (live === this.#pending) this.#promote(live);
    if (frame.type === "snapshot") this.#clock.restart();
    const first = this.#model.region === null;
    const news = this.#model.apply(frame);
    this.#clock.sample(this.#model.frameAt);
    this.#dirty = true;
    if (first) this.#arrived();
    else this.#news = [...this.#news, ...news].slice(-NEWS_KEPT);
  }

  #promote(live: Live): void {
    this.#live?.stop();
    this.#live = live;
    this.#pending = null;
    this.#forget();
  }

  #arrived(): void {
    const { region, open } = this.#model;
    if (region) polite.value = t("sayLoaded", { x: named(region.name), n: open.size });
    this.look();
  }

  #refused(live: Live, code: number): void {
    if (code === 4401) {
      this.onSessionEnded(); // while what was shown can still be told
      this.stop();
      return;
    }
    if (live === this.#pending) this.#pending = null;
    else this.#forget();
    if (live === this.#live) this.#live = null;
    this.refusal.value = { region: live.region, code };
    this.look();
  }

  #forget(): void {
    this.#model = new Model();
    this.#news = [];
  }

  #retryIfWaiting(): void {
    for (const live of [this.#live, this.#pending]) if (live?.phase === "waiting") live.connect();
  }

  #look(): void {
    this.#live?.watch();
    this.#pending?.watch();
    const second = Math.floor(performance.now() / 1000);
    if (this.#dirty || second !== this.#second) this.look();
    this.#second = second;
  }

  /** Show what is known now. */
  look(): void {
    this.#dirty = false;
    const now = this.#clock.now();
    this.#model.forgetCleared(now);
    const findings = this.#live === null ? [] : diagnose(this.#live, this.#model, this.#clock);
    const lost = findings.some((finding) => finding.level === "grave");
    this.view.value = { model: this.#model, now, findings, lost, ours: standsStill(findings), unsure: warningsUnsure(findings), opening: this.#pending?.region ?? null };
    this.#tell(findings);
  }

  #tell(findings: readonly Finding[]): void {
    sound.update(this.#model.alarming().map((warning) => warning.id));
    announceNews(this.#news.splice(0));
    const said = findings.map((finding) => finding.key).join();
    if (said !== this.#said && findings.length > 0) assertive.value = findings.map((finding) => finding.text).join(" ");
    this.#said = said;
  }
}

export const watching = new Watching();

/** What is shown of the region that is watched. */
export const view = watching.view;

/**
 * The model that is shown, read anew with each look. It is no `computed`, which would take the same object for the same content.
 *
 * For what is dear to work out there is `held`: it changes only with the object, so name the versions on which the rest depends.
 */
export const model = (): Model => view.value.model;
export const held = computed(model);
