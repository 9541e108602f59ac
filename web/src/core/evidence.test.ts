import { afterEach, expect, it } from "vitest";
import type { Evidence } from "../schema";
import { warning } from "../testing/frames";
import { backgroundText, clearsText, dwellText, limitText, measuredText, measureText, partText } from "./evidence";
import { hasWords, language } from "./words";

const evidence = (given: Partial<Evidence>): Evidence => ({ ...warning("a", 1).evidence, clears: null, clears_at: null, ...given });
const clears = (given: Partial<NonNullable<Evidence["clears"]>>) => ({ limit: 10, direction: "above" as const, readings: 1, dwell_s: null, ...given });

afterEach(() => {
  language.value = "zh";
});

it.each<[Partial<Evidence>, string, string]>([
  [{ measure: "value", value: 6.5, unit: "L/s", limit: 8 }, "6.5 L/s", "≤ 8 L/s"],
  [{ measure: "rate", value: 1.25, unit: "m/h", limit: 1, direction: "above" }, "1.25 m/h", "≥ 1 m/h"],
  [{ measure: "window", value: 152, unit: "ug/m3", limit: 151, direction: "above" }, "152 µg/m³", "≥ 151 µg/m³"],
  [{ measure: "absence", value: 720, unit: "s", limit: 600, direction: "above" }, "静默 12 分 0 秒", "≥ 10 分 0 秒"],
  [{ measure: "agreement", value: 3, unit: "1", limit: 2, direction: "above" }, "3 个传感器", "≥ 2 个传感器"],
  [{ measure: "exceedances", value: 7, unit: "1", limit: 7, direction: "above" }, "当日 7 次", "≥ 当日 7 次"],
  [{ measure: "condition", value: 71, unit: "Cel", limit: null }, "71 ℃", "组合条件"],
])("%o is told as it was measured", (given, value, limit) => {
  expect([measuredText(evidence(given)), limitText(evidence(given))]).toEqual([value, limit]);
});

it.each<[Partial<Evidence>, string]>([
  [{}, "—"],
  [{ clears_at: 10 }, "≥ 10 L/s"],
  [{ clears: clears({}) }, "≥ 10 L/s"],
  [{ clears: clears({ readings: 3 }) }, "≥ 10 L/s · 连续 3 个读数"],
  [{ clears: clears({ readings: null, dwell_s: 120 }) }, "≥ 10 L/s · 持续 2 分 0 秒"],
  [{ clears: clears({ limit: null, readings: null, dwell_s: 60 }) }, "条件不再成立 · 持续 1 分 0 秒"],
  [{ measure: "absence", clears: clears({ limit: 0 }) }, "再次收到读数"],
  [{ measure: "absence", clears: clears({ limit: 0, readings: 2 }) }, "再次收到 2 个读数"],
])("what would clear %o is told whole", (given, told) => {
  expect(clearsText(evidence(given))).toBe(told);
});

it("dwells are told as they were asked for", () => {
  expect(dwellText({ readings: 3, dwell_s: null })).toBe("连续 3 个读数");
  expect(dwellText({ readings: null, dwell_s: 120 })).toBe("持续 2 分 0 秒");
  expect(dwellText({ readings: 1, dwell_s: null })).toBe("首个读数即判定");
});

it("a measure is named with its length, and a plain value is not", () => {
  expect(measureText({ measure: "value", window_s: null })).toBe("");
  expect(measureText({ measure: "window", window_s: 900 })).toBe("时段统计 15 分 0 秒");
  language.value = "en";
  expect(measureText({ measure: "agreement", window_s: 60 })).toBe("sensors that agree within 1 min 0 s");
});

it("every kind of measure has its words", () => {
  for (const kind of ["rate", "window", "exceedances", "absence", "agreement", "regional", "background", "condition"]) expect(hasWords(`ms_${kind}`)).toBe(true);
});

it("what was subtracted is told where anything was", () => {
  expect([backgroundText({ background: null, unit: "ug/m3" }), backgroundText({ background: 150, unit: "ug/m3" })]).toEqual(["", "150 µg/m³"]);
});

it("each part of a condition says what came of it", () => {
  const heat = { zh: "温度", en: "Temperature" };
  const part = { measure: "main", metric: "temperature", value: 71, direction: "above", limit: 65, holds: true } as const;
  expect(partText(part, heat, "Cel")).toBe("✓ 温度 71 ℃ (≥ 65 ℃)");
  expect(partText({ ...part, holds: false, value: 60 }, heat, "Cel")).toBe("✗ 温度 60 ℃ (≥ 65 ℃)");
  expect(partText({ ...part, holds: null, value: null }, heat, "Cel")).toBe("? 温度 无法判断 (≥ 65 ℃)");
});
