import { describe, expect, it } from "vitest";
import { declutter, type Sized } from "./declutter";
import { arrange, bounds, type Outline, place, telling } from "./outlines";
import { compose, fingerprint } from "./scene";
import type { MapChild, MapSensor } from "./types";

const square = (code: string, west: number, more: Partial<Outline> = {}): Outline => ({
  code,
  role: "child",
  name: { zh: code, en: code },
  schematic: false,
  label: [west + 0.5, 0.5],
  geometry: { type: "MultiPolygon", coordinates: [[[[west, 0], [west + 1, 0], [west + 1, 1], [west, 1], [west, 0]]]] },
  ...more,
});

const sensor = (id: string, child: string, at: [number, number] | null, more: Partial<MapSensor> = {}): MapSensor => ({
  id,
  name: { zh: id, en: id },
  tier: null,
  warning: null,
  domain: "water",
  longitude: at?.[0] ?? null,
  latitude: at?.[1] ?? null,
  street: child,
  child,
  ...more,
});

const child = (code: string, tier: MapChild["tier"] = null): MapChild => ({
  code,
  name: { zh: code, en: code },
  level: "district",
  tier,
  counts: { red: 0, orange: 0, yellow: 0, blue: 0 },
  sensors: 1,
  silent: 0,
});

const city = square("city", 0, { role: "self" });

describe("where sensors are drawn", () => {
  it("is where they are, in a true shape, and nowhere when that is unknown", () => {
    const { placed, unplaced, arranged } = place([city, square("a", 0)], [sensor("s1", "a", [0.2, 0.3]), sensor("s2", "a", null)]);
    expect(placed.map(({ sensor: { id }, at }) => [id, at])).toEqual([["s1", [0.2, 0.3]]]);
    expect([unplaced, arranged]).toEqual([1, 0]);
  });

  it("is inside the shape of their own region where that is made up, wherever they are", () => {
    const { placed, arranged } = place([city, square("a", 0, { schematic: true }), square("b", 5, { schematic: true })], [sensor("s1", "b", [0.2, 0.3])]);
    expect(arranged).toBe(1);
    expect(placed[0]!.at[0]).toBeGreaterThan(5);
    expect(placed[0]!.at[0]).toBeLessThan(6);
  });

  it("is nowhere where made-up shapes are many, and that is counted", () => {
    const many = Array.from({ length: 13 }, (_, at) => square(`a${at}`, at, { schematic: true }));
    expect(place([city, ...many], [sensor("s1", "a3", [0.2, 0.3])])).toEqual({ placed: [], unplaced: 0, arranged: 0, crowded: 1 });
  });

  it("is in the region itself when nothing lies below it", () => {
    expect(telling([city])).toEqual([city]);
    expect(place([city], [sensor("s1", "city", [0.2, 0.3])]).placed).toHaveLength(1);
  });

  it.each([1, 12, 100])("is a place of its own for each of %d, none of them the label's", (count) => {
    const places = arrange(square("a", 0, { schematic: true }), count);
    expect(new Set(places.map(String)).size).toBe(count);
    for (const [x, y] of places) expect(Math.hypot(x - 0.5, y - 0.5)).toBeGreaterThan(0.1);
    for (const [x, y] of places) expect(Math.hypot(x - 0.5, y - 0.5)).toBeLessThan(0.5);
  });
});

describe("a scene", () => {
  it("fills the children by their gravest tier and leaves the region itself a line", () => {
    const { regions } = compose([city, square("a", 0), square("b", 1)], [child("a", "red"), child("b")], []);
    expect(regions.features.map(({ properties: { code, look, tells } }) => [code, look, tells])).toEqual([["city", "none", false], ["a", "red", true], ["b", "none", true]]);
  });

  it("draws the gravest sensors last", () => {
    const placed = place([city, square("a", 0)], [sensor("s1", "a", [0, 0], { tier: "red" }), sensor("s2", "a", [0, 0])]).placed;
    const { sensors } = compose([city, square("a", 0)], [], placed);
    expect(sensors.features.map(({ properties: { id, order } }) => [id, order])).toEqual([["s1", 4], ["s2", 0]]);
  });

  it("is another when a tier changed, and the same when only counts did", () => {
    const before = fingerprint([child("a", "red")], [sensor("s1", "a", null)]);
    expect(fingerprint([{ ...child("a", "red"), sensors: 9, silent: 3 }], [sensor("s1", "a", null)])).toBe(before);
    expect(fingerprint([child("a", "blue")], [sensor("s1", "a", null)])).not.toBe(before);
    expect(fingerprint([child("a", "red")], [sensor("s1", "a", null, { tier: "red" })])).not.toBe(before);
    expect(fingerprint([child("a", "red")], [])).not.toBe(before);
  });

  it("reaches as far as its shapes", () => {
    expect(bounds([square("a", -2), square("b", 3)])).toEqual([-2, 0, 4, 1]);
  });
});

describe("labels", () => {
  const at = (x: number, weight: number, brief = 20): Sized => ({ x, y: 0, whole: [60, 30], brief: [brief, 12], weight });

  it("are whole where there is room", () => expect(declutter([at(0, 0), at(100, 4)])).toEqual(["whole", "whole"]));

  it("keep their mark beside a graver one's name", () => expect(declutter([at(0, 1), at(45, 4)])).toEqual(["brief", "whole"]));

  it("never lose a mark to a name", () => expect(declutter([at(0, 4), at(30, 1)])).toEqual(["brief", "brief"]));

  it("are left out when they have no mark and no room", () => expect(declutter([at(0, 0, 0), at(45, 4)])).toEqual(["hidden", "whole"]));
});
