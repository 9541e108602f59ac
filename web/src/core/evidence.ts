// What decided a warning, in words: every kind of measure has its own way to say its value, its limit and what would clear it.

import type { Direction, Evidence, Name, Part } from "../schema";
import { number, quantity, span } from "./format";
import { named, t } from "./words";

type Measured = Pick<Evidence, "measure" | "unit">;

const SIGN = { above: "≥", below: "≤" } as const;
const OTHER: Record<Direction, Direction> = { above: "below", below: "above" };

/** A number of a measure: `12 分 0 秒` of a silence, `3 个传感器` of those that agree, else with its unit. */
function figure(value: number, { measure, unit }: Measured): string {
  if (measure === "absence") return span(value * 1000);
  if (measure === "agreement") return t("evAgree", { n: number(value) });
  if (measure === "exceedances") return t("evTimes", { n: number(value) });
  return quantity(value, unit);
}

/** What was measured: `静默 12 分 0 秒`, `3 个传感器`, `6.5 L/s`. */
export function measuredText(evidence: Measured & Pick<Evidence, "value">): string {
  const text = figure(evidence.value, evidence);
  return evidence.measure === "absence" ? t("silent", { x: text }) : text;
}

/** `≤ 8 L/s`: the side on which the measure is bad, as rules read it (the limit itself counts). */
export function limitText(evidence: Measured & Pick<Evidence, "direction" | "limit">): string {
  return evidence.limit === null ? t("evCondition") : `${SIGN[evidence.direction]} ${figure(evidence.limit, evidence)}`;
}

/** How long it had to be bad. */
export function dwellText({ readings, dwell_s: dwell }: Pick<Evidence, "readings" | "dwell_s">): string {
  if (readings !== null && readings > 1) return t("evReadings", { n: readings });
  return dwell === null ? t("evFirst") : t("evDwellTime", { x: span(dwell * 1000) });
}

/** What would end the present tier. */
export function clearsText(evidence: Measured & Pick<Evidence, "direction" | "clears_at" | "clears">): string {
  const { clears } = evidence;
  if (clears === null) return evidence.clears_at === null ? "—" : `${SIGN[OTHER[evidence.direction]]} ${figure(evidence.clears_at, evidence)}`;
  const often = clears.readings !== null && clears.readings > 1;
  if (evidence.measure === "absence") return t(often ? "evHeardOften" : "evHeard", { n: clears.readings ?? 1 });
  const side = clears.limit === null ? t("evNoCondition") : `${SIGN[clears.direction]} ${figure(clears.limit, evidence)}`;
  return often || clears.dwell_s !== null ? `${side} · ${dwellText(clears)}` : side;
}

const length = (seconds: number | null): string => (seconds === null ? "" : span(seconds * 1000));

/** The kind of what was measured, with its length; nothing of a plain value. */
export function measureText({ measure, window_s: window }: Pick<Evidence, "measure" | "window_s">): string {
  return measure === "value" ? "" : [t(`ms_${measure}`), length(window)].filter(Boolean).join(" ");
}

/** What was subtracted, with its unit; nothing where nothing was. */
export const backgroundText = ({ background, unit }: Pick<Evidence, "background" | "unit">): string => (background === null ? "" : quantity(background, unit));

/** One comparison of a condition: `温度 71 ≥ 65`, with the sign of what came of it. */
export function partText(part: Part, metric: Name, unit: string): string {
  const value = part.value === null ? t("unknown") : quantity(part.value, unit);
  const held = part.holds === null ? "?" : part.holds ? "✓" : "✗";
  return `${held} ${named(metric)} ${value} (${SIGN[part.direction]} ${quantity(part.limit, unit)})`;
}
