// Times, numbers and units as text. Times are shown in the city's zone, wherever the screen stands.

import { language, t } from "./words";

/** Milliseconds since 1970 of an ISO 8601 time, microseconds kept as a fraction (`Date` alone would drop them). NaN of anything else. */
export function instant(text: string): number {
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? "";
  return Date.parse(text) + Number(`0.${fraction.slice(3) || "0"}`);
}

interface Zone {
  clock: Intl.DateTimeFormat;
  offset: Intl.DateTimeFormat;
}

function zoneOf(timeZone: string | undefined): Zone {
  const zone = timeZone === undefined ? {} : { timeZone };
  const parts = { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" } as const;
  return {
    clock: new Intl.DateTimeFormat("en-GB", { ...zone, year: "numeric", ...parts }),
    offset: new Intl.DateTimeFormat("en-GB", { ...zone, timeZoneName: "longOffset" }),
  };
}

let zoneNow = zoneOf(undefined);

/** Show times in an IANA zone from here on; one that the browser does not know leaves its own. */
export function useZone(timeZone: string): void {
  try {
    zoneNow = zoneOf(timeZone);
  } catch (error) {
    console.warn(`unknown time zone ${timeZone}`, error);
  }
}

interface Stamp {
  day: string;
  monthDay: string;
  time: string;
}

const stamps = new Map<number, Stamp>();
let stampsOf = zoneNow;
const STAMPS_KEPT = 2000;

// The same seconds are asked for by many rows again and again, and Intl takes microseconds for each.
function stamp(ms: number): Stamp {
  const second = Math.floor(ms / 1000);
  if (stampsOf !== zoneNow || stamps.size > STAMPS_KEPT) stamps.clear();
  stampsOf = zoneNow;
  const known = stamps.get(second);
  if (known) return known;
  const parts = new Map(zoneNow.clock.formatToParts(ms).map(({ type, value }) => [type, value]));
  const part = (type: Intl.DateTimeFormatPartTypes): string => parts.get(type) ?? "";
  const monthDay = `${part("month")}-${part("day")}`;
  const made = { day: `${part("year")}-${monthDay}`, monthDay, time: `${part("hour")}:${part("minute")}:${part("second")}` };
  stamps.set(second, made);
  return made;
}

/** `HH:MM:SS` of a time, with the date before it when that is not today's. */
export function clockTime(ms: number, today = ms): string {
  if (!Number.isFinite(ms)) return "--:--:--";
  const at = stamp(ms);
  return !Number.isFinite(today) || at.day === stamp(today).day ? at.time : `${at.monthDay} ${at.time}`;
}

/** `HH:MM` of a time, with the date before it when that is not today's. */
export const minuteTime = (ms: number, today = ms): string => clockTime(ms, today).slice(0, -3);

/** `YYYY-MM-DD HH:MM:SS`. */
export function fullTime(ms: number): string {
  return Number.isFinite(ms) ? `${stamp(ms).day} ${stamp(ms).time}` : "—";
}

/** `YYYY-MM-DD`. */
export const dayOf = (ms: number): string => (Number.isFinite(ms) ? stamp(ms).day : "");

/** The zone in which times are shown, at a time, as `UTC+08:00`. */
export function zone(ms: number): string {
  const name = zoneNow.offset.formatToParts(ms).find(({ type }) => type === "timeZoneName")?.value ?? "";
  return name === "GMT" ? "UTC+00:00" : name.replace("GMT", "UTC");
}

/** A time as an `<input type="datetime-local">` has it, in the zone in which times are shown. */
export const asInput = (ms: number): string => `${stamp(ms).day}T${stamp(ms).time.slice(0, 5)}`;

/** Milliseconds since 1970 of what such an input says in that zone; NaN of nothing. */
export function fromInput(text: string): number {
  const offset = (at: number): string => zone(at).slice(3) || "Z";
  const guess = Date.parse(`${text}Z`);
  return Number.isFinite(guess) ? Date.parse(text + offset(Date.parse(text + offset(guess)))) : NaN;
}

/** A length of time in words, whole seconds, two units at most. */
export function span(ms: number): string {
  const all = Math.max(0, Math.floor(ms / 1000));
  const [s, m, h, d] = [all % 60, Math.floor(all / 60) % 60, Math.floor(all / 3600) % 24, Math.floor(all / 86_400)];
  if (all < 60) return t("seconds", { s });
  if (all < 3600) return t("minutes", { m, s });
  return all < 86_400 ? t("hours", { h, m }) : t("days", { d, h });
}

const AHEAD_MS = 2000; // less is no more than two clocks' honest difference

/** How long ago a time is, in words; a time ahead of the server's is said to be. */
export function age(at: number, now: number): string {
  if (!Number.isFinite(at) || !Number.isFinite(now)) return "—";
  return now - at < -AHEAD_MS ? t("ahead", { x: span(at - now) }) : t("ago", { x: span(now - at) });
}

const numbers = new Map<string, Intl.NumberFormat>();

/** A number with up to six significant digits. */
export function number(value: number): string {
  let format = numbers.get(language.value);
  if (!format) numbers.set(language.value, (format = new Intl.NumberFormat(language.value, { maximumSignificantDigits: 6 })));
  return format.format(value);
}

const UNITS: Record<string, string> = { Cel: "℃", "%": "%", "1": "", "{count}": "" };

/** A UCUM unit as people write it: `mg/m3` as `mg/m³`, `Cel` as `℃`, `ug` as `µg`, `%{LEL}` as `% LEL`, `[pH]` as `pH`. */
export function unit(code: string): string {
  if (Object.hasOwn(UNITS, code)) return UNITS[code]!;
  const plain = code.replace(/\[(.*?)\]/g, "$1").replace(/\{(.*?)\}/g, " $1").trim();
  return plain.replace(/\bm2\b/g, "m²").replace(/\bm3\b/g, "m³").replace(/\bug\b/g, "µg");
}

/** A number with its unit. */
export const quantity = (value: number, code: string): string => `${number(value)} ${unit(code)}`.trimEnd();

/** `5 分 0 秒 均值`, or nothing of an instant. */
export const statisticText = (statistic: string, periodS: number): string => (statistic === "instant" ? "" : `${span(periodS * 1000)} ${t(statistic)}`);

/** Words as a line: what the gateway calls a text has no breaks and nothing else that cannot be seen. */
export const oneLine = (text: string): string => text.replace(/[\s\u0000-\u001f\u007f]+/gu, " ").trim();
