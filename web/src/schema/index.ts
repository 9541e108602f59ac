// Made by `npm run types` from schemas/json; do not edit.

/**
 * What somebody may do; where, and for which departments, a grant says.
 */
export type Role = "city" | "district" | "street" | "field" | "department" | "rule_author" | "auditor" | "admin";
/**
 * Why this revision was made.
 */
export type Change = "opened" | "raised" | "lowered" | "recovered" | "rule_changed" | "sensor_moved";
/**
 * On which side of its limit a value is bad.
 */
export type Direction = "above" | "below";
/**
 * The four streams that start the product.
 */
export type Domain = "water" | "sewage" | "dust" | "fire";
/**
 * What a value is of the time between start and end; of an instant, start and end are the same.
 */
export type Statistic = "instant" | "mean" | "min" | "max" | "sum";
/**
 * A level of the city's government.
 */
export type Level = "city" | "district" | "street";
/**
 * Whether an event tells of the city or of our own making; warnings and notifications inherit it.
 */
export type Origin = "real" | "replayed" | "simulated" | "exercise";
/**
 * Quality flag of one value; the letters of HJ 212-2017 in brackets. Rules use `good` values only.
 */
export type Quality = "good" | "stopped" | "maintenance" | "manual" | "fault" | "calibration" | "over_range" | "no_signal";
/**
 * A tier; compare by `gravity`, 1 (blue) to 4 (red).
 */
export type Tier = "blue" | "yellow" | "orange" | "red";
/**
 * Whether the episode goes on.
 */
export type WarningState = "open" | "cleared";
/**
 * What became of it.
 */
export type Outcome = "done" | "refused";

/**
 * The client's first message.
 */
export interface Hello {
  protocol?: 1;
  region: string;
  /**
   * For machines, which have no session; None for a browser, whose session cookie says who it is.
   */
  token?: string | null;
  type: "hello";
}
/**
 * Somebody takes note of a warning as they see it.
 */
export interface Acknowledging {
  note?: string | null;
  /**
   * The revision that they see.
   */
  rev: number;
}
/**
 * A local user's.
 */
export interface Credentials {
  password: string;
  user: string;
}
/**
 * A local user's own password, to be changed by who knows the present one.
 */
export interface OwnPassword {
  new: string;
  present: string;
}
/**
 * A screen's sound is switched off by somebody.
 */
export interface Mute {
  minutes: number;
  name: string;
  /**
   * The red warnings that were sounding.
   *
   * @maxItems 1000
   */
  warnings: string[];
}
/**
 * A role in a region and all below it, for some departments or, with None, for all.
 */
export interface Grant {
  departments: string[] | null;
  region: string;
  role: Role;
}
/**
 * A name in the two languages of the interface.
 */
export interface Name {
  en: string;
  zh: string;
}
/**
 * A local user to be made.
 */
export interface NewUser {
  /**
   * @maxItems 64
   */
  grants: Grant[];
  id: string;
  name: Name;
  password: string;
}
/**
 * What is to be changed of a user; what is left out stays.
 */
export interface UserChange {
  disabled?: boolean | null;
  grants?: Grant[] | null;
  name?: Name | null;
  password?: string | null;
}
/**
 * Somebody has taken note of a warning and answers for it.
 */
export interface Acknowledgement {
  at: string;
  by: Actor;
  note: string | null;
  /**
   * The warning's revision that they saw.
   */
  seen_rev: number;
  /**
   * The tier that they saw. A warning that is graver now, or was raised at a later revision, asks for another acknowledgement.
   */
  tier: "blue" | "yellow" | "orange" | "red";
}
/**
 * Who did something: a user by id and name as they were then.
 */
export interface Actor {
  id: string;
  name: Name;
}
/**
 * Why this tier: the value that decided, the limit it met, and what the limit is taken from.
 */
export interface Evidence {
  /**
   * The value past which the present tier is left; None once cleared.
   */
  clears_at: number | null;
  direction: Direction;
  /**
   * How long it had to last in seconds, where the dwell is a time.
   */
  dwell_s: number | null;
  /**
   * The limit of the tier that was entered or left.
   */
  limit: number;
  metric: string;
  /**
   * The id of the deciding observation.
   */
  observation: string;
  observed_at: string;
  period_s: number;
  /**
   * How many readings in a row were asked for, where the dwell counts readings.
   */
  readings: number | null;
  /**
   * When ingest took the deciding observation.
   */
  received_at: string;
  standard: Name | string | null;
  statistic: Statistic;
  unit: string;
  value: number;
}
/**
 * A region as pages show it.
 */
export interface LiveRegion {
  code: string;
  level: Level;
  name: Name;
  parent: string | null;
}
/**
 * What a page needs to know of a sensor.
 */
export interface LiveSensor {
  department: string;
  domain: Domain;
  id: string;
  latitude: number | null;
  longitude: number | null;
  metrics: {
    [k: string]: Metric;
  };
  name: Name;
  place: Name | null;
  street: string;
}
/**
 * One thing a sensor measures.
 */
export interface Metric {
  high: number | null;
  /**
   * Plausible range, for quality control; not a limit of any rule.
   */
  low: number | null;
  name: Name;
  /**
   * UCUM, such as `L/s`, `mg/m3`, `Cel`.
   */
  unit: string;
}
/**
 * The newest value of one series.
 */
export interface LiveValue {
  /**
   * End of the observation.
   */
  at: string;
  metric: string;
  origin: Origin;
  period_s: number;
  quality: Quality;
  received_at: string;
  sensor: string;
  statistic: Statistic;
  value: number;
}
/**
 * A warning at one revision. `id` never changes, `rev` rises by one; a consumer ignores a `rev` that is not newer than the one it has.
 */
export interface Warning {
  began_at: string;
  change: Change;
  /**
   * Event time of this revision.
   */
  changed_at: string;
  cleared_at: string | null;
  department: string;
  domain: Domain;
  evidence: Evidence;
  /**
   * UUIDv5 of rule, meaning, subject and the event time that opened the episode as first decided (`schemas.warning.identity`).
   */
  id: string;
  meaning: number;
  origin: Origin;
  peak: Tier;
  rev: number;
  rule: string;
  rule_name: Name;
  rule_version: number;
  sensor: string;
  sensor_name: Name;
  state: WarningState;
  street: string;
  /**
   * `<sensor>/<metric>`, with `/<statistic>.<period>s` where it is not an instant and `@<origin>` where it is not real.
   */
  subject: string;
  /**
   * A tier; compare by `gravity`, 1 (blue) to 4 (red).
   */
  tier: "blue" | "yellow" | "orange" | "red";
}
/**
 * All that was done of a warning, at one revision; a consumer ignores a `rev` that is not newer than the one it has.
 */
export interface WarningActions {
  acknowledged: Acknowledgement | null;
  /**
   * The command that made this revision.
   */
  command: string;
  department: string;
  rev: number;
  street: string;
  warning: string;
}
/**
 * All that is true of a region at a position: every open warning, every sensor, the newest value of every series.
 *
 * Of all of these only what is the reader's: a department's reader gets its own.
 */
export interface Snapshot {
  /**
   * What people did of the open warnings, as far as anything was.
   */
  actions: WarningActions[];
  /**
   * All regions below, the children too.
   */
  below: LiveRegion[];
  children: LiveRegion[];
  /**
   * From the region up to the city, itself first.
   */
  path: LiveRegion[];
  position: string;
  protocol: 1;
  region: LiveRegion;
  sensors: LiveSensor[];
  server_time: string;
  type: "snapshot";
  values: LiveValue[];
  warnings: Warning[];
}
/**
 * What changed since the frame before. Warnings are never conflated; of values only the newest of each series is sent.
 */
export interface Delta {
  actions: WarningActions[];
  position: string;
  sensors: LiveSensor[];
  server_time: string;
  type: "delta";
  values: LiveValue[];
  warnings: Warning[];
}
/**
 * One a second from each node of each service.
 */
export interface Heartbeat {
  /**
   * How far it has come: the oldest, over its partitions, of the newest tick or event it has worked off.
   */
  event_time: string | null;
  /**
   * Records on its topics that it has not yet worked off.
   */
  lag: number;
  node: string;
  ready: boolean;
  /**
   * Why it is not ready; empty when it is.
   */
  reason: string;
  service: string;
  time: string;
}
/**
 * One a second: how old what is shown is.
 */
export interface LiveHeartbeat {
  /**
   * The oldest, over all partitions, of the newest tick that the gateway has seen; None before the first.
   */
  pipeline_time: string | null;
  position: string;
  server_time: string;
  /**
   * The newest heartbeat of each node of each service that the gateway has heard since it started, however old.
   */
  services: Heartbeat[];
  type: "heartbeat";
}
/**
 * A provider of identities (OpenID Connect).
 */
export interface Provider {
  name: string;
  /**
   * Where the browser goes to sign in.
   */
  url: string;
}
/**
 * How one can sign in; told to anybody.
 */
export interface SignIn {
  city: Name;
  oidc: Provider | null;
  version: string;
}
/**
 * A department that publishes events.
 */
export interface Department {
  id: string;
  name: Name;
}
/**
 * What the user may do somewhere; the server decides again each time.
 */
export interface May {
  acknowledge: boolean;
  audit: boolean;
  rules: boolean;
  users: boolean;
  watch: boolean;
}
/**
 * Who is signed in, and what is theirs.
 */
export interface Session {
  city: LiveRegion;
  /**
   * To be sent as `X-CSRF-Token` with every request that changes something.
   */
  csrf: string;
  /**
   * Of the city, for their names.
   */
  departments: Department[];
  expires_at: string;
  grants: Grant[];
  may: May;
  name: Name;
  /**
   * The regions that they may open, each with all below it; the first is where they begin. Empty for who may watch none.
   */
  regions: LiveRegion[];
  timezone: string;
  user: string;
}
/**
 * A region and those right below it as GeoJSON, CGCS2000 (EPSG:4490), longitude before latitude.
 *
 * Each feature's `properties` are `code`, `role` (`self` or `child`), `name` {zh, en}, `level` and `schematic`: whether its shape is made
 * up (a hexagon) because no boundary is known. `label` is a point in it [longitude, latitude].
 */
export interface RegionMap {
  features: {
    [k: string]: unknown;
  }[];
  /**
   * Where the boundaries come from; None when all of them are schematic.
   */
  source: Name | null;
  type: "FeatureCollection";
}
/**
 * Which series a rule watches; what is left out matches all.
 */
export interface Applies {
  department: string | null;
  domain: Domain | null;
  metric: string;
  /**
   * Regions at any level; a sensor is in a region when its street is, or lies below it.
   */
  regions: string[] | null;
  /**
   * For more than these use tags.
   */
  sensors: string[] | null;
  /**
   * What a value is of the time between start and end; of an instant, start and end are the same.
   */
  statistic: "instant" | "mean" | "min" | "max" | "sum";
  /**
   * All of them must be the sensor's.
   *
   * @maxItems 64
   */
  tags: string[];
}
/**
 * One value of a series.
 */
export interface Point {
  at: string;
  origin: Origin;
  quality: Quality;
  value: number;
}
/**
 * One tier: its way up, and its way down (a limit on the good side of the way up's: the hysteresis).
 */
export interface Step {
  down: Way;
  up: Way;
}
/**
 * When a tier changes: the value is past `limit` for `readings` readings in a row, or for the time `for`.
 *
 * With both left out the first such reading decides, on its arrival. A dwell in time is decided by ticks, after a grace for late data.
 */
export interface Way {
  for: string | null;
  limit: number;
  readings: number;
}
/**
 * A rule of kind `threshold`: a limit in up to four tiers.
 */
export interface Threshold {
  applies: Applies;
  direction: Direction;
  /**
   * A rule that is not enabled closes its open warnings and raises none.
   */
  enabled: boolean;
  id: string;
  kind: string;
  name: Name;
  /**
   * Where the limits come from, with the clause.
   */
  standard: Name | string | null;
  tiers: {
    [k: string]: Step;
  };
  unit: string;
  /**
   * Raise it with every change; an older or equal version is not taken.
   */
  version: number;
}
/**
 * One warning from its beginning: its revisions, the values around it, and the rule by which it was raised as far as that is still in force.
 */
export interface WarningStory {
  metric: string;
  period_s: number;
  /**
   * Of the deciding series, from before the beginning until after the end; of a long warning only around its beginning, its decision and
   * its end.
   */
  points: Point[];
  /**
   * The oldest first.
   */
  revisions: Warning[];
  rule: Threshold | null;
  statistic: Statistic;
  /**
   * There are more than `points` has: of many the lowest and highest of each part are kept.
   */
  thinned: boolean;
  unit: string;
}
/**
 * A user as administrators see them.
 */
export interface User {
  disabled: boolean;
  grants: Grant[];
  id: string;
  last_seen: string | null;
  /**
   * Until when wrong passwords lock them, at one address at least; None when nowhere.
   */
  locked_until: string | null;
  name: Name;
  /**
   * The issuer (OpenID Connect) that vouches for them; None for local users.
   */
  provider: string | null;
}
/**
 * One entry.
 */
export interface AuditEntry {
  /**
   * Such as `session.open`, `warning.acknowledge`, `user.change`, `region.watch`.
   */
  action: string;
  /**
   * The user's id, or `token/<region>` of a machine; `(system)` is the gateway itself, `(unknown)` who did not prove to be anybody,
   * `(various)` many together.
   */
  actor: string;
  /**
   * Where it came from: the client's address, behind proxies that are trusted the one that they name.
   */
  address: string;
  at: string;
  /**
   * What was changed, never a password or a token.
   */
  detail: {
    [k: string]: string;
  };
  id: string;
  outcome: Outcome;
  /**
   * Why it was refused.
   */
  reason: string | null;
  /**
   * Whose auditors may read it; None is for the city's alone.
   */
  region: string | null;
  /**
   * What it was done to, such as `user/li-wei`, `warning/<id>`, `region/620102`.
   */
  subject: string;
}
