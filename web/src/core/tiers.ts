// The four tiers and the four streams, in the order in which they are shown.

import type { Domain, Tier } from "../schema";

/** Gravity of the tiers, as in `schemas/tiers.py`. */
export const GRAVITY: Record<Tier, number> = { red: 4, orange: 3, yellow: 2, blue: 1 };

/** The tiers, gravest first. */
export const TIERS: readonly Tier[] = ["red", "orange", "yellow", "blue"];

/** The numerals by which 国家突发事件 practice knows them. */
export const NUMERAL: Record<Tier, string> = { red: "Ⅰ", orange: "Ⅱ", yellow: "Ⅲ", blue: "Ⅳ" };

/** The outlines of the four shapes, in a box of 24 by 24: octagon, diamond, triangle, circle. */
export const SHAPE: Record<Tier, string> = {
  red: "M7.5 1.5h9l6 6v9l-6 6h-9l-6-6v-9z",
  orange: "M12 .8 23.2 12 12 23.2.8 12z",
  yellow: "M12 1.5 23.5 21.5H.5z",
  blue: "M12 1.5a10.5 10.5 0 1 0 0 21a10.5 10.5 0 1 0 0-21z",
};

/** The streams, in the order of the house. */
export const DOMAINS: readonly Domain[] = ["water", "sewage", "dust", "fire"];

/** The graver of two tiers, where either may be none. */
export function graverTier(a: Tier | null, b: Tier | null): Tier | null {
  if (a === null || b === null) return a ?? b;
  return GRAVITY[a] >= GRAVITY[b] ? a : b;
}

/** No warnings of any tier. */
export const noCounts = (): Record<Tier, number> => ({ red: 0, orange: 0, yellow: 0, blue: 0 });
