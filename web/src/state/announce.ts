// What screen readers are told, and the window's title.

import { shallowRef } from "vue";
import type { Model, News } from "../core/model";
import type { KnownWarning } from "../core/model";
import { GRAVITY, NUMERAL, TIERS } from "../core/tiers";
import { named, t } from "../core/words";
import type { Tier } from "../schema";

const SPOKEN_ONE_BY_ONE = 3;

/** Said when there is time. */
export const polite = shallowRef("");

/** Said at once. */
export const assertive = shallowRef("");

function isWorse({ warning, before }: News): boolean {
  if (warning.state !== "open") return false;
  return before === undefined || before.state !== "open" || GRAVITY[warning.tier] > GRAVITY[before.tier];
}

const alone = (warning: KnownWarning): string =>
  t("sayWarning", { tier: t(warning.tier), change: t(warning.change), rule: named(warning.rule_name), sensor: named(warning.sensor_name) });

function together(warnings: readonly KnownWarning[]): string {
  const gravest = TIERS.find((tier) => warnings.some((warning) => warning.tier === tier)) ?? "blue";
  return t("sayMany", { n: warnings.length, tier: t(gravest) });
}

/** Tell of warnings that were opened or raised; red interrupts. */
export function announceNews(news: readonly News[]): void {
  const worse = news.filter(isWorse).map(({ warning }) => warning);
  if (worse.length === 0) return;
  const text = worse.length > SPOKEN_ONE_BY_ONE ? together(worse) : worse.map(alone).join(" ");
  if (worse.some((warning) => warning.tier === "red")) assertive.value = text;
  else polite.value = text;
}

/** `红 Ⅰ` or `Red Ⅰ`. */
export const tierWord = (tier: Tier): string => `${t(tier)} ${NUMERAL[tier]}`;

/** The title of a region's window: a sign when the screen stands still, the gravest count, the region. */
export function regionTitle(model: Model, lost: boolean): string {
  const counts = model.counts();
  const gravest = TIERS.find((tier) => counts[tier] > 0);
  const parts = [lost ? "⚠" : "", gravest ? `${tierWord(gravest)} ${counts[gravest]}` : "", model.region ? named(model.region.name) : "", t("brand")];
  return parts.filter(Boolean).join(" · ");
}

let titled = "";

/** Set the window's title, when it differs. */
export function setTitle(title: string): void {
  if (title === titled) return;
  titled = document.title = title;
}
