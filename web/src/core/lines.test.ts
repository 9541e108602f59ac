import { expect, it } from "vitest";
import { delta, sensor, snapshot, START, value, warning } from "../testing/frames";
import { inOrder, linesOf, sparkPoints, wanted } from "./lines";
import { Model } from "./model";

function city(): Model {
  const model = new Model();
  const two = { ...sensor("p10"), metrics: { ...sensor("p10").metrics, level: { unit: "m", name: { zh: "液位", en: "Level" }, low: null, high: null, spike: null, stuck: null } } };
  const fire = { ...sensor("f1"), domain: "fire" as const };
  model.apply(snapshot({ sensors: [fire, two, sensor("p2")], values: [value(0, 1, "p2"), value(0, 1, "p10")], warnings: [{ ...warning("a", 1), sensor: "p2" }] }));
  return model;
}

const wish = { text: "", only: "all", domain: null } as const;
const ids = (model: Model, given: object): string[] => wanted(model, inOrder(model), { ...wish, ...given }, model.gravestBySensor(), START).map(({ id }) => id);

it("sensors stand by stream and then as people count", () => {
  expect(ids(city(), {})).toEqual(["p2", "p10", "f1"]);
});

it("a sensor with one series takes one line, others one for each and one for themselves", () => {
  const model = city();
  expect(linesOf(model, inOrder(model)).map(({ kind, key }) => [kind, key])).toEqual([
    ["domain", "water"],
    ["series", "p2/flow/instant/0"],
    ["sensor", "p10"],
    ["series", "p10/flow/instant/0"],
    ["nothing", "p10/level"],
    ["domain", "fire"],
    ["nothing", "f1/flow"],
  ]);
});

it("what is wished for is found", () => {
  const model = city();
  expect(ids(model, { text: " 液位 " })).toEqual(["p10"]);
  expect(ids(model, { only: "warned" })).toEqual(["p2"]);
  expect(ids(model, { domain: "fire" })).toEqual(["f1"]);
  expect(ids(model, { only: "unsound" })).toEqual(["p10", "f1"]);
  model.apply(delta({ values: [{ ...value(1, 1, "p2"), quality: "fault" }] }));
  expect(ids(model, { only: "unsound" })).toEqual(["p2", "p10", "f1"]);
});

it("a trail of one value is no line, a level one is flat", () => {
  expect([sparkPoints([4]), sparkPoints([4, 4])]).toEqual(["", "0.0,16.0 64.0,16.0"]);
});
