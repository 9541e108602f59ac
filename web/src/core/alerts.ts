// Alerts as a phone shows them: in which order, where they are, and who answers for them. Pure.

import type { Actor, Deed, FieldAlert, FieldWarning, Name } from "../schema";
import { instant } from "./format";
import type { Place } from "./routes";
import { GRAVITY } from "./tiers";

const FAR: Partial<Record<Deed, number>> = { acknowledge: 1, on_my_way: 2, arrived: 3, done: 4 };

/** Open before closed, then the graver, what nobody answers for, what was given to the reader, the newest. */
export function beforeIn(a: FieldAlert, b: FieldAlert): number {
  return (
    Number(a.closed_at !== null) - Number(b.closed_at !== null) ||
    GRAVITY[b.tier] - GRAVITY[a.tier] ||
    Number(b.unanswered) - Number(a.unanswered) ||
    Number(b.assigned) - Number(a.assigned) ||
    instant(b.opened_at) - instant(a.opened_at) ||
    (a.id < b.id ? -1 : 1)
  );
}

/** The alerts in the order in which they are shown. */
export const inOrder = (alerts: readonly FieldAlert[]): FieldAlert[] => [...alerts].sort(beforeIn);

/** Who answers for something, how far they have come, and since when. */
export interface Answerer {
  deed: Deed;
  by: Actor;
  at: number;
  note: string | null;
}

function ofWarning({ actions }: FieldWarning): Answerer[] {
  const { acknowledged, progress } = actions ?? {};
  return [
    ...(acknowledged ? [{ deed: "acknowledge" as const, by: acknowledged.by, at: instant(acknowledged.at), note: acknowledged.note }] : []),
    ...(progress ? [{ deed: progress.step, by: progress.by, at: instant(progress.at), note: progress.note }] : []),
  ];
}

/** Who answers for an alert: of all who do the one who has come farthest, of these the last. Null where nobody does. */
export function answerer(alert: FieldAlert): Answerer | null {
  const all = alert.warnings.flatMap(ofWarning);
  return all.reduce<Answerer | null>((far, one) => (far === null || (FAR[one.deed] ?? 0) > (FAR[far.deed] ?? 0) || (one.deed === far.deed && one.at > far.at) ? one : far), null);
}

/** What comes next for somebody: the step after the farthest that they have come themselves. Null after the last, and where others see to it. */
export function nextDeed(alert: FieldAlert, user: string, waiting: readonly Deed[] = []): Deed | null {
  const own = alert.warnings.flatMap(ofWarning).filter(({ by }) => by.id === user).map(({ deed }) => deed);
  if (own.length + waiting.length === 0 && !alert.assigned && answerer(alert) !== null) return null;
  const far = Math.max(0, ...[...own, ...waiting].map((deed) => FAR[deed] ?? 0));
  return (["acknowledge", "on_my_way", "arrived", "done"] as const)[far] ?? null;
}

/** Where an alert is: the first of its warnings, the gravest, that has a position. */
export function placeOf(alert: FieldAlert, named: (name: Name) => string): Place | null {
  for (const { longitude, latitude, place, text } of alert.warnings) {
    if (longitude !== null && latitude !== null) return { longitude, latitude, name: named(place ?? text) };
  }
  return null;
}

/** The places of an alert in words, without repetition, the first `most`. */
export function placesOf(alert: FieldAlert, named: (name: Name) => string, most = 3): { places: string[]; more: number } {
  const all = [...new Set(alert.warnings.flatMap(({ place }) => (place ? [named(place)] : [])))];
  return { places: all.slice(0, most), more: Math.max(0, all.length - most) };
}

/** When the first of an alert's warnings began; when it was opened, where it has none. */
export const beganAt = (alert: FieldAlert): number => Math.min(instant(alert.opened_at), ...alert.warnings.map(({ began_at }) => instant(began_at)));
