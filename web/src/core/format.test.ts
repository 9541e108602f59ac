import { afterEach, expect, it } from "vitest";
import { age, asInput, clockTime, fromInput, fullTime, instant, number, oneLine, quantity, span, unit, useZone, zone } from "./format";
import { hasWords, language, t } from "./words";

const NOON = Date.parse("2026-11-22T04:00:00Z");

afterEach(() => {
  language.value = "zh";
});

it("times are the city's, wherever the screen stands", () => {
  useZone("Asia/Shanghai");
  expect(clockTime(NOON)).toBe("12:00:00");
  expect(clockTime(NOON - 86_400_000, NOON)).toBe("11-21 12:00:00");
  expect(fullTime(NOON)).toBe("2026-11-22 12:00:00");
  expect(zone(NOON)).toBe("UTC+08:00");
  useZone("Asia/Kathmandu");
  expect([clockTime(NOON), zone(NOON)]).toEqual(["09:45:00", "UTC+05:45"]);
  useZone("Asia/Shanghai");
});

it("what is put into a form is of the city's zone too, also where summer time begins", () => {
  useZone("Asia/Shanghai");
  expect(asInput(NOON)).toBe("2026-11-22T12:00");
  expect(fromInput("2026-11-22T12:00")).toBe(NOON);
  expect(fromInput("")).toBeNaN();
  useZone("Europe/Paris");
  for (const hour of [0, 3, 8, 20]) expect(fromInput(asInput(Date.parse("2026-03-29T00:00:00Z") + hour * 3_600_000))).toBe(Date.parse("2026-03-29T00:00:00Z") + hour * 3_600_000);
  useZone("Asia/Shanghai");
});

it("a zone that the browser does not know changes nothing", () => {
  useZone("Asia/Shanghai");
  const complain = console.warn;
  console.warn = () => undefined;
  useZone("Mars/Olympus");
  console.warn = complain;
  expect(clockTime(NOON)).toBe("12:00:00");
});

it("no time is no time", () => {
  expect([clockTime(NaN), fullTime(NaN), age(NaN, NOON)]).toEqual(["--:--:--", "—", "—"]);
});

it("microseconds are kept", () => {
  expect(instant("2026-11-22T08:00:00.123456Z") - instant("2026-11-22T08:00:00.123Z")).toBeCloseTo(0.456, 3);
});

it.each([
  [59_999, "59 秒"],
  [60_000, "1 分 0 秒"],
  [3_600_000, "1 小时 0 分"],
  [90_000_000, "1 天 1 小时"],
  [-5, "0 秒"],
])("%i ms last %s", (ms, words) => {
  expect(span(ms)).toBe(words);
});

it("ages are told, and what is ahead of the server is said to be", () => {
  expect(age(NOON - 3000, NOON)).toBe("3 秒前");
  expect(age(NOON + 1500, NOON)).toBe("0 秒前");
  expect(age(NOON + 5000, NOON)).toBe("超前 5 秒");
  language.value = "en";
  expect(age(NOON - 3000, NOON)).toBe("3 s ago");
});

it.each([["mg/m3", "mg/m³"], ["Cel", "℃"], ["ug/m3", "µg/m³"], ["%{LEL}", "% LEL"], ["[pH]", "pH"], ["1", ""], ["L/s", "L/s"]])("%s is written %s", (code, written) => {
  expect(unit(code)).toBe(written);
});

it("numbers have six digits at most, and no unit leaves no gap", () => {
  expect([number(123456.789), quantity(7, "1"), quantity(1234.5, "L/s")]).toEqual(["123,457", "7", "1,234.5 L/s"]);
});

it("a word that is not known stands as it is", () => {
  expect([t("postponed"), t("toString"), hasWords("toString")]).toEqual(["postponed", "toString", false]);
});

it("makes a line of words that were given with breaks", () => {
  expect(oneLine(" 阀门已关\r\n\n水退\t了 \u0007\u2028好 ")).toBe("阀门已关 水退 了 好");
  expect(oneLine(" \n ")).toBe("");
});
