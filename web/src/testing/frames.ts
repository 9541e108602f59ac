// Frames for unit tests: a small city that says what a test wants.

import type { Delta, FieldAlert, FieldWarning, LiveRegion, LiveSensor, LiveValue, Snapshot, Tier, Warning, WarningActions } from "../schema";

export const START = Date.parse("2026-11-22T08:00:00Z");

/** The ISO time of some seconds after the start. */
export const at = (seconds: number): string => new Date(START + seconds * 1000).toISOString();

const region = (code: string, parent: string | null, level: LiveRegion["level"]): LiveRegion => ({ code, parent, level, name: { zh: `${code}区`, en: code } });

export const CITY = region("c", null, "city");
export const DISTRICT = region("d", "c", "district");
export const STREET = region("s", "d", "street");
export const OTHER = region("o", "c", "district");

export function sensor(id: string, street = "s"): LiveSensor {
  const metrics = { flow: { unit: "L/s", name: { zh: "流量", en: "Flow" }, low: null, high: null, spike: null, stuck: null } };
  return { id, name: { zh: `${id}号`, en: id }, street, domain: "water", department: "water", place: null, longitude: null, latitude: null, metrics };
}

export function value(seconds: number, number: number, of = "p1"): LiveValue {
  return { sensor: of, metric: "flow", statistic: "instant", period_s: 0, value: number, quality: "good", at: at(seconds), received_at: at(seconds), origin: "real" };
}

export function warning(id: string, rev: number, tier: Tier = "yellow", state: Warning["state"] = "open", street = "s"): Warning {
  const evidence = {
    metric: "flow", measure: "value", value: 6.5, unit: "L/s", limit: 8, direction: "below", readings: 3, dwell_s: null, statistic: "instant", period_s: 0,
    window_s: null, standard: null, clears_at: 10, clears: { limit: 10, direction: "above", readings: 1, dwell_s: null }, parts: [], sensors: [], background: null, observation: "r", observed_at: at(rev), received_at: at(rev),
  } satisfies Warning["evidence"];
  return {
    id, rev, rule: "r", rule_version: 1, meaning: 1, rule_name: { zh: "规则", en: "Rule" }, subject: "p1/flow", sensor: "p1", sensor_name: { zh: "一号", en: "p1" },
    street, domain: "water", department: "water", state, tier, peak: tier, change: rev === 1 ? "opened" : "raised", began_at: at(0), changed_at: at(rev),
    cleared_at: state === "open" ? null : at(rev), merged_into: null, origin: "real", tags: [], evidence,
  };
}

/** What was done of a warning, which is nothing but what a test gives. */
export const actions = (id: string, rev: number, given: Partial<WarningActions> = {}): WarningActions => ({
  warning: id, rev, street: "s", department: "water", acknowledged: null, assigned: null, progress: null, cleared: null, trail: [], command: "k", outcome: "applied", ...given,
});

export const CHEN = { id: "chen", name: { zh: "陈", en: "Chen" } };

export const acknowledged = (id: string, rev: number, tier: Tier): WarningActions =>
  actions(id, rev, { acknowledged: { by: CHEN, at: at(rev), seen_rev: rev, tier, note: null, renewed_at: null } });

/** A warning that was cleared by hand at a tier. */
export const disposed = (id: string, rev: number, tier: Tier): WarningActions =>
  actions(id, rev, { cleared: { by: CHEN, at: at(rev), seen_rev: rev, tier, note: "误报" } });

export function fieldWarning(id: string, given: Partial<FieldWarning> = {}): FieldWarning {
  return {
    id, rev: 1, tier: "yellow", open: true, text: { zh: "规则", en: "Rule" }, place: null, sensor: "p1", street: "s", department: "water",
    longitude: null, latitude: null, began_at: at(0), changed_at: at(0), actions: null, ...given,
  };
}

export function fieldAlert(id: string, given: Partial<FieldAlert> = {}): FieldAlert {
  return {
    id, message: 1, tier: "yellow", text: { zh: "规则", en: "Rule" }, count: 1, storm: false, origin: "real", opened_at: at(0), told_at: at(1), closed_at: null,
    unanswered: true, assigned: false, warnings: [fieldWarning(`${id}-w`)], ...given,
  };
}

export function snapshot(given: Partial<Snapshot> = {}): Snapshot {
  return {
    type: "snapshot", protocol: 1, server_time: at(0), position: "p", region: CITY, path: [CITY], children: [DISTRICT, OTHER], below: [DISTRICT, OTHER, STREET],
    sensors: [sensor("p1")], warnings: [], values: [], actions: [], ...given,
  };
}

export const delta = (given: Partial<Delta>): Delta => ({ type: "delta", server_time: at(1), position: "p", warnings: [], values: [], sensors: [], actions: [], ...given });
