import { describe, expect, it } from "vitest";
import { actions, at, CHEN, fieldAlert, fieldWarning, START } from "../testing/frames";
import { answerer, beganAt, inOrder, nextDeed, placeOf, placesOf } from "./alerts";

const zh = ({ zh: name }: { zh: string }): string => name;
const LI = { id: "li", name: { zh: "李", en: "Li" } };
const acknowledged = { by: CHEN, at: at(5), seen_rev: 1, tier: "red" as const, note: null, renewed_at: null };
const progress = (step: "on_my_way" | "arrived" | "done", seconds = 9, by = LI) => ({ step, by, at: at(seconds), seen_rev: 1, note: null });
const answered = (given: Parameters<typeof actions>[2]) => fieldAlert("a", { warnings: [fieldWarning("w", { actions: actions("w", 1, given) })] });

it("puts the gravest first, then what nobody answers for, what was given to the reader and what is new; what is over last", () => {
  const alerts = [
    fieldAlert("over", { tier: "red", closed_at: at(50) }),
    fieldAlert("blue", { tier: "blue" }),
    fieldAlert("answered", { tier: "orange", unanswered: false }),
    fieldAlert("old", { tier: "orange" }),
    fieldAlert("new", { tier: "orange", opened_at: at(30) }),
    fieldAlert("mine", { tier: "orange", assigned: true }),
    fieldAlert("red", { tier: "red" }),
  ];
  expect(inOrder(alerts).map(({ id }) => id)).toEqual(["red", "mine", "new", "old", "answered", "blue", "over"]);
});

describe("who answers", () => {
  it("is nobody before somebody does", () => expect(answerer(fieldAlert("a"))).toBeNull());

  it("is who has come farthest, of these the last", () => {
    expect(answerer(answered({ acknowledged }))?.by).toBe(CHEN);
    expect(answerer(answered({ acknowledged, progress: progress("arrived") }))).toMatchObject({ by: LI, deed: "arrived", at: START + 9000 });
    const two = fieldAlert("a", { warnings: [fieldWarning("v", { actions: actions("v", 1, { progress: progress("on_my_way", 3) }) }), fieldWarning("w", { actions: actions("w", 1, { progress: progress("on_my_way", 8, CHEN) }) })] });
    expect(answerer(two)?.by).toBe(CHEN);
  });
});

it("offers the step after the reader's own, what waits to be sent counted", () => {
  expect(nextDeed(fieldAlert("a"), "li")).toBe("acknowledge");
  expect(nextDeed(answered({ acknowledged }), "li")).toBeNull();
  expect(nextDeed({ ...answered({ acknowledged }), assigned: true }, "li")).toBe("acknowledge");
  expect(nextDeed(answered({ acknowledged, progress: progress("on_my_way") }), "li")).toBe("arrived");
  expect(nextDeed(fieldAlert("a"), "li", ["acknowledge", "comment"])).toBe("on_my_way");
  expect(nextDeed(answered({ progress: progress("done") }), "li")).toBeNull();
});

it("is where the first of its warnings with a position is", () => {
  const place = { zh: "酒泉路 1 号", en: "1 Jiuquan Road" };
  const alert = fieldAlert("a", { warnings: [fieldWarning("v"), fieldWarning("w", { longitude: 103.8, latitude: 36, place }), fieldWarning("x", { place }), fieldWarning("y", { place: { zh: "别处", en: "Elsewhere" } })] });
  expect(placeOf(alert, zh)).toEqual({ longitude: 103.8, latitude: 36, name: "酒泉路 1 号" });
  expect(placesOf(alert, zh, 1)).toEqual({ places: ["酒泉路 1 号"], more: 1 });
  expect(placeOf(fieldAlert("b"), zh)).toBeNull();
});

it("began with the first of its warnings", () => {
  expect(beganAt(fieldAlert("a", { opened_at: at(60), warnings: [fieldWarning("v", { began_at: at(20) }), fieldWarning("w", { began_at: at(40) })] }))).toBe(START + 20_000);
  expect(beganAt(fieldAlert("a", { opened_at: at(60), warnings: [] }))).toBe(START + 60_000);
});
