import { expect, it } from "vitest";
import type { Sensor } from "../schema";
import { formOf, Misfit, secondsOf, sensorOf, shownValue } from "./registered";

const SENSOR: Sensor = {
  id: "dma-1",
  version: 3,
  name: { zh: "一号计量区", en: "DMA 1" },
  domain: "water",
  department: "water",
  street: "620102001",
  metrics: { flow: { unit: "L/s", name: { zh: "流量", en: "Flow" }, low: 0, high: 120.5, spike: null, stuck: "PT1H30M" } },
  tags: ["b", "a"],
  attributes: { phase: "earthworks" },
  adapter: "mqtt",
  link: { protocol: "mqtt", mapping: "m", device: "d" },
  life: "active",
  station: null,
  permits: [{ kind: "build", number: "7", until: null }],
  cim: null,
  every: "PT0.5S",
  place: null,
  longitude: 103.8,
  latitude: 36.06,
};

it("reads lengths of time", () => {
  expect(["PT10M", "P1DT2H", "PT0.5S", "P7D", "PT1H30M"].map(secondsOf)).toEqual([600, 93_600, 0.5, 604_800, 5400]);
  expect(["", "P", "PT", "10", "-PT1M", "P1M"].map(secondsOf)).toEqual([NaN, NaN, NaN, NaN, NaN, NaN]);
});

it("gives back what it was made of, with what no field shows", () => {
  const back = sensorOf(formOf(SENSOR), SENSOR);
  expect({ ...back, every: secondsOf(back.every!), tags: [...back.tags!].sort() }).toEqual({ ...SENSOR, every: 0.5, tags: ["a", "b"], metrics: { flow: { ...SENSOR.metrics["flow"], stuck: "PT5400S" } } });
});

it("takes what a person writes: empty fields are not there, one language of a place stands for both", () => {
  const form = { ...formOf(SENSOR), every: "300", longitude: "", placeZh: "东口", attributes: "phase = pit\n\nsite=a=b", tags: "x，y z" };
  expect(sensorOf(form, SENSOR)).toMatchObject({ every: "PT300S", longitude: null, place: { zh: "东口", en: "东口" }, attributes: { phase: "pit", site: "a=b" }, tags: ["x", "y", "z"] });
});

it("says which field cannot be sent", () => {
  for (const [field, text] of [["attributes", "phase"], ["link", "{"]] as const) {
    expect(() => sensorOf({ ...formOf(SENSOR), [field]: text }, SENSOR)).toThrow(new Misfit(field));
  }
});

it("makes a form of a draft that knows little", () => {
  expect(formOf({ id: "x", metrics: { flow: {} } })).toMatchObject({ id: "x", life: "active", metrics: [{ code: "flow", unit: "" }] });
  expect([shownValue(null), shownValue(0), shownValue({ a: 1 })]).toEqual(["—", "0", '{"a":1}']);
});
