import { describe, expect, it } from "vitest";
import { acknowledged, at, CITY, delta, disposed, DISTRICT, snapshot, START, STREET, value, warning } from "../testing/frames";
import { Model, Series } from "./model";

function shown(given = {}): Model {
  const model = new Model();
  model.apply(snapshot(given));
  return model;
}

describe("warnings", () => {
  it("stand gravest first, then newest", () => {
    const model = shown({ warnings: [warning("a", 1, "blue"), warning("b", 1, "red"), { ...warning("c", 1, "red"), began_at: at(9) }] });
    expect(model.openInOrder().map(({ id }) => id)).toEqual(["c", "b", "a"]);
    expect(model.counts()).toEqual({ red: 2, orange: 0, yellow: 0, blue: 1 });
  });

  it("lapse when the warning falls and rises to the same tier again", () => {
    const model = shown({ warnings: [warning("a", 1, "red")], actions: [acknowledged("a", 1, "red")] });
    model.apply(delta({ warnings: [{ ...warning("a", 2, "orange"), change: "lowered" }] }));
    expect(model.acknowledged(model.open.get("a")!)).toBe(true);
    model.apply(delta({ warnings: [warning("a", 3, "red")] }));
    expect(model.alarming().map(({ id }) => id)).toEqual(["a"]);
  });

  it("change by a newer revision only", () => {
    const model = shown({ warnings: [warning("a", 3, "red")] });
    expect(model.apply(delta({ warnings: [warning("a", 2, "blue"), warning("a", 3, "blue")] }))).toEqual([]);
    expect(model.open.get("a")?.tier).toBe("red");
    const [news] = model.apply(delta({ warnings: [warning("a", 4, "orange")] }));
    expect([news?.before?.tier, news?.warning.tier]).toEqual(["red", "orange"]);
  });

  it("do not come back by a late revision once cleared", () => {
    const model = shown({ warnings: [warning("a", 1)] });
    model.apply(delta({ warnings: [warning("a", 3, "yellow", "cleared")] }));
    model.apply(delta({ warnings: [warning("a", 2)] }));
    expect([model.open.size, model.cleared.size]).toEqual([0, 1]);
  });

  it("that a new snapshot leaves out have ended unheard, and may come back", () => {
    const model = shown({ warnings: [warning("a", 5)] });
    model.apply(snapshot({ server_time: at(60) }));
    expect(model.cleared.get("a")).toMatchObject({ gone: true, ended: START + 60_000 });
    model.apply(delta({ warnings: [warning("a", 2)] }));
    expect(model.open.has("a")).toBe(true);
  });

  it("cleared long ago are forgotten", () => {
    const model = shown({ warnings: [warning("a", 1)] });
    model.apply(delta({ warnings: [warning("a", 2, "yellow", "cleared")] }));
    model.forgetCleared(START + 599_000);
    expect(model.cleared.size).toBe(1);
    model.forgetCleared(START + 700_000);
    expect(model.cleared.size).toBe(0);
  });

  it("of a tier that the page does not know are an error, for they cannot be ranked", () => {
    expect(() => shown({ warnings: [{ ...warning("a", 1), tier: "purple" as "red" }] })).toThrow("purple");
  });
});

describe("a place's warning", () => {
  const agreed = { ...warning("a", 1, "red"), sensor: null, sensor_name: { zh: "s区", en: "s" } };
  const evidence = { ...agreed.evidence, measure: "agreement", sensors: ["p1", "p9"], observation: null, received_at: null };

  it("names its place once and its metric as any sensor has it", () => {
    const model = shown({ warnings: [agreed] });
    expect(model.placeOf(agreed)).toEqual([{ zh: "s区", en: "s" }]);
    expect(model.placeOf({ ...agreed, sensor_name: { zh: "s区 b1", en: "s b1" } })).toEqual([{ zh: "s区 b1", en: "s b1" }]);
    expect(model.placeOf({ ...agreed, street: "d" }).map(({ zh }) => zh)).toEqual(["d区", "s区"]);
    expect(model.placeOf(warning("b", 1)).map(({ zh }) => zh)).toEqual(["s区", "一号"]);
    expect(model.metricName(null, "flow")).toEqual({ zh: "流量", en: "Flow" });
    expect(model.metricName(null, "none")).toEqual({ zh: "none", en: "none" });
  });

  it("marks the sensors that agree", () => {
    const model = shown({ warnings: [{ ...agreed, evidence }, warning("b", 1, "blue")] });
    expect([...model.gravestBySensor()].map(([sensor, { id }]) => [sensor, id])).toEqual([["p1", "a"], ["p9", "a"]]);
    expect(model.open.get("a")?.evidence.received).toBeNull();
  });

  it("of a district counts there, and of the shown region nowhere below", () => {
    const model = shown({ warnings: [{ ...agreed, street: "d" }, { ...agreed, id: "c", street: "c" }] });
    expect([model.summaries(START).get("d")?.open, model.summaries(START).get("o")?.open, model.counts().red]).toEqual([1, 0, 2]);
  });
});

describe("acknowledgements", () => {
  it("hold for the tier that was seen and below", () => {
    const model = shown({ warnings: [warning("a", 1, "orange")], actions: [acknowledged("a", 1, "orange")] });
    expect(model.acknowledged(model.open.get("a")!)).toBe(true);
    model.apply(delta({ warnings: [warning("a", 2, "red")] }));
    expect(model.acknowledged(model.open.get("a")!)).toBe(false);
    expect(model.alarming().map(({ id }) => id)).toEqual(["a"]);
    model.apply(delta({ actions: [acknowledged("a", 2, "red")] }));
    expect(model.alarming()).toEqual([]);
  });

  it("hold through a change of the past, and lapse when what was over is reopened", () => {
    const model = shown({ warnings: [warning("a", 1, "red")], actions: [acknowledged("a", 1, "red")] });
    model.apply(delta({ warnings: [{ ...warning("a", 2, "red"), change: "revised" }] }));
    expect(model.acknowledged(model.open.get("a")!)).toBe(true);
    model.apply(delta({ warnings: [{ ...warning("a", 3, "red", "cleared"), change: "recovered" }, { ...warning("a", 4, "red"), change: "reopened" }] }));
    expect(model.acknowledged(model.open.get("a")!)).toBe(false);
    model.apply(delta({ warnings: [{ ...warning("a", 5, "red"), change: "revised" }] }));
    expect(model.alarming().map(({ id }) => id)).toEqual(["a"]);
    model.apply(delta({ actions: [acknowledged("a", 5, "red")] }));
    expect(model.alarming()).toEqual([]);
  });

  it("change by a newer revision only", () => {
    const model = shown({ warnings: [warning("a", 1, "red")], actions: [acknowledged("a", 2, "red")] });
    model.apply(delta({ actions: [acknowledged("a", 1, "blue")] }));
    expect(model.acknowledgement("a")?.tier).toBe("red");
  });
});

describe("clearing by hand", () => {
  it("ends the sound and stands last, until the warning becomes graver than it was then", () => {
    const model = shown({ warnings: [warning("a", 1, "red"), warning("b", 1, "orange"), warning("c", 1, "blue")], actions: [disposed("a", 1, "red"), disposed("b", 1, "yellow")] });
    expect(model.openInOrder().map(({ id }) => id)).toEqual(["b", "c", "a"]);
    expect(model.alarming()).toEqual([]);
    model.takeActions(disposed("c", 1, "orange"));
    expect(model.disposed(model.open.get("c")!)).toBe(true);
    model.apply(delta({ warnings: [warning("c", 2, "red")] }));
    expect(model.alarming().map(({ id }) => id)).toEqual(["c"]);
  });
});

describe("values", () => {
  it("give way to newer ones and to corrections, to the microsecond", () => {
    const series = new Series(value(1, 5));
    expect(series.take({ ...value(1, 6), at: "2026-11-22T08:00:00.999999Z" })).toBe(false);
    expect(series.take({ ...value(1, 7), at: "2026-11-22T08:00:01.000001Z" })).toBe(true);
    expect(series.take({ ...value(1, 8), at: "2026-11-22T08:00:01.000001Z" })).toBe(true);
    expect(series.trail).toEqual([5, 8]);
  });

  it("are silent after three of their own intervals", () => {
    const series = new Series(value(0, 1));
    for (const seconds of [10, 20, 30]) series.take(value(seconds, 1));
    expect(series.patience).toBe(30_000);
    expect(series.silent(START + 60_000)).toBe(false);
    expect(series.silent(START + 60_001)).toBe(true);
  });

  it("keep their rhythm through a new snapshot", () => {
    const model = shown({ values: [value(0, 1)] });
    model.apply(delta({ values: [value(100, 1)] }));
    model.apply(snapshot({ values: [value(101, 2)] }));
    expect(model.series.get("p1/flow/instant/0")?.trail).toEqual([1, 1, 2]);
  });

  it("that never came are missed", () => {
    const model = shown();
    expect(model.sensorSilent("p1", START)).toBe(true);
    expect(model.metricsWithoutData("p1")).toEqual(["flow"]);
  });
});

describe("regions", () => {
  it("are told of those right below, wherever a street lies", () => {
    const model = shown({ warnings: [warning("a", 1, "red"), warning("b", 1, "blue")], values: [value(0, 1)] });
    expect(model.childOf("s")).toBe("d");
    const of = model.summaries(START);
    expect(of.get("d")).toEqual({ tier: "red", counts: { red: 1, orange: 0, yellow: 0, blue: 1 }, open: 2, sensors: 1, silent: 0 });
    expect(of.get("o")).toMatchObject({ tier: null, open: 0, sensors: 0 });
  });

  it("without any below are told of themselves", () => {
    const model = shown({ region: STREET, path: [STREET, DISTRICT, CITY], children: [], below: [], warnings: [warning("a", 1)] });
    expect(model.summaries(START).get("s")).toMatchObject({ tier: "yellow", open: 1, sensors: 1, silent: 1 });
  });
});
