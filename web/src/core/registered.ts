// A sensor of the registry as a form has it: text in fields, lists in lines; and back.

import type { Sensor } from "../schema";

const UNITS_S: Record<string, number> = { D: 86_400, H: 3600, M: 60, S: 1 };

/** Seconds of a length of time in ISO 8601 (`PT10M`) as the server writes it; NaN of anything else. */
export function secondsOf(text: string): number {
  if (!/^P(?=[\dT])(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$/.test(text)) return NaN;
  return [...text.matchAll(/([\d.]+)([DHMS])/g)].reduce((sum, [, count, unit]) => sum + Number(count) * UNITS_S[unit!]!, 0);
}

const spanText = (text: string | null | undefined): string => (text ? String(secondsOf(text)) : "");
const spanOf = (seconds: string): string | null => (seconds.trim() === "" ? null : `PT${seconds.trim()}S`);
const numberOf = (text: string): number | null => (text.trim() === "" ? null : Number(text));
const textOf = (value: number | null | undefined): string => (value === null || value === undefined ? "" : String(value));
const listOf = (text: string): string[] => text.split(/[\s,，、]+/).filter(Boolean);
const orNull = (text: string): string | null => text.trim() || null;

/** A metric as the form has it; `spike` in its unit, `stuck` in seconds. */
export interface MetricForm {
  code: string;
  unit: string;
  zh: string;
  en: string;
  low: string;
  high: string;
  spike: string;
  stuck: string;
}

/** A sensor as the form has it; `every` in seconds, `attributes` as lines of `name=value`, `link` as JSON. */
export interface SensorForm {
  id: string;
  zh: string;
  en: string;
  domain: string;
  department: string;
  street: string;
  life: string;
  station: string;
  every: string;
  longitude: string;
  latitude: string;
  placeZh: string;
  placeEn: string;
  cim: string;
  tags: string;
  attributes: string;
  adapter: string;
  link: string;
  metrics: MetricForm[];
}

/** What a form is made of: a sensor, or as much of one as a draft knows. */
export type Known = Omit<Partial<Sensor>, "metrics"> & { metrics?: Record<string, Partial<Sensor["metrics"][string]>> };

export const noMetric = (code = ""): MetricForm => ({ code, unit: "", zh: "", en: "", low: "", high: "", spike: "", stuck: "" });

/** The form for a sensor. */
export function formOf(of: Known): SensorForm {
  return {
    id: of.id ?? "",
    zh: of.name?.zh ?? "",
    en: of.name?.en ?? "",
    domain: of.domain ?? "",
    department: of.department ?? "",
    street: of.street ?? "",
    life: of.life ?? "active",
    station: of.station ?? "",
    every: spanText(of.every),
    longitude: textOf(of.longitude),
    latitude: textOf(of.latitude),
    placeZh: of.place?.zh ?? "",
    placeEn: of.place?.en ?? "",
    cim: of.cim ?? "",
    tags: [...(of.tags ?? [])].sort().join(", "),
    attributes: Object.entries(of.attributes ?? {}).map(([name, value]) => `${name}=${value}`).join("\n"),
    adapter: of.adapter ?? "http",
    link: of.link ? JSON.stringify(of.link, null, 2) : "",
    metrics: Object.entries(of.metrics ?? {}).map(([code, { unit, name, low, high, spike, stuck }]) => ({
      code,
      unit: unit ?? "",
      zh: name?.zh ?? "",
      en: name?.en ?? "",
      low: textOf(low),
      high: textOf(high),
      spike: textOf(spike),
      stuck: spanText(stuck),
    })),
  };
}

/** What cannot be sent as it stands; `field` is the form's. */
export class Misfit extends Error {
  constructor(readonly field: "attributes" | "link") {
    super(field);
  }
}

function attributesOf(text: string): Record<string, string> {
  const pairs = text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => /^([^=]+)=(.+)$/.exec(line));
  if (pairs.includes(null)) throw new Misfit("attributes");
  return Object.fromEntries(pairs.map((pair) => [pair![1]!.trim(), pair![2]!.trim()]));
}

function linkOf(text: string): Sensor["link"] {
  if (text.trim() === "") return null;
  try {
    return JSON.parse(text) as Sensor["link"];
  } catch {
    throw new Misfit("link");
  }
}

/** The sensor that a form says; what no form has stays as it was. Raises `Misfit`. */
export function sensorOf(form: SensorForm, before: Known): Known {
  const metrics = form.metrics.map((one) => {
    const limits = { low: numberOf(one.low), high: numberOf(one.high), spike: numberOf(one.spike), stuck: spanOf(one.stuck) };
    return [one.code.trim(), { ...before.metrics?.[one.code], unit: one.unit.trim(), name: { zh: one.zh.trim(), en: one.en.trim() }, ...limits }] as const;
  });
  const place = form.placeZh.trim() || form.placeEn.trim();
  return {
    ...before,
    id: form.id.trim(),
    name: { zh: form.zh.trim(), en: form.en.trim() },
    domain: form.domain as Sensor["domain"],
    department: form.department,
    street: form.street.trim(),
    life: form.life as Sensor["life"],
    station: orNull(form.station),
    every: spanOf(form.every),
    longitude: numberOf(form.longitude),
    latitude: numberOf(form.latitude),
    place: place ? { zh: form.placeZh.trim() || place, en: form.placeEn.trim() || place } : null,
    cim: orNull(form.cim),
    tags: listOf(form.tags),
    attributes: attributesOf(form.attributes),
    adapter: form.adapter.trim(),
    link: linkOf(form.link),
    metrics: Object.fromEntries(metrics),
  };
}

/** A value of a field as a preview shows it: `—` where it is not there. */
export function shownValue(value: unknown): string {
  if (value === null || value === undefined) return "—";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
