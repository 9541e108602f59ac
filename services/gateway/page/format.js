// Times, numbers and units as text.

import { language, t } from "./words.js";

/** Milliseconds since 1970 of an ISO 8601 time, microseconds kept as a fraction (`Date` alone would drop them). NaN of anything else. */
export function instant(text) {
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? "";
  return Date.parse(text) + Number(`0.${fraction.slice(3) || "0"}`);
}

const two = (number) => String(number).padStart(2, "0");

/** `HH:MM:SS` of a time, with the date before it when that is not today's. */
export function clockTime(ms, today = ms) {
  if (!Number.isFinite(ms)) return "--:--:--";
  const at = new Date(ms);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return at.toDateString() === new Date(today).toDateString() ? time : `${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

/** The browser's zone at a time as `UTC+08:00`: times are shown in it. */
export function zone(ms) {
  const minutes = -new Date(ms).getTimezoneOffset();
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** A length of time in words, whole seconds, two units at most. */
export function span(ms) {
  const all = Math.max(0, Math.floor(ms / 1000));
  const [s, m, h, d] = [all % 60, Math.floor(all / 60) % 60, Math.floor(all / 3600) % 24, Math.floor(all / 86400)];
  if (all < 60) return t("seconds", { s });
  if (all < 3600) return t("minutes", { m, s });
  return all < 86400 ? t("hours", { h, m }) : t("days", { d, h });
}

const AHEAD_MS = 2000; // less is no more than two clocks' honest difference

/** How long ago a time is, in words; a time ahead of the server's is said to be. */
export function age(at, now) {
  if (!Number.isFinite(at) || !Number.isFinite(now)) return "—";
  return now - at < -AHEAD_MS ? t("ahead", { x: span(at - now) }) : t("ago", { x: span(now - at) });
}

const numbers = {};

/** A number with up to six significant digits. */
export function number(value) {
  numbers[language()] ??= new Intl.NumberFormat(language(), { maximumSignificantDigits: 6 });
  return numbers[language()].format(value);
}

const UNITS = { Cel: "℃", "%": "%", "1": "", "{count}": "" };

/** A UCUM unit as people write it: `mg/m3` as `mg/m³`, `Cel` as `℃`, `ug` as `µg`, `%{LEL}` as `% LEL`, `[pH]` as `pH`. */
export function unit(code) {
  if (Object.hasOwn(UNITS, code)) return UNITS[code];
  const plain = code.replace(/\[(.*?)\]/g, "$1").replace(/\{(.*?)\}/g, " $1").trim();
  return plain.replace(/\bm2\b/g, "m²").replace(/\bm3\b/g, "m³").replace(/\bug\b/g, "µg");
}

/** A number with its unit. */
export const quantity = (value, code) => `${number(value)} ${unit(code)}`.trimEnd();
