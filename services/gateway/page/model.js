// What the page knows of one region: frames in, state out. No DOM, no clock: ages are asked for with the time.

import { instant } from "./format.js";

/** Gravity of the tiers, as in `schemas/tiers.py`. */
export const GRAVITY = { red: 4, orange: 3, yellow: 2, blue: 1 };

/** The tiers, gravest first. */
export const TIERS = ["red", "orange", "yellow", "blue"];

const CLEARED_SHOWN_MS = 600_000; // what has just ended is still talked about; older belongs to history
const CLEARED_SHOWN = 20;
const CHANGES_SHOWN = 60;
const REVISIONS_KEPT = 10_000; // of cleared warnings, so that a late older revision does not bring one back
const TRAIL_LENGTH = 40;
const GAPS_KEPT = 5;
const UNKNOWN_INTERVAL_MS = 60_000; // until a series has shown its rhythm
const SHORTEST_SILENCE_MS = 15_000;
const LONGEST_SILENCE_MS = 7_200_000;

/** The tier of the graver of two warnings first, then the newer. */
export function graver(a, b) {
  return GRAVITY[b.tier] - GRAVITY[a.tier] || b.began - a.began || (a.id < b.id ? -1 : 1);
}

/** The key of a value's series. */
export const seriesKey = (value) => `${value.sensor}/${value.metric}/${value.statistic}/${value.period_s}`;

function middle(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** One series with its newest value, the rhythm it has shown and the trail of its last values. */
class Series {
  #gaps = [];
  trail = [];

  constructor(value) {
    this.key = seriesKey(value);
    this.at = -Infinity;
    this.take(value);
  }

  /** Take a value unless its `at` is older than that of the one it has; say whether it was taken. */
  take(value) {
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
  get patience() {
    const usual = this.#gaps.length > 0 ? middle(this.#gaps) : UNKNOWN_INTERVAL_MS / 3;
    const asked = 3 * Math.max(usual, this.value.period_s * 1000);
    return Math.min(Math.max(asked, SHORTEST_SILENCE_MS), LONGEST_SILENCE_MS);
  }

  /** Whether it is silent at a time. */
  silent(now) {
    return now - this.at > this.patience;
  }
}

function withTimes(warning) {
  if (!(warning.tier in GRAVITY)) throw new TypeError(`unknown tier ${warning.tier}`);
  const { evidence } = warning;
  return {
    ...warning,
    began: instant(warning.began_at),
    changed: instant(warning.changed_at),
    ended: instant(warning.cleared_at ?? warning.changed_at),
    gone: false,
    evidence: { ...evidence, observed: instant(evidence.observed_at), received: instant(evidence.received_at) },
  };
}

/**
 * The state of one region by the live protocol: of warnings the newest `rev` holds, of values the newest `at`.
 *
 * `touched` collects what was changed until the views take it: ids of sensors, and whether warnings, sensors (as a set) or all did.
 */
export class Model {
  region = null;
  path = [];
  children = [];
  sensors = new Map();
  series = new Map();
  seriesOf = new Map();
  open = new Map();
  cleared = new Map();
  changes = [];
  services = null;
  heartbeats = 0;
  pipelineAt = null;
  frameAt = NaN;
  #revs = new Map();
  #names = new Map();
  #parents = new Map();
  touched = { values: new Set(), sensors: true, warnings: true, region: true };

  /** Apply a frame; returns the warnings that it changed, each with what it was before (undefined: new). Unknown types change nothing. */
  apply(frame) {
    const at = instant(frame.server_time);
    const news = this.#dispatch(frame, at);
    this.frameAt = at;
    return news;
  }

  #dispatch(frame, at) {
    if (frame.type === "snapshot") return this.#snapshot(frame, at);
    if (frame.type === "delta") return this.#delta(frame);
    if (frame.type === "heartbeat") this.#heartbeat(frame);
    return [];
  }

  #snapshot(frame, at) {
    this.region = frame.region;
    this.path = frame.path;
    this.children = frame.children;
    for (const region of [frame.region, ...frame.path, ...frame.children]) this.#names.set(region.code, region.name);
    this.#heartbeatsAnew();
    this.#takeAllSensors(frame);
    this.touched.region = true;
    return this.#takeAllWarnings(frame.warnings, at);
  }

  #delta(frame) {
    for (const sensor of frame.sensors) this.#takeSensor(sensor);
    for (const value of frame.values) this.#takeValue(value);
    return frame.warnings.flatMap((warning) => this.#takeWarning(withTimes(warning)) ?? []);
  }

  #heartbeat(frame) {
    this.heartbeats += 1;
    this.services = frame.services.map((one) => ({ ...one, at: instant(one.time), eventAt: one.event_time === null ? null : instant(one.event_time) }));
    this.pipelineAt = frame.pipeline_time === null ? null : instant(frame.pipeline_time);
  }

  #heartbeatsAnew() {
    this.heartbeats = 0;
    this.services = null;
    this.pipelineAt = null;
  }

  #takeAllSensors(frame) {
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

  #takeSensor(sensor) {
    this.sensors.set(sensor.id, sensor);
    this.touched.sensors = true;
    this.touched.values.add(sensor.id);
  }

  #takeValue(value) {
    const known = this.series.get(seriesKey(value));
    if (known ? known.take(value) : this.#keepSeries(new Series(value))) this.touched.values.add(value.sensor);
  }

  #keepSeries(series) {
    const { sensor } = series.value;
    this.series.set(series.key, series);
    if (!this.seriesOf.has(sensor)) this.seriesOf.set(sensor, new Set());
    this.seriesOf.get(sensor).add(series);
    return true;
  }

  #takeAllWarnings(frames, at) {
    const warnings = frames.map(withTimes).sort((a, b) => a.changed - b.changed);
    const here = new Set(warnings.map((warning) => warning.id));
    for (const [id, warning] of this.open) if (!here.has(id)) this.#wentAway(id, warning, at);
    return warnings.flatMap((warning) => this.#takeWarning(warning) ?? []);
  }

  // The server no longer has it open and the frame that said so was missed. Its rev is forgotten: what comes next of it holds.
  #wentAway(id, warning, at) {
    this.open.delete(id);
    this.#revs.delete(id);
    this.cleared.set(id, { ...warning, ended: at, gone: true });
    this.touched.warnings = true;
    this.touched.values.add(warning.sensor);
  }

  #takeWarning(warning) {
    const { id, rev } = warning;
    if (rev <= (this.#revs.get(id) ?? 0)) return null;
    const before = this.open.get(id) ?? this.cleared.get(id);
    this.#revs.delete(id); // set anew at the end: the longest unchanged come first
    this.#revs.set(id, rev);
    const [into, outOf] = warning.state === "open" ? [this.open, this.cleared] : [this.cleared, this.open];
    outOf.delete(id);
    into.set(id, warning);
    this.changes = [warning, ...this.changes.slice(0, CHANGES_SHOWN - 1)];
    this.touched.warnings = true;
    this.touched.values.add(warning.sensor);
    this.#forgetRevisions();
    return { warning, before };
  }

  #forgetRevisions() {
    if (this.#revs.size <= this.open.size + REVISIONS_KEPT) return;
    for (const id of this.#revs.keys()) {
      if (!this.open.has(id)) {
        this.#revs.delete(id);
        return;
      }
    }
  }

  /** Drop cleared warnings that have been shown long enough. */
  forgetCleared(now) {
    const newest = [...this.cleared.values()].sort((a, b) => b.ended - a.ended);
    newest.forEach((warning, at) => {
      if (at >= CLEARED_SHOWN || now - warning.ended > CLEARED_SHOWN_MS) {
        this.cleared.delete(warning.id);
        this.touched.warnings = true;
      }
    });
  }

  /** Open warnings, gravest first, then newest. */
  openInOrder() {
    return [...this.open.values()].sort(graver);
  }

  /** Cleared warnings, the last one first. */
  clearedInOrder() {
    return [...this.cleared.values()].sort((a, b) => b.ended - a.ended);
  }

  /** How many warnings are open, by tier. */
  counts() {
    const counts = { red: 0, orange: 0, yellow: 0, blue: 0 };
    for (const warning of this.open.values()) counts[warning.tier] += 1;
    return counts;
  }

  /** How many sensors have at least one silent series, or have never said anything. */
  silentSensors(now) {
    let silent = 0;
    for (const id of this.sensors.keys()) if (this.sensorSilent(id, now)) silent += 1;
    return silent;
  }

  /** Whether a sensor has a silent series, or a metric that was never received. */
  sensorSilent(id, now) {
    const series = this.seriesOf.get(id);
    if (!series) return true;
    for (const one of series) if (one.silent(now)) return true;
    return this.metricsWithoutData(id).length > 0;
  }

  /** The metrics of a sensor of which no value was ever received. */
  metricsWithoutData(id) {
    const received = new Set();
    for (const one of this.seriesOf.get(id) ?? []) received.add(one.value.metric);
    return Object.keys(this.sensors.get(id)?.metrics ?? {}).filter((metric) => !received.has(metric));
  }

  /** Learn the names of the regions right below one, which no frame told. */
  learn(parent, regions) {
    for (const region of regions) {
      this.#names.set(region.code, region.name);
      this.#parents.set(region.code, parent);
    }
  }

  /** The child of the region shown in which a street lies: the street itself or its district; undefined where that is not known. */
  childOf(street) {
    return this.children.some((child) => child.code === street) ? street : this.#parents.get(street);
  }

  /** The name `{zh, en}` of a region; its code where the server has not told the name. */
  regionName(code) {
    return this.#names.get(code) ?? { zh: code, en: code };
  }

  /** The name `{zh, en}` of a metric of a sensor; its code where unknown. */
  metricName(sensor, metric) {
    return this.sensors.get(sensor)?.metrics[metric]?.name ?? { zh: metric, en: metric };
  }
}
