// What became of a department's events, as numbers of a time.

import type { EventsSummary, RefusedCount } from "../schema";
import { dayOf, fromInput } from "./format";
import { t } from "./words";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** The times that one can look at. */
export const RANGES = ["hour", "today", "yesterday", "week"] as const;

export type Range = (typeof RANGES)[number];

/** The beginning and the end (ms) of a time; no end is now. Days are the city's. */
export function timesOf(range: Range, now: number): { since: number; until: number | null } {
  if (range === "hour") return { since: now - HOUR_MS, until: null };
  if (range === "week") return { since: now - 7 * DAY_MS, until: null };
  const midnight = fromInput(`${dayOf(now)}T00:00`);
  if (range === "today") return { since: midnight, until: null };
  return { since: fromInput(`${dayOf(midnight - HOUR_MS)}T00:00`), until: midnight };
}

/** A time as parameters of a question. */
export function asQuery(range: Range, now: number): string {
  const { since, until } = timesOf(range, now);
  const iso = (ms: number): string => encodeURIComponent(new Date(ms).toISOString());
  return `since=${iso(since)}${until === null ? "" : `&until=${iso(until)}`}`;
}

/** What became of the events of one hour, by all ways in. */
export interface Hour {
  at: number;
  accepted: number;
  refused: number;
  late: number;
}

/** Each hour of a summary, those without events too. */
export function hoursOf({ since, until, hours }: Pick<EventsSummary, "since" | "until" | "hours">): Hour[] {
  const found = new Map<number, Hour>();
  const first = Math.floor(Date.parse(since) / HOUR_MS) * HOUR_MS;
  for (let at = first; at < Date.parse(until); at += HOUR_MS) found.set(at, { at, accepted: 0, refused: 0, late: 0 });
  for (const { hour, observations, reports, refused, late } of hours) {
    const of = found.get(Date.parse(hour));
    if (of === undefined) continue;
    of.accepted += observations + reports;
    of.refused += refused;
    of.late += late;
  }
  return [...found.values()];
}

/** The reasons, the most first, with how many of each still wait to be mended. */
export function reasonsOf(counts: readonly RefusedCount[]): { code: string; count: number; kept: number }[] {
  const found = new Map<string, { code: string; count: number; kept: number }>();
  for (const { code, state, count } of counts) {
    const of = found.get(code) ?? { code, count: 0, kept: 0 };
    found.set(code, { code, count: of.count + count, kept: of.kept + (state === "kept" ? count : 0) });
  }
  return [...found.values()].sort((a, b) => b.count - a.count);
}

/** What an outcome of sending again tells of one. */
export interface Became {
  rejected: string;
  became: string;
  problem?: { code: string; where: string; message: string; hint: string };
}

/** `接受 2 · 仍被拒 1`. */
export function tally(results: readonly Became[]): string {
  const counts = new Map<string, number>();
  for (const { became } of results) counts.set(became, (counts.get(became) ?? 0) + 1);
  return [...counts].map(([became, n]) => `${t(`became_${became}`)} ${n}`).join(" · ");
}

/** A size in bytes as people read it. */
export const bytes = (size: number): string => (size < 1024 ? `${size} B` : size < 1 << 20 ? `${(size / 1024).toFixed(1)} KiB` : `${(size / (1 << 20)).toFixed(1)} MiB`);
