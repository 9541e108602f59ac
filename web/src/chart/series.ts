// What a warning's chart shows, worked out from its story: pure, so that it can be tested without a canvas.

import { instant } from "../core/format";
import { GRAVITY, TIERS } from "../core/tiers";
import type { Change, Direction, Evidence, Origin, Point, Quality, Tier, Warning, WarningStory } from "../schema";

/** A dot; a gap in a line has no value. */
export type Dot = [at: number, value: number | null];

export interface Limit {
  tier: Tier;
  value: number;
  direction: Direction;
}

/** A revision where it happened, with the value that decided. */
export interface Mark {
  at: number;
  tier: Tier;
  change: Change;
  cleared: boolean;
  observed: number;
  /** None where what decided is no value of the series: a rate, a count, a silence. */
  value: number | null;
}

export interface Drawn {
  /** Values that rules use, with a null where nothing was received. */
  line: Dot[];
  /** Values of bad quality, which no rule uses. */
  doubtful: Dot[];
  limits: Limit[];
  marks: Mark[];
  gaps: number;
  origins: Origin[];
  /** Of the value axis: what the values need, and the limits that matter. */
  low: number;
  high: number;
}

const JOINED = 3; // intervals without a value that a line may cross
const HEADROOM = 0.08;

const isGood = (quality: Quality): boolean => quality === "good";

/** The usual distance between values: their period, or the median of what there is (thinned values are farther apart than their period). */
export function interval(times: readonly number[], periodS: number): number {
  const steps = times.slice(1).map((at, before) => at - times[before]!).sort((a, b) => a - b);
  return Math.max(steps[(steps.length - 1) >> 1] ?? 0, periodS * 1000);
}

/** The points as a line that is broken where nothing was received. */
export function broken(points: readonly Dot[], step: number): Dot[] {
  return points.flatMap((point, at) => {
    const before = points[at - 1];
    const gap = before !== undefined && step > 0 && point[0] - before[0] > JOINED * step;
    return gap ? [[(before[0] + point[0]) / 2, null] as Dot, point] : [point];
  });
}

const ALIKE: readonly string[] = ["mean", "min", "max"]; // aggregates that lie among the values that they are made of

/** Whether what decided can be drawn among the values: the values themselves, a window's mean, a condition's own value. */
export function drawable({ measure, unit }: Pick<Evidence, "measure" | "unit">, story: Pick<WarningStory, "rule" | "unit">): boolean {
  if (measure === "value") return true;
  const kind = story.rule?.measure;
  const alike = measure === "condition" ? (kind?.kind ?? "value") === "value" : measure === "window" && (kind?.kind !== "window" || ALIKE.includes(kind.aggregate));
  return alike && unit === story.unit;
}

const entered = ({ change }: Warning): boolean => change === "opened" || change === "raised" || change === "reopened";

/** The limits that can be drawn: those that the revisions met, which may depend on the hour and the sensor, then the rule's where it is known. */
export function limitsOf(story: WarningStory): Limit[] {
  const { rule, revisions } = story;
  if (revisions.some(({ evidence }) => !drawable(evidence, story))) return [];
  const met = revisions.filter(entered).flatMap(({ tier, evidence }): [Tier, Limit][] => (evidence.limit === null ? [] : [[tier, { tier, value: evidence.limit, direction: evidence.direction }]]));
  const named = new Map(met);
  return TIERS.flatMap((tier) => {
    const limit = rule?.tiers[tier]?.up.limit ?? null;
    const known = named.get(tier);
    if (known || limit === null || !rule) return known ?? [];
    return { tier, value: typeof limit === "number" ? limit : limit.default, direction: rule.direction };
  });
}

const markOf = ({ changed_at, tier, change, state, evidence }: Warning, story: WarningStory): Mark => ({
  at: instant(changed_at),
  tier,
  change,
  cleared: state === "cleared",
  observed: instant(evidence.observed_at),
  value: drawable(evidence, story) ? evidence.value : null,
});

/** The limits that the axis must reach: up to one above the peak; a far limit would press the values flat. */
function mattering(limits: readonly Limit[], marks: readonly Mark[]): Limit[] {
  const peak = Math.max(0, ...marks.map(({ tier }) => GRAVITY[tier]));
  const above = Math.min(...limits.map(({ tier }) => GRAVITY[tier]).filter((gravity) => gravity > peak));
  return limits.filter(({ tier }) => GRAVITY[tier] <= peak || GRAVITY[tier] === above);
}

/** What a chart shows of a story. */
export function draw(story: WarningStory): Drawn {
  const points = story.points.map((point): [Point, Dot] => [point, [instant(point.at), point.value]]).sort(([, a], [, b]) => a[0] - b[0]);
  const step = interval(points.map(([, [at]]) => at), story.period_s);
  const line = broken(points.filter(([{ quality }]) => isGood(quality)).map(([, dot]) => dot), step);
  const limits = limitsOf(story);
  const marks = story.revisions.map((revision) => markOf(revision, story));
  const values = [...points.map(([{ value }]) => value), ...marks.flatMap(({ value }) => value ?? []), ...mattering(limits, marks).map(({ value }) => value)];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = (high - low || Math.abs(high) || 1) * HEADROOM;
  return {
    line,
    doubtful: points.filter(([{ quality }]) => !isGood(quality)).map(([, dot]) => dot),
    limits,
    marks,
    gaps: line.filter(([, value]) => value === null).length,
    origins: [...new Set(story.points.map(({ origin }) => origin))],
    low: low >= 0 ? Math.max(0, low - room) : low - room,
    high: high + room,
  };
}

/** In which row of words each mark's has room, 0 being the lowest; null where none of them has any. */
export function rowsOf(times: readonly number[], apart: number, rows: number): (number | null)[] {
  const ends = Array.from({ length: rows }, () => -Infinity);
  return times.map((at) => {
    const row = ends.findIndex((end) => at >= end);
    if (row === -1) return null;
    ends[row] = at + apart;
    return row;
  });
}
