// The live values as lines of one list: a head for each stream, a line for each sensor, and one for each of its series.

import type { Domain, LiveSensor } from "../schema";
import type { KnownWarning, Model, Series } from "./model";
import { DOMAINS } from "./tiers";
import { language, named } from "./words";

/** A line. A sensor with one series stands on one line with it (`sensor` and `series` both), of others the series follow their sensor. */
export type Line =
  | { kind: "domain"; key: string; domain: Domain; count: number }
  | { kind: "sensor"; key: string; sensor: LiveSensor }
  | { kind: "series"; key: string; sensor: LiveSensor; series: Series; alone: boolean }
  | { kind: "nothing"; key: string; sensor: LiveSensor; metric: string; alone: boolean };

/** Which sensors are wanted: all, those with warnings, those that are silent or unsound; of a stream; with a text in what names them. */
export interface Wish {
  text: string;
  only: "all" | "warned" | "unsound";
  domain: Domain | null;
}

/** All sensors by stream, street and name. */
export function inOrder(model: Model): LiveSensor[] {
  const collator = new Intl.Collator(language.value, { numeric: true });
  const place = (sensor: LiveSensor): number => DOMAINS.indexOf(sensor.domain);
  const name = new Map([...model.sensors.values()].map((sensor) => [sensor.id, named(sensor.name)]));
  const byName = (a: LiveSensor, b: LiveSensor): number => collator.compare(name.get(a.id) ?? "", name.get(b.id) ?? "");
  return [...model.sensors.values()].sort((a, b) => place(a) - place(b) || a.street.localeCompare(b.street) || byName(a, b) || (a.id < b.id ? -1 : 1));
}

function says(model: Model, sensor: LiveSensor, text: string): boolean {
  const metrics = Object.values(sensor.metrics).map((metric) => named(metric.name));
  return [sensor.id, named(sensor.name), named(model.regionName(sensor.street)), ...metrics].join(" ").toLowerCase().includes(text);
}

function unsound(model: Model, sensor: LiveSensor, now: number): boolean {
  return model.sensorSilent(sensor.id, now) || [...(model.seriesOf.get(sensor.id) ?? [])].some((series) => series.value.quality !== "good");
}

/** Those of some sensors that are wished for. */
export function wanted(model: Model, sensors: readonly LiveSensor[], wish: Wish, warned: ReadonlyMap<string, KnownWarning>, now: number): LiveSensor[] {
  const text = wish.text.trim().toLowerCase();
  return sensors.filter((sensor) => {
    if (wish.domain !== null && sensor.domain !== wish.domain) return false;
    if (wish.only === "warned" && !warned.has(sensor.id)) return false;
    if (wish.only === "unsound" && !unsound(model, sensor, now)) return false;
    return text === "" || says(model, sensor, text);
  });
}

function ofSensor(model: Model, sensor: LiveSensor): Line[] {
  const series = [...(model.seriesOf.get(sensor.id) ?? [])].sort((a, b) => (a.key < b.key ? -1 : 1));
  const missing = model.metricsWithoutData(sensor.id);
  const alone = series.length + missing.length === 1;
  return [
    ...(alone ? [] : [{ kind: "sensor", key: sensor.id, sensor } as const]),
    ...series.map((one) => ({ kind: "series", key: one.key, sensor, series: one, alone }) as const),
    ...missing.map((metric) => ({ kind: "nothing", key: `${sensor.id}/${metric}`, sensor, metric, alone }) as const),
  ];
}

/** The lines of some sensors, which are in order. */
export function linesOf(model: Model, sensors: readonly LiveSensor[]): Line[] {
  return DOMAINS.flatMap((domain): Line[] => {
    const own = sensors.filter((sensor) => sensor.domain === domain);
    if (own.length === 0) return [];
    return [{ kind: "domain", key: domain, domain, count: own.length }, ...own.flatMap((sensor) => ofSensor(model, sensor))];
  });
}

/** The box of a sparkline. */
export const SPARK = { width: 64, height: 18 } as const;

/** The points of a polyline through the last values, scaled to the sparkline's box; empty of fewer than two. */
export function sparkPoints(trail: readonly number[]): string {
  if (trail.length < 2) return "";
  const low = Math.min(...trail);
  const range = Math.max(...trail) - low || 1;
  const step = SPARK.width / (trail.length - 1);
  const y = (value: number): number => SPARK.height - 2 - ((value - low) / range) * (SPARK.height - 4);
  return trail.map((value, at) => `${(at * step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
}
