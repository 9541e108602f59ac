// What the page knows of one region: frames in, state out. No DOM, no clock: ages are asked for with the time.

import type { Acknowledgement, Change, Delta, Evidence, Heartbeat, LiveHeartbeat, LiveRegion, LiveSensor, LiveValue, Metric, Name, Snapshot, Tier, Warning, WarningActions } from "../schema";
import { instant } from "./format";
import type { Frame } from "./live";
import { GRAVITY, graverTier, noCounts } from "./tiers";

const ROSE: ReadonlySet<Change> = new Set<Change>(["raised", "reopened"]); // after these an acknowledgement is asked for anew
const CLEARED_SHOWN_MS = 600_000; // what has just ended is still talked about; older belongs to history
const CLEARED_SHOWN = 20;
const CHANGES_SHOWN = 60;
const REVISIONS_KEPT = 10_000; // of cleared warnings, so that a late older revision does not bring one back
const TRAIL_LENGTH = 40;
const GAPS_KEPT = 5;
const UNKNOWN_INTERVAL_MS = 60_000; // until a series has shown its rhythm
const SHORTEST_SILENCE_MS = 15_000;
const LONGEST_SILENCE_MS = 7_200_000;

/** A warning with its times as numbers. `gone`: it ended while we did not hear, and nothing more is known. */
export interface KnownWarning extends Warning {
  began: number;
  changed: number;
  ended: number;
  gone: boolean;
  evidence: Evidence & { observed: number; received: number | null };
}

/** A node's heartbeat with its times as numbers. */
export interface Node extends Heartbeat {
  at: number;
  eventAt: number | null;
}

/** A warning that a frame changed, with what it was before (undefined: it is new). */
export interface News {
  warning: KnownWarning;
  before: KnownWarning | undefined;
}

/** What is to be said of a region in one line. */
export interface Summary {
  tier: Tier | null;
  counts: Record<Tier, number>;
  open: number;
  sensors: number;
  silent: number;
}

/** The graver of two warnings first, then the newer. */
export function graver(a: KnownWarning, b: KnownWarning): number {
  return GRAVITY[b.tier] - GRAVITY[a.tier] || b.began - a.began || (a.id < b.id ? -1 : 1);
}

type Keyed = Pick<LiveValue, "sensor" | "metric" | "statistic" | "period_s">;

/** The key of a value's series. */
export const seriesKey = (value: Keyed): string => `${value.sensor}/${value.metric}/${value.statistic}/${value.period_s}`;

function middle(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}

/** One series with its newest value, the rhythm it has shown and the trail of its last values. */
export class Series {
  readonly key: string;
  readonly trail: number[] = [];
  at = -Infinity;
  value: LiveValue;
  #gaps: number[] = [];

  constructor(value: LiveValue) {
    this.key = seriesKey(value);
    this.value = value;
    this.take(value);
  }

  /** Take a value unless its `at` is older than that of the one it has; say whether it was taken. */
  take(value: LiveValue): boolean {
    const at = instant(value.at);
    if (!(at >= this.at)) return false;
    if (at === this.at) this.trail.pop(); // a correction
    else if (this.at !== -Infinity) this.#gaps = [...this.#gaps.slice(1 - GAPS_KEPT), at - this.at];
    this.at = at;
    this.value = value;
    this.trail.push(value.value);
    if (this.trail.length > TRAIL_LENGTH) this.trail.shift();
    return true;
  }

  /** How old its newest value may be before it counts as silent: three of its own intervals. */
  get patience(): number {
    const usual = this.#gaps.length > 0 ? middle(this.#gaps) : UNKNOWN_INTERVAL_MS / 3;
    const asked = 3 * Math.max(usual, this.value.period_s * 1000);
    return Math.min(Math.max(asked, SHORTEST_SILENCE_MS), LONGEST_SILENCE_MS);
  }

  /** Whether it is silent at a time. */
  silent(now: number): boolean {
    return now - this.at > this.patience;
  }
}

/** A warning with its times as numbers. Raises for a tier that this page does not know: it could not be ranked. */
export function withTimes(warning: Warning): KnownWarning {
  if (!(warning.tier in GRAVITY)) throw new TypeError(`unknown tier ${String(warning.tier)}`);
  const { evidence } = warning;
  return {
    ...warning,
    began: instant(warning.began_at),
    changed: instant(warning.changed_at),
    ended: instant(warning.cleared_at ?? warning.changed_at),
    gone: false,
    evidence: { ...evidence, observed: instant(evidence.observed_at), received: evidence.received_at === null ? null : instant(evidence.received_at) },
  };
}

/**
 * The state of one region by the live protocol: of warnings the newest `rev` holds, of values the newest `at`.
 *
 * `warningsVersion` and `sensorsVersion` rise with each change of open or cleared warnings (and what was done of them), or of the sensors.
 */
export class Model {
  region: LiveRegion | null = null;
  path: readonly LiveRegion[] = [];
  children: readonly LiveRegion[] = [];
  sensors = new Map<string, LiveSensor>();
  series = new Map<string, Series>();
  seriesOf = new Map<string, Set<Series>>();
  readonly open = new Map<string, KnownWarning>();
  readonly cleared = new Map<string, KnownWarning>();
  readonly actions = new Map<string, WarningActions>();
  changes: readonly KnownWarning[] = [];
  services: readonly Node[] | null = null;
  heartbeats = 0;
  pipelineAt: number | null = null;
  frameAt = NaN;
  warningsVersion = 0;
  sensorsVersion = 0;
  readonly #revs = new Map<string, number>();
  readonly #rose = new Map<string, number>(); // at which revision a warning rose last, or began again; forgotten when it falls
  readonly #names = new Map<string, Name>();
  readonly #parents = new Map<string, string | null>();
  #inOrder: { version: number; warnings: readonly KnownWarning[] } = { version: -1, warnings: [] };

  /** Apply a frame; returns the warnings that it changed. Unknown types change nothing. */
  apply(frame: Frame): News[] {
    const at = instant(frame.server_time);
    const news = this.#dispatch(frame, at);
    this.frameAt = at;
    return news;
  }

  #dispatch(frame: Frame, at: number): News[] {
    if (frame.type === "snapshot") return this.#snapshot(frame, at);
    if (frame.type === "delta") return this.#delta(frame);
    if (frame.type === "heartbeat") this.#heartbeat(frame);
    return [];
  }

  #snapshot(frame: Snapshot, at: number): News[] {
    this.region = frame.region;
    this.path = frame.path;
    this.children = frame.children;
    for (const region of [...frame.path, ...frame.below]) {
      this.#names.set(region.code, region.name);
      this.#parents.set(region.code, region.parent);
    }
    this.#heartbeatsAnew();
    this.#takeAllSensors(frame);
    const news = this.#takeAllWarnings(frame.warnings, at);
    for (const actions of frame.actions) this.takeActions(actions);
    return news;
  }

  #delta(frame: Delta): News[] {
    for (const sensor of frame.sensors) this.#takeSensor(sensor);
    for (const value of frame.values) this.#takeValue(value);
    const news = frame.warnings.flatMap((warning) => this.#takeWarning(withTimes(warning)) ?? []);
    for (const actions of frame.actions ?? []) this.takeActions(actions);
    return news;
  }

  #heartbeat(frame: LiveHeartbeat): void {
    this.heartbeats += 1;
    this.services = frame.services.map((one) => ({ ...one, at: instant(one.time), eventAt: one.event_time === null ? null : instant(one.event_time) }));
    this.pipelineAt = frame.pipeline_time === null ? null : instant(frame.pipeline_time);
  }

  #heartbeatsAnew(): void {
    this.heartbeats = 0;
    this.services = null;
    this.pipelineAt = null;
  }

  #takeAllSensors(frame: Snapshot): void {
    const before = this.series;
    this.sensors = new Map();
    this.series = new Map();
    this.seriesOf = new Map();
    for (const sensor of frame.sensors) this.#takeSensor(sensor);
    for (const value of frame.values) {
      const known = before.get(seriesKey(value));
      if (known) this.#keepSeries(known);
      this.#takeValue(value);
    }
  }

  #takeSensor(sensor: LiveSensor): void {
    this.sensors.set(sensor.id, sensor);
    this.sensorsVersion += 1;
  }

  #takeValue(value: LiveValue): void {
    const known = this.series.get(seriesKey(value));
    if (known) known.take(value);
    else this.#keepSeries(new Series(value));
  }

  #keepSeries(series: Series): void {
    const { sensor } = series.value;
    this.series.set(series.key, series);
    const others = this.seriesOf.get(sensor);
    if (others) others.add(series);
    else this.seriesOf.set(sensor, new Set([series]));
  }

  #takeAllWarnings(frames: readonly Warning[], at: number): News[] {
    const warnings = frames.map(withTimes).sort((a, b) => a.changed - b.changed);
    const here = new Set(warnings.map((warning) => warning.id));
    for (const [id, warning] of this.open) if (!here.has(id)) this.#wentAway(id, warning, at);
    this.warningsVersion += 1;
    return warnings.flatMap((warning) => this.#takeWarning(warning) ?? []);
  }

  // The server no longer has it open and the frame that said so was missed. Its rev is forgotten: what comes next of it holds.
  #wentAway(id: string, warning: KnownWarning, at: number): void {
    this.open.delete(id);
    this.#revs.delete(id);
    this.#rose.delete(id);
    this.cleared.set(id, { ...warning, ended: at, gone: true });
  }

  #takeWarning(warning: KnownWarning): News | null {
    const { id, rev } = warning;
    if (rev <= (this.#revs.get(id) ?? 0)) return null;
    const before = this.open.get(id) ?? this.cleared.get(id);
    this.#revs.delete(id); // set anew at the end: the longest unchanged come first
    this.#revs.set(id, rev);
    if (ROSE.has(warning.change)) this.#rose.set(id, rev);
    else if (warning.change !== "revised") this.#rose.delete(id);
    const [into, outOf] = warning.state === "open" ? [this.open, this.cleared] : [this.cleared, this.open];
    outOf.delete(id);
    into.set(id, warning);
    this.changes = [warning, ...this.changes.slice(0, CHANGES_SHOWN - 1)];
    this.warningsVersion += 1;
    this.#forgetRevisions();
    return { warning, before };
  }

  /** Take what people did of a warning, unless it is not newer than what is known. */
  takeActions(actions: WarningActions): void {
    if (actions.rev <= (this.actions.get(actions.warning)?.rev ?? 0)) return;
    this.actions.set(actions.warning, actions);
    this.warningsVersion += 1;
  }

  #forgetRevisions(): void {
    if (this.#revs.size <= this.open.size + REVISIONS_KEPT) return;
    for (const id of this.#revs.keys()) {
      if (!this.open.has(id)) {
        this.#revs.delete(id);
        this.#rose.delete(id);
        return;
      }
    }
  }

  /** Drop cleared warnings that have been shown long enough. */
  forgetCleared(now: number): void {
    this.clearedInOrder().forEach((warning, at) => {
      if (at < CLEARED_SHOWN && now - warning.ended <= CLEARED_SHOWN_MS) return;
      this.cleared.delete(warning.id);
      this.actions.delete(warning.id);
      this.warningsVersion += 1;
    });
  }

  /** Open warnings, gravest first, then newest; last those that were cleared by hand. The same array until they change. */
  openInOrder(): readonly KnownWarning[] {
    if (this.#inOrder.version !== this.warningsVersion) this.#inOrder = { version: this.warningsVersion, warnings: this.#sorted() };
    return this.#inOrder.warnings;
  }

  #sorted(): KnownWarning[] {
    const all = [...this.open.values()].sort(graver);
    return [...all.filter((warning) => !this.disposed(warning)), ...all.filter((warning) => this.disposed(warning))];
  }

  /** Cleared warnings, the last one first. */
  clearedInOrder(): KnownWarning[] {
    return [...this.cleared.values()].sort((a, b) => b.ended - a.ended);
  }

  /** The last acknowledgement of a warning, whatever it was of. */
  acknowledgement(id: string): Acknowledgement | null {
    return this.actions.get(id)?.acknowledged ?? null;
  }

  /**
   * Whether a warning is acknowledged as it is now: one that is graver than what was seen, or was raised or reopened after that, asks for it anew.
   *
   * Of a warning that was only revised since, a rise in between is known where this page has heard it.
   */
  acknowledged(warning: Pick<Warning, "id" | "tier" | "rev" | "change">): boolean {
    const last = this.acknowledgement(warning.id);
    if (last === null || GRAVITY[last.tier] < GRAVITY[warning.tier]) return false;
    if (warning.rev <= last.seen_rev || warning.change === "lowered") return true;
    return !ROSE.has(warning.change) && (this.#rose.get(warning.id) ?? 0) <= last.seen_rev;
  }

  /** Whether a warning was cleared by hand, at the tier that it has now or a graver one. The rule's own episode goes on beside it. */
  disposed(warning: Pick<Warning, "id" | "tier">): boolean {
    const cleared = this.actions.get(warning.id)?.cleared ?? null;
    return cleared !== null && GRAVITY[cleared.tier] >= GRAVITY[warning.tier];
  }

  /** The open red warnings that nobody has acknowledged, or cleared by hand. */
  alarming(): KnownWarning[] {
    return this.openInOrder().filter((warning) => warning.tier === "red" && !this.acknowledged(warning) && !this.disposed(warning));
  }

  /** How many warnings are open, by tier. */
  counts(): Record<Tier, number> {
    const counts = noCounts();
    for (const warning of this.open.values()) counts[warning.tier] += 1;
    return counts;
  }

  /** The gravest open warning of each sensor that has one, or that agrees with others in one of their place. */
  gravestBySensor(): Map<string, KnownWarning> {
    const gravest = new Map<string, KnownWarning>();
    for (const warning of this.openInOrder()) {
      for (const sensor of warning.sensor === null ? warning.evidence.sensors : [warning.sensor]) if (!gravest.has(sensor)) gravest.set(sensor, warning);
    }
    return gravest;
  }

  /** What is to be said of each region right below; of the shown one itself where nothing lies below it. */
  summaries(now: number): Map<string, Summary> {
    const codes = this.children.length > 0 ? this.children.map((child) => child.code) : this.region ? [this.region.code] : [];
    const found = new Map(codes.map((code): [string, Summary] => [code, { tier: null, counts: noCounts(), open: 0, sensors: 0, silent: 0 }]));
    for (const warning of this.open.values()) {
      const summary = found.get(this.childOf(warning.street) ?? "");
      if (!summary) continue;
      summary.counts[warning.tier] += 1;
      summary.open += 1;
      summary.tier = graverTier(summary.tier, warning.tier);
    }
    for (const sensor of this.sensors.values()) {
      const summary = found.get(this.childOf(sensor.street) ?? "");
      if (!summary) continue;
      summary.sensors += 1;
      if (this.sensorSilent(sensor.id, now)) summary.silent += 1;
    }
    return found;
  }

  /** How many sensors have at least one silent series, or have never said anything. */
  silentSensors(now: number): number {
    let silent = 0;
    for (const id of this.sensors.keys()) if (this.sensorSilent(id, now)) silent += 1;
    return silent;
  }

  /** Whether a sensor has a silent series, or a metric that was never received. */
  sensorSilent(id: string, now: number): boolean {
    const series = this.seriesOf.get(id);
    if (!series) return true;
    for (const one of series) if (one.silent(now)) return true;
    return this.metricsWithoutData(id).length > 0;
  }

  /** The metrics of a sensor of which no value was ever received. */
  metricsWithoutData(id: string): string[] {
    const received = new Set<string>();
    for (const one of this.seriesOf.get(id) ?? []) received.add(one.value.metric);
    return Object.keys(this.sensors.get(id)?.metrics ?? {}).filter((metric) => !received.has(metric));
  }

  /** The region right below the shown one in which a street lies, or the shown one where it is that street; undefined where that is not known. */
  childOf(street: string): string | undefined {
    const shown = this.region?.code;
    if (street === shown) return shown;
    let at: string | null | undefined = street;
    while (at != null) {
      const parent: string | null | undefined = this.#parents.get(at);
      if (parent === shown) return at;
      at = parent;
    }
    return undefined;
  }

  /** The name of a region; its code where the server has not told the name. */
  regionName(code: string): Name {
    return this.#names.get(code) ?? { zh: code, en: code };
  }

  /** A metric as a sensor has it; of a place (null) as any sensor that is known has it. */
  metric(sensor: string | null, metric: string): Metric | undefined {
    if (sensor !== null) return this.sensors.get(sensor)?.metrics[metric];
    for (const one of this.sensors.values()) if (one.metrics[metric]) return one.metrics[metric];
    return undefined;
  }

  /** The name of a metric of a sensor or a place; its code where unknown. */
  metricName(sensor: string | null, metric: string): Name {
    return this.metric(sensor, metric)?.name ?? { zh: metric, en: metric };
  }

  /** Where a warning is: its region, its sensor, the sensor's place; of a place's warning the place alone. */
  placeOf(warning: Pick<Warning, "street" | "sensor" | "sensor_name">): Name[] {
    const region = this.regionName(warning.street);
    const place = warning.sensor === null ? null : (this.sensors.get(warning.sensor)?.place ?? null);
    if (warning.sensor === null && warning.sensor_name.zh.startsWith(region.zh)) return [warning.sensor_name];
    return [region, warning.sensor_name, ...(place ? [place] : [])];
  }
}
