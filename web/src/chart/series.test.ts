import { describe, expect, it } from "vitest";
import type { Point, Tier, Warning, WarningStory } from "../schema";
import { broken, draw, interval, limitsOf, rowsOf } from "./series";

const START = Date.parse("2026-11-22T08:00:00Z");
const time = (seconds: number): string => new Date(START + seconds * 1000).toISOString();

const point = (seconds: number, value: number, more: Partial<Point> = {}): Point => ({ at: time(seconds), value, quality: "good", origin: "simulated", ...more });

const revision = (rev: number, tier: Tier, change: Warning["change"], seconds: number, limit: number): Warning =>
  ({ rev, tier, change, state: change === "recovered" ? "cleared" : "open", changed_at: time(seconds), evidence: { measure: "value", unit: "L/s", limit, direction: "above", value: limit + 1, observed_at: time(seconds) } }) as Warning;

const way = (limit: number) => ({ limit, readings: 1, for: null });

const told = (more: Partial<WarningStory>): WarningStory => ({ identifier: "x", explanation: { zh: "因", en: "why" }, metric: "flow", statistic: "instant", period_s: 0, unit: "L/s", points: [], revisions: [], rule: null, thinned: false, ...more });

describe("a line", () => {
  it("goes on over three intervals, and breaks over more", () => {
    const points = [0, 10, 20, 50, 91].map((seconds) => point(seconds, 1));
    expect(draw(told({ points })).line.map(([at, value]) => [(at - START) / 1000, value])).toEqual([[0, 1], [10, 1], [20, 1], [50, 1], [70.5, null], [91, 1]]);
    expect(draw(told({ points })).gaps).toBe(1);
  });

  it("goes by the period of what is a mean, and by the distance of what was thinned out", () => {
    expect(interval([0, 1000, 2000], 60)).toBe(60_000);
    expect(interval([0, 300_000, 600_000], 60)).toBe(300_000);
    expect(broken([[0, 1]], 0)).toEqual([[0, 1]]);
  });

  it("leaves out what no rule uses, and shows it beside", () => {
    const { line, doubtful } = draw(told({ points: [point(0, 1), point(10, 99, { quality: "fault" }), point(20, 2)] }));
    expect(line.map(([, value]) => value)).toEqual([1, 2]);
    expect(doubtful.map(([, value]) => value)).toEqual([99]);
  });

  it("is in order of time", () => {
    expect(draw(told({ points: [point(10, 2), point(0, 1)] })).line.map(([, value]) => value)).toEqual([1, 2]);
  });
});

describe("limits", () => {
  it("are the rule's", () => {
    const rule = { direction: "below", tiers: { yellow: { up: way(8), down: way(9) }, red: { up: way(4), down: way(5) } } } as unknown as WarningStory["rule"];
    expect(limitsOf(told({ rule }))).toEqual([{ tier: "red", value: 4, direction: "below" }, { tier: "yellow", value: 8, direction: "below" }]);
  });

  it("are those that the revisions entered when the rule is gone", () => {
    const revisions = [revision(1, "blue", "opened", 0, 5), revision(2, "orange", "raised", 10, 9), revision(3, "orange", "recovered", 20, 4)];
    expect(limitsOf(told({ revisions })).map(({ tier, value }) => [tier, value])).toEqual([["orange", 9], ["blue", 5]]);
  });

  it("that the revisions met stand before the rule's, for these may depend on the hour", () => {
    const limit = { default: 70, cases: [{ limit: 55, hours: "22:00-06:00", attributes: null, weekdays: null, dates: null }] };
    const rule = { direction: "above", measure: { kind: "value" }, tiers: { blue: { up: { ...way(0), limit }, down: way(0) }, yellow: { up: way(75), down: way(0) } } } as unknown as WarningStory["rule"];
    expect(limitsOf(told({ rule, revisions: [revision(1, "blue", "opened", 0, 55)] })).map(({ value }) => value)).toEqual([75, 55]);
    expect(limitsOf(told({ rule })).map(({ value }) => value)).toEqual([75, 70]);
  });

  it("of what is no value of the series are not drawn, nor is what decided", () => {
    const silence = revision(1, "blue", "opened", 0, 600);
    const measured = (measure: string, unit: string): Warning => ({ ...silence, evidence: { ...silence.evidence, measure, unit } });
    for (const one of [measured("absence", "s"), measured("rate", "L/s"), measured("exceedances", "1"), measured("window", "1")]) {
      const drawn = draw(told({ points: [point(0, 5)], revisions: [one] }));
      expect([drawn.limits, drawn.marks[0]?.value, drawn.high < 10]).toEqual([[], null, true]);
    }
    const sums = { measure: { kind: "window", aggregate: "sum" }, direction: "above", tiers: {} } as unknown as WarningStory["rule"];
    expect(draw(told({ revisions: [measured("window", "L/s")], rule: sums })).marks[0]?.value).toBeNull();
    expect(draw(told({ revisions: [measured("window", "L/s")] })).marks[0]?.value).toBe(601);
    expect(draw(told({ revisions: [measured("condition", "L/s")] })).marks[0]?.value).toBe(601);
  });

  it("of a condition are none", () => {
    const by = revision(1, "red", "opened", 0, 1);
    expect(limitsOf(told({ revisions: [{ ...by, evidence: { ...by.evidence, measure: "condition", limit: null } }] }))).toEqual([]);
  });

  it("far above what happened do not press the values flat", () => {
    const rule = { direction: "above", tiers: { blue: { up: way(10), down: way(9) }, yellow: { up: way(20), down: way(9) }, red: { up: way(1000), down: way(9) } } } as unknown as WarningStory["rule"];
    const { low, high } = draw(told({ rule, points: [point(0, 5), point(10, 11)], revisions: [revision(1, "blue", "opened", 10, 10)] }));
    expect(high).toBeGreaterThan(20);
    expect(high).toBeLessThan(30);
    expect(low).toBeGreaterThanOrEqual(0);
  });
});

describe("words over marks", () => {
  it("take rows where they would meet, and are left out where there is no row", () => {
    expect(rowsOf([0, 1, 2, 3, 10, 100], 10, 3)).toEqual([0, 1, 2, null, 0, 0]);
  });
});
