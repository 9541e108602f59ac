// Made by `npm run types` from schemas/json; do not edit.

/**
 * What somebody may do; where, and for which departments, a grant says.
 */
export type Role = "city" | "district" | "street" | "field" | "department" | "rule_author" | "auditor" | "admin";
/**
 * The four streams that start the product.
 */
export type Domain = "water" | "sewage" | "dust" | "fire";
/**
 * Whether an event tells of the city or of our own making; warnings and notifications inherit it.
 */
export type Origin = "real" | "replayed" | "simulated" | "exercise";
/**
 * A tier; compare by `gravity`, 1 (blue) to 4 (red).
 */
export type Tier = "blue" | "yellow" | "orange" | "red";
/**
 * A coordinate system in which positions are given. They are kept in CGCS2000, which for our purposes equals WGS 84 (to some decimetres).
 */
export type System = "cgcs2000" | "wgs84" | "gcj02" | "bd09";
/**
 * Why this revision was made.
 */
export type Change =
  "opened" | "raised" | "lowered" | "recovered" | "rule_changed" | "sensor_moved" | "revised" | "reopened" | "retracted" | "merged";
/**
 * On which side of its limit a value is bad.
 */
export type Direction = "above" | "below";
/**
 * What was decided of a command.
 */
export type Decision = "applied" | "already" | "stale" | "too_late";
/**
 * What was done of a warning.
 */
export type Deed = "acknowledge" | "assign" | "comment" | "clear" | "on_my_way" | "arrived" | "done" | "reopen";
/**
 * What a value is of the time between start and end; of an instant, start and end are the same.
 */
export type Statistic = "instant" | "mean" | "min" | "max" | "sum";
/**
 * A level of the city's government.
 */
export type Level = "city" | "district" | "street";
/**
 * Quality flag of one value; the letters of HJ 212-2017 below. Rules use `good` values only.
 *
 * The last three are ingest's own doubts of a value that came as good; the value stays as it came.
 */
export type Quality =
  "good" | "stopped" | "maintenance" | "manual" | "fault" | "calibration" | "over_range" | "no_signal" | "implausible" | "spike" | "stuck";
/**
 * Whether the episode goes on.
 */
export type WarningState = "open" | "cleared";
/**
 * What is made of the readings of a window.
 */
export type Aggregate = "mean" | "min" | "max" | "sum" | "count";
/**
 * A day of the week, in the city's time.
 */
export type Weekday = "mon" | "tue" | "wed" | "thu" | "fri" | "sat" | "sun";
/**
 * Whose series is derived.
 */
export type DerivedLevel = "district" | "city";
/**
 * What a team is there for.
 */
export type TeamRole = "field" | "desk" | "lead" | "supervisor";
/**
 * What became of it.
 */
export type Result = "waiting" | "delivered" | "failed" | "uncertain" | "withheld";
/**
 * Why an alert is told.
 */
export type Why = "opened" | "changed" | "escalated" | "repeated" | "ended" | "undelivered";
/**
 * What became of it.
 */
export type AuditOutcome = "done" | "refused";
/**
 * How a report came to the department that publishes it.
 */
export type Channel = "hotline" | "app" | "inspection" | "department";
/**
 * The eight matters of urban governance.
 */
export type Matter = "appearance" | "greening" | "utilities" | "construction" | "housing_safety" | "estates" | "public_order" | "emergencies";
/**
 * What was decided.
 */
export type Outcome = "applied" | "already" | "previewed" | "refused";
/**
 * Where a sensor is in its life.
 */
export type Life = "planned" | "active" | "suspended" | "retired";
/**
 * What kind of thing is wrong.
 */
export type FaultCode = "unreadable" | "unfit" | "twice" | "not_yours" | "changed" | "region" | "department" | "unit" | "taken";

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
 * Where somebody stood, CGCS2000 (EPSG:4490), degrees.
 */
export interface Position {
  accuracy_m: number | null;
  latitude: number;
  longitude: number;
}
/**
 * An answer from the field to all warnings of an alert, maybe given while the phone was offline.
 */
export interface Answering {
  /**
   * When it was given, by the phone's clock; now where that lies ahead.
   */
  at?: string | null;
  /**
   * Made by the phone: sent again after no answer came, it is decided once.
   */
  command: string;
  deed: "acknowledge" | "comment" | "on_my_way" | "arrived" | "done";
  /**
   * The user who gave it. It is refused (409, `another_user`) when somebody else is signed in by then.
   */
  given_by?: string | null;
  /**
   * The newest message of the alert that was seen.
   */
  message: number;
  note?: string | null;
  /**
   * @maxItems 6
   */
  photos?: string[];
  position?: Position | null;
  /**
   * What the phone's clock said at sending. With it the answer was given so long before now as `at` lies before it, however wrong that clock is.
   */
  sent_at?: string | null;
}
/**
 * A warning is given to somebody.
 */
export interface Assigning {
  note?: string | null;
  rev: number;
  /**
   * A user's id.
   */
  to: string;
}
/**
 * A warning is cleared by hand.
 */
export interface ClearingByHand {
  reason: string;
  rev: number;
}
/**
 * Something is said of a warning.
 */
export interface Commenting {
  note: string;
  rev: number;
}
/**
 * The desk is handed over.
 */
export interface HandingOver {
  note: string;
}
/**
 * What is answered by a link, once.
 */
export interface LinkUse {
  deed: "acknowledge" | "on_my_way";
  note?: string | null;
}
/**
 * Somebody is on duty for a time.
 */
export interface Overriding {
  instead_of?: string | null;
  person: string;
  reason: string;
  since: string;
  until: string;
}
/**
 * Which warnings are meant; what is left out matches all.
 */
export interface Match {
  departments: string[] | null;
  domains: Domain[] | null;
  origins: Origin[] | null;
  /**
   * At any level; a warning is in a region when its street is, or lies below it.
   */
  regions: string[] | null;
  rules: string[] | null;
  /**
   * All of them must be the rule's.
   */
  tags: string[];
  tiers: Tier[] | null;
}
/**
 * Nobody in a region shall be told of what matches, for a time.
 */
export interface Silencing {
  match: Match;
  reason: string;
  /**
   * Now, where it is left out.
   */
  since?: string | null;
  until: string;
}
/**
 * What was refused is to be judged again, as it came or, of one, mended.
 */
export interface SendingAgain {
  /**
   * Text that takes its place.
   */
  mended?: string | null;
  /**
   * The same as hexadecimal digits, where it is no text.
   */
  mended_hex?: string | null;
  /**
   * @minItems 1
   * @maxItems 500
   */
  rejected: [string, ...string[]];
}
/**
 * Nothing is to be done any more about what was refused.
 */
export interface Discarding {
  note?: string | null;
  /**
   * @minItems 1
   * @maxItems 500
   */
  rejected: [string, ...string[]];
}
/**
 * What a department's key is good for; None means all of the department's.
 */
export interface KeyScope {
  domains: Domain[] | null;
  sensors: string[] | null;
  types: ("observation" | "report")[] | null;
}
/**
 * A key is to be made.
 */
export interface KeyMaking {
  expires?: string | null;
  /**
   * What it is for.
   */
  label: string;
  scope?: KeyScope1;
}
/**
 * What a department's key is good for; None means all of the department's.
 */
export interface KeyScope1 {
  domains: Domain[] | null;
  sensors: string[] | null;
  types: ("observation" | "report")[] | null;
}
/**
 * A key is to be replaced by a new one.
 */
export interface KeyReplacing {
  /**
   * Of the new one.
   */
  expires?: string | null;
  /**
   * How long the old one is good for beside it.
   */
  overlap_s?: number;
}
/**
 * Sensors of a file are registered and changed, all or none.
 */
export interface Importing {
  /**
   * As `/v1/uploads` answered.
   */
  file: string;
  form: "csv" | "geojson";
  /**
   * In which the file's positions are.
   */
  system: "cgcs2000" | "wgs84" | "gcj02" | "bd09";
}
/**
 * Somebody has taken note of a warning and answers for it.
 */
export interface Acknowledgement {
  at: string;
  by: Actor;
  note: string | null;
  /**
   * When anybody answered last for the same revision: how long the answer holds counts from then.
   */
  renewed_at: string | null;
  /**
   * The warning's revision that they saw.
   */
  seen_rev: number;
  /**
   * A tier; compare by `gravity`, 1 (blue) to 4 (red).
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
 * To whom a warning was given.
 */
export interface Assignment {
  at: string;
  by: Actor;
  note: string | null;
  to: Actor;
}
/**
 * What would end the present tier: the measure on this side of the limit for so long, or so many readings in a row.
 */
export interface Clearing {
  direction: Direction;
  dwell_s: number | null;
  /**
   * None where the way down is a condition.
   */
  limit: number | null;
  readings: number | null;
}
/**
 * A warning was cleared by hand. It holds until the warning becomes graver than `tier`.
 */
export interface Disposition {
  at: string;
  by: Actor;
  note: string;
  seen_rev: number;
  tier: Tier;
}
/**
 * One thing that was done, or was asked for in vain.
 */
export interface Entry {
  at: string;
  by: Actor;
  command: string;
  deed: Deed;
  /**
   * Whether a position came with it. Positions and photos are personal: they are read apart, and that is audited.
   */
  located: boolean;
  note: string | null;
  outcome: Decision;
  photos: number;
  /**
   * Of an assignment.
   */
  to: Actor | null;
}
/**
 * Why this tier: the value that decided, the limit it met, and what the limit is taken from.
 */
export interface Evidence {
  /**
   * What was subtracted, after the cap.
   */
  background: number | null;
  /**
   * All of what would clear the present tier; None once cleared.
   */
  clears: Clearing | null;
  /**
   * The value past which the present tier is left; None once cleared, and where the way down is a condition.
   */
  clears_at: number | null;
  direction: Direction;
  /**
   * How long it had to last in seconds, where the dwell is a time.
   */
  dwell_s: number | null;
  /**
   * The limit of the tier that was entered or left; None where that is a condition.
   */
  limit: number | null;
  /**
   * The kind of what was measured; `value` is the reading itself.
   */
  measure: string;
  metric: string;
  /**
   * The id of the deciding observation, where one decided and rules still know it.
   */
  observation: string | null;
  /**
   * Event time of the deciding sample.
   */
  observed_at: string;
  /**
   * Of a condition: its comparisons.
   */
  parts: Part[];
  period_s: number;
  /**
   * How many readings in a row were asked for, where the dwell counts readings.
   */
  readings: number | null;
  /**
   * When ingest took the deciding observation, where one decided and rules still know it.
   */
  received_at: string | null;
  /**
   * Of a place: the sensors that agree, at most 100.
   */
  sensors: string[];
  standard: Name | string | null;
  statistic: Statistic;
  unit: string;
  /**
   * Of the measure: a rate, a mean, a count, seconds of silence.
   */
  value: number;
  /**
   * Length in seconds of the window that was measured, up to `observed_at`.
   */
  window_s: number | null;
}
/**
 * One comparison of a condition, as it stood when the tier was decided.
 */
export interface Part {
  direction: Direction;
  holds: boolean | null;
  limit: number;
  /**
   * `main`, or the name that the rule gives it.
   */
  measure: string;
  metric: string;
  /**
   * None while unknown.
   */
  value: number | null;
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
   * A value that is further than this from the one before, and from which the next comes back, is a spike. None where jumps may be true.
   */
  spike: number | null;
  /**
   * The very same value for longer than this is not believed. None where it may well stay the same.
   */
  stuck: string | null;
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
 * How far somebody in the field has come.
 */
export interface Progress {
  at: string;
  by: Actor;
  note: string | null;
  seen_rev: number;
  step: Deed;
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
  merged_into: string | null;
  origin: Origin;
  peak: Tier;
  rev: number;
  rule: string;
  rule_name: Name;
  rule_version: number;
  /**
   * None where it is of a place: several sensors, a district, the city.
   */
  sensor: string | null;
  sensor_name: Name1;
  state: WarningState;
  /**
   * The sensor's street; of a warning of a district or the city, that region.
   */
  street: string;
  /**
   * `<sensor or place>/<metric>`, with `/<statistic>.<period>s` where it is not an instant and `@<origin>` where it is not real.
   */
  subject: string;
  /**
   * The rule's.
   */
  tags: string[];
  /**
   * A tier; compare by `gravity`, 1 (blue) to 4 (red).
   */
  tier: "blue" | "yellow" | "orange" | "red";
}
/**
 * A name in the two languages of the interface.
 */
export interface Name1 {
  en: string;
  zh: string;
}
/**
 * All that was done of a warning, at one revision; a consumer ignores a `rev` that is not newer than the one it has.
 */
export interface WarningActions {
  acknowledged: Acknowledgement | null;
  assigned: Assignment | null;
  cleared: Disposition | null;
  /**
   * The command that made this revision; of a `reopen` one that nobody gave.
   */
  command: string;
  department: string;
  /**
   * What was decided of a command.
   */
  outcome: "applied" | "already" | "stale" | "too_late";
  progress: Progress | null;
  rev: number;
  street: string;
  /**
   * The newest last, at most `TRAIL`.
   */
  trail: Entry[];
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
  /**
   * Its code in GB/T 4657, for the identifiers of warnings; 000 where it has none.
   */
  agency: string;
  id: string;
  name: Name;
  /**
   * By HTTP; None for the settings' default.
   */
  quota: Quota | null;
  /**
   * Of its part that warns, as the department numbers them.
   */
  unit: string;
}
/**
 * How many events a department may send to one node.
 */
export interface Quota {
  /**
   * At once, after it was quiet.
   */
  burst: number;
  per_s: number;
}
/**
 * What the user may do somewhere; the server decides again each time.
 */
export interface May {
  acknowledge: boolean;
  audit: boolean;
  /**
   * Assign, clear by hand, silence, hand over, change who is on duty.
   */
  direct: boolean;
  /**
   * See what became of a department's events, and mend what was refused.
   */
  events: boolean;
  /**
   * Change the registry of a department's sensors.
   */
  registry: boolean;
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
 * Seconds since the sensor was heard, counting only time in which its adapter was listening.
 *
 * Heard is a value of the metric with any flag but `fault` and `no_signal`, of any statistic and origin. When the adapter was away
 * for over 5 s, the count begins again. Decided by ticks; late data revise nothing of it.
 */
export interface Absence {
  kind: "absence";
}
/**
 * How many sensors of one place are past `past` by their newest reading not older than `within`.
 */
export interface Agreement {
  kind: "agreement";
  past: Limits | number;
  /**
   * Which sensors stand together: those of a street, or those of a street that have the same value of `attribute:<name>`.
   */
  place: "street" | string;
  within: string;
}
/**
 * A limit with other limits for some sensors or times: the first case that holds, else `default`.
 */
export interface Limits {
  /**
   * @maxItems 32
   */
  cases: Case[];
  default: number;
}
/**
 * Where another limit holds; all that is given must be so.
 */
export interface Case {
  /**
   * The sensor's attributes, such as `phase: [digging, foundation]`: each has one of the values.
   */
  attributes: {
    [k: string]: string[];
  } | null;
  /**
   * A calendar: holidays, an examination's days.
   */
  dates: [Dates, ...Dates[]] | null;
  /**
   * `22:00-06:00`: from the first minute up to the second, which is not in it; over midnight where the second is earlier.
   */
  hours: string | null;
  limit: number;
  weekdays: [Weekday, ...Weekday[]] | null;
}
/**
 * Days from `first` to `last`, both counted, in the city's time.
 */
export interface Dates {
  first: string;
  last: string;
}
/**
 * And: false if one is false, else unknown if one is unknown.
 */
export interface All {
  /**
   * @minItems 1
   * @maxItems 16
   */
  all: [All | Either | Not | Compare, ...(All | Either | Not | Compare)[]];
}
/**
 * Or: true if one is true, else unknown if one is unknown.
 */
export interface Either {
  /**
   * @minItems 1
   * @maxItems 16
   */
  any: [All | Either | Not | Compare, ...(All | Either | Not | Compare)[]];
}
/**
 * Not: unknown of what is unknown.
 */
export interface Not {
  not: All | Either | Not | Compare;
}
/**
 * A measure is at its limit or past it. Unknown while the measure has no value, or one that is older than its `fresh`.
 */
export interface Compare {
  above: Limits | number | null;
  below: Limits | number | null;
  measure: string;
}
/**
 * Another measure of the same sensor, for conditions.
 */
export interface Also {
  /**
   * How long its newest value stands when no new one comes; left out, as the rule's.
   */
  fresh: string | null;
  measure: Value | Rate | Window;
  metric: string;
  /**
   * Left out: 0 for instants, else that of the rule's own series.
   */
  period: string | null;
  /**
   * What a value is of the time between start and end; of an instant, start and end are the same.
   */
  statistic: "instant" | "mean" | "min" | "max" | "sum";
}
/**
 * The reading itself: one sample each.
 */
export interface Value {
  kind: "value";
}
/**
 * How fast the value changes: (this reading − the earliest one within `over` before it) / the time between, in units per `per`.
 *
 * No sample where less than half of `over` lies between them.
 */
export interface Rate {
  kind: "rate";
  over: string;
  per: string;
}
/**
 * An aggregate of the readings with `t - length < end <= t`.
 *
 * Sliding without `every`: a sample at each reading's end. With `every` a sample at each multiple of it since midnight of the city's
 * time, decided by a tick a grace later: `every` = `length` tumbles, a shorter one hops.
 */
export interface Window {
  aggregate: Aggregate;
  /**
   * Readings without which there is no sample. 0 makes sense for counts on a grid only.
   */
  at_least: number;
  every: string | null;
  kind: "window";
  length: string;
}
/**
 * Which series a rule watches; what is left out matches all.
 */
export interface Applies {
  department: string | null;
  domain: Domain | null;
  metric: string;
  /**
   * Of the series, from start to end; left out, all that the statistic has.
   */
  period: string | null;
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
 * A sensor's mean of a window less the mean of its region's background in the same window, which counts at most `cap`.
 */
export interface Background {
  /**
   * Sensors of the background without which there is no sample.
   */
  at_least: number;
  cap: number | null;
  kind: "background";
  length: string;
  level: DerivedLevel;
  /**
   * Tags of the sensors that make the background; without them it is made by all that the rule watches.
   *
   * @maxItems 64
   */
  stations: string[];
}
/**
 * How many readings of the city's day so far are past `over`; 0 again at midnight.
 */
export interface Exceedances {
  kind: "exceedances";
  over: Limits | number;
}
/**
 * The same in the two languages of the interface.
 */
export interface Explanation {
  en: string;
  zh: string;
}
/**
 * A guard: when a warning begins for the `begins`-th time within `within`, it stays open until it has been calm for `hold`.
 */
export interface Flapping {
  begins: number;
  hold: string;
  within: string;
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
 * A series of a whole region: an aggregate over its sensors' readings of each window of `length`. The warning is the region's.
 *
 * `mean` is the mean of the sensors' means, so that a chatty sensor counts no more than another; `count` counts sensors.
 */
export interface Regional {
  aggregate: Aggregate;
  /**
   * Sensors without which there is no sample.
   */
  at_least: number;
  kind: "regional";
  length: string;
  level: DerivedLevel;
}
/**
 * A rule: whom it watches, what it measures, and four tiers at most.
 */
export interface Rule {
  /**
   * Further measures by name, for conditions (`when`).
   */
  also: {
    [k: string]: Also;
  };
  applies: Applies;
  direction: Direction;
  /**
   * A rule that is not enabled closes its open warnings and raises none.
   */
  enabled: boolean;
  flapping: Flapping | null;
  /**
   * How long a reading stands when no new one comes: a run past a limit with a longer gap in it begins anew, and a dwell in time does not
   * end on an older reading. Left out: ten minutes, or three periods of the series or of the measure's grid,
   * whichever is longest.
   */
  fresh: string | null;
  id: string;
  /**
   * As version 0.2 had it; `measure` says what kind a rule is.
   */
  kind: "threshold";
  measure: Value | Rate | Window | Exceedances | Absence | Agreement | Regional | Background;
  name: Name;
  /**
   * Where the limits come from, with the clause.
   */
  standard: Name | string | null;
  /**
   * What its warnings are tagged with, for those who decide who is told.
   *
   * @maxItems 16
   */
  tags: string[];
  tiers: {
    [k: string]: Step;
  };
  /**
   * IANA name of the city's time: hours, weekdays, dates, days and grids are in it.
   */
  timezone: string;
  /**
   * Of the measure and its limits: a rate's is one per time, an absence's is `s`, a count's is `1`.
   */
  unit: string;
  /**
   * Raise it with every change; an older or equal version is not taken.
   */
  version: number;
}
/**
 * One tier: its way up, and its way down (a limit on the good side of the way up's: the hysteresis).
 */
export interface Step {
  down: Way;
  up: Way;
}
/**
 * When a tier changes: its condition holds for `readings` samples in a row, or for the time `for`.
 *
 * The condition is `limit` (the rule's measure at it or past it, on the bad side for the way up, on the good side for the way down)
 * or `when`. With both dwells left out the first such sample decides, on its arrival. A dwell in time is decided by ticks, after a
 * grace for late data.
 */
export interface Way {
  for: string | null;
  limit: Limits | number | null;
  readings: number;
  when: All | Either | Not | Compare | null;
}
/**
 * One warning from its beginning: its revisions, the newest explained, the values around it, and its rule as far as that is still in force.
 */
export interface WarningStory {
  explanation: Explanation;
  /**
   * Of the warning, by GB/T 35965.1-2018 (`schemas.identifier`).
   */
  identifier: string;
  metric: string;
  period_s: number;
  /**
   * Of the deciding series, none of a place's warning; from before the beginning until after the end; of a long warning only around its
   * beginning, its decision and its end.
   */
  points: Point[];
  /**
   * The oldest first.
   */
  revisions: Warning[];
  rule: Rule | null;
  statistic: Statistic;
  /**
   * There are more than `points` has: of many the lowest and highest of each part are kept.
   */
  thinned: boolean;
  /**
   * Of the points; what the rule measured of them may have another, which its evidence says.
   */
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
 * What became of an answer.
 */
export interface Answered {
  command: string;
  /**
   * None: it is on its way.
   */
  outcome: Decision | null;
}
/**
 * A warning in a brief.
 */
export interface BriefWarning {
  acknowledged: Acknowledgement | null;
  began_at: string;
  changed_at: string;
  cleared: Disposition | null;
  department: string;
  domain: Domain;
  id: string;
  open: boolean;
  origin: Origin;
  place: Name | null;
  progress: Progress | null;
  street: string;
  text: Name;
  tier: Tier;
}
/**
 * Somebody who is on duty.
 */
export interface DutyPerson {
  /**
   * By channel, masked; the whole address is told one by one, and audited.
   */
  contacts: {
    [k: string]: string;
  };
  instead_of: string | null;
  name: Name;
  person: string;
  shift: Name | null;
  since: string;
  until: string;
}
/**
 * A team, who of it is on duty now, and who in the next days.
 */
export interface DutyTeam {
  later: DutyPerson[];
  name: Name;
  now: DutyPerson[];
  region: string;
  role: TeamRole;
  team: string;
}
/**
 * A hand-over, and who has taken it.
 */
export interface HandOverShown {
  at: string;
  by: Actor;
  day: string;
  id: string;
  note: string;
  open: number;
  region: string;
  taken_at: string | null;
  taken_by: Actor | null;
  unanswered: number;
}
/**
 * The daily brief of a region: what was, what stands, who was on duty.
 */
export interface Brief {
  /**
   * Median seconds from the beginning of a warning to its acknowledgement, of those that have one.
   */
  answered_s: number | null;
  /**
   * How many warnings began in the time, by tier as they are now.
   */
  began: {
    [k: string]: number;
  };
  by_domain: {
    [k: string]: number;
  };
  /**
   * Of the regions right below.
   */
  by_region: {
    [k: string]: number;
  };
  duty: DutyTeam[];
  /**
   * Of the time.
   */
  handovers: HandOverShown[];
  made_at: string;
  /**
   * How many of these are left out.
   */
  more: number;
  open: {
    [k: string]: number;
  };
  region: LiveRegion;
  since: string;
  /**
   * Open orange and red ones that nobody answered for.
   */
  unanswered: number;
  until: string;
  /**
   * Red and orange ones, and all that are open, at most 200, the gravest first.
   */
  warnings: BriefWarning[];
}
/**
 * Somebody's whole addresses, by channel.
 */
export interface Contacts {
  contacts: {
    [k: string]: string;
  };
  person: string;
}
/**
 * Where somebody stood when they answered, and what they photographed. Whoever looks at it is audited.
 */
export interface FieldAnswer {
  at: string;
  by: Actor;
  command: string;
  deed: Deed;
  photos: string[];
  position: Position | null;
}
/**
 * An alert as a phone shows it: those of its warnings that are the reader's, at most 50, the gravest first.
 */
export interface FieldAlert {
  /**
   * One of its warnings was given to the reader.
   */
  assigned: boolean;
  closed_at: string | null;
  /**
   * How many of its warnings are open, all together.
   */
  count: number;
  id: string;
  /**
   * Of its messages, the newest.
   */
  message: number;
  opened_at: string;
  origin: Origin;
  storm: boolean;
  text: Name;
  tier: Tier;
  told_at: string | null;
  /**
   * Somebody has to answer for it still.
   */
  unanswered: boolean;
  warnings: FieldWarning[];
}
/**
 * A warning as a phone shows it.
 */
export interface FieldWarning {
  actions: WarningActions | null;
  began_at: string;
  changed_at: string;
  department: string;
  id: string;
  latitude: number | null;
  longitude: number | null;
  open: boolean;
  place: Name | null;
  rev: number;
  sensor: string | null;
  street: string;
  text: Name;
  tier: Tier;
}
/**
 * What a phone shows.
 */
export interface FieldView {
  alerts: FieldAlert[];
  now: string;
}
/**
 * What a link from a message leads to. Looking at it changes nothing: previews do that.
 */
export interface Link {
  alert: FieldAlert;
  city: Name;
  person: Name;
  state: "open" | "used" | "expired" | "over";
  until: string;
  used_as: Decision | null;
}
/**
 * A silence.
 */
export interface SilenceShown {
  by: Actor;
  ended_by: Actor | null;
  id: string;
  match: Match;
  reason: string;
  region: string;
  since: string;
  until: string;
}
/**
 * A photo that was taken.
 */
export interface Stored {
  digest: string;
}
/**
 * One notification, as it was decided and, with the same `id`, with its result.
 */
export interface Notification {
  alert: string;
  channel: string;
  /**
   * When alerts decided, by its clock.
   */
  decided_at: string;
  department: string;
  /**
   * How many notifications were told in one message.
   */
  digest: number;
  /**
   * A UUIDv5 of alert, message, channel and recipient, so that a repetition is the same notification.
   */
  id: string;
  /**
   * The number of the alert's message.
   */
  message: number;
  origin: Origin;
  /**
   * Why it failed, is uncertain or was withheld.
   */
  reason: string | null;
  /**
   * `region/<code>`: the screens of a region; `person/<id>`; `chat/<channel>`.
   */
  recipient: string;
  result: Result;
  /**
   * Of the gravest warning.
   */
  street: string;
  text: Name;
  tier: Tier;
  /**
   * When the channel took it.
   */
  told_at: string | null;
  /**
   * The gravest of the alert's warnings.
   */
  warning: string;
  warning_rev: number;
  /**
   * How many it tells of.
   */
  warnings: number;
  why: Why;
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
  outcome: AuditOutcome;
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
/**
 * What became of a department's events by one way in one hour.
 */
export interface FlowHour {
  /**
   * The protocol; `again` is what was sent again.
   */
  door: string;
  /**
   * Its beginning (UTC).
   */
  hour: string;
  /**
   * Of the observations: came later than rules wait for.
   */
  late: number;
  observations: number;
  refused: number;
  reports: number;
}
/**
 * How many refusals of one reason are in one state.
 */
export interface RefusedCount {
  code: string;
  count: number;
  newest: string;
  state: "kept" | "sent_again" | "discarded";
}
/**
 * What became of a department's events in a time, by the time of receipt.
 */
export interface EventsSummary {
  department: string;
  hours: FlowHour[];
  late: number;
  /**
   * Refusals that are kept no longer, of whatever time, because there were too many: `city.rejected` has them for 30 days.
   */
  left_out: number;
  /**
   * Accepted.
   */
  observations: number;
  /**
   * Of those that are kept.
   */
  reasons: RefusedCount[];
  /**
   * As they came; of these some may have been sent again since.
   */
  refused: number;
  /**
   * Accepted.
   */
  reports: number;
  since: string;
  until: string;
  /**
   * Warnings of the department's sensors that began in the time, by the gravest tier that they had.
   */
  warned: {
    [k: string]: number;
  };
}
/**
 * What is wrong with one item, where, and how to mend it.
 */
export interface Problem {
  code: string;
  hint: string;
  message: string;
  /**
   * A path into the item, such as `data.values.flow`; empty for the item itself.
   */
  where: string;
}
/**
 * Something that was refused, without what came.
 */
export interface RefusalShown {
  address: string;
  /**
   * What became of it the last time that it was sent again (`became`, `accepted`, `problem`), or the note with which it was discarded.
   */
  again: {
    [k: string]: unknown;
  } | null;
  changed_at: string | null;
  /**
   * A user's id.
   */
  changed_by: string | null;
  content_type: string;
  /**
   * The protocol.
   */
  door: string;
  /**
   * Its own id, where that could be read.
   */
  event: string | null;
  id: string;
  /**
   * Bytes of it that are kept; what is not kept whole cannot be sent again.
   */
  kept: number;
  problem: Problem;
  received: string;
  /**
   * A sensor's id, or a device as `<protocol>:<name>`, known or not.
   */
  sensor: string | null;
  sha256: string;
  /**
   * Bytes of the whole.
   */
  size: number;
  state: "kept" | "sent_again" | "discarded";
}
/**
 * A refusal with what came, as far as that is kept.
 */
export interface RefusalBody {
  /**
   * Where it is not.
   */
  hex: string | null;
  refusal: RefusalShown;
  /**
   * Where it is UTF-8.
   */
  text: string | null;
}
/**
 * A way by which a department is heard.
 */
export interface DoorShown {
  /**
   * The newest minute in which something came.
   */
  heard_at: string | null;
  /**
   * Where it is stopped.
   */
  nodes: string[];
  protocol: string;
  /**
   * Since when it takes no more of the department's of what it would refuse, because it refused all that it had taken before.
   */
  stopped_at: string | null;
  /**
   * What was said of the newest that it refused.
   */
  why: string | null;
}
/**
 * A reading as history keeps it.
 */
export interface AcceptedReading {
  end: string;
  /**
   * The id of the event that said it last.
   */
  event: string;
  origin: Origin;
  period_s: number;
  received: string;
  sensor: string;
  source: string;
  statistic: Statistic;
  values: {
    [k: string]: AcceptedValue;
  };
}
/**
 * One value of a reading.
 */
export interface AcceptedValue {
  quality: Quality;
  value: number;
}
/**
 * An accepted report; its identity is (source, id) within its department, and the first of an identity stands.
 */
export interface Report {
  address: string | null;
  /**
   * How a report came to the department that publishes it.
   */
  channel: "hotline" | "app" | "inspection" | "department";
  department: string;
  description: string;
  id: string;
  kind: string;
  latitude: number | null;
  longitude: number | null;
  matter: Matter;
  occurred: string;
  origin: Origin;
  received: string;
  region: string;
  source: string;
  title: string;
}
/**
 * A report with its id here.
 */
export interface ReportShown {
  id: string;
  report: Report;
}
/**
 * What became of an event, or of what a sensor said around a time.
 */
export interface EventFate {
  /**
   * At most 20.
   */
  accepted: AcceptedReading[];
  /**
   * At most 20, the newest first; by the event's id, whatever its source.
   */
  refused: RefusalShown[];
  report: ReportShown | null;
  since: string;
  /**
   * In which time readings were looked for, by their ends.
   */
  until: string;
  /**
   * The warnings that were decided by one of these readings, each as it was then.
   */
  warned: Warning[];
}
/**
 * A command's outcome, None while nothing was decided; what the detail holds goes by the command's kind.
 */
export interface Decided {
  command: string;
  detail: {
    [k: string]: unknown;
  };
  outcome: Outcome | null;
}
/**
 * A key that was made.
 */
export interface KeyMade {
  decided: Decided;
  /**
   * Its public name.
   */
  key: string;
  /**
   * What is to be sent as `Authorization: Bearer …`; it is shown here alone. None where it was refused.
   */
  secret: string | null;
}
/**
 * A department's key, without what lets in.
 */
export interface KeyShown {
  department: string;
  expires_at: string | null;
  id: string;
  label: string;
  made_at: string;
  /**
   * A user's id.
   */
  made_by: string;
  revoked_at: string | null;
  revoked_by: string | null;
  scope: KeyScope;
  /**
   * Up to some seconds ago.
   */
  used_at: string | null;
}
/**
 * A part of a fire alarm system behind a transmission device that speaks GB/T 26875.3.
 */
export interface Gb26875 {
  /**
   * By the type of an analogue value in the standard's table, such as `3` for a temperature.
   */
  analogues: {
    [k: string]: Meaning;
  };
  /**
   * The component's address: its four bytes as they are sent; None for the system as a whole.
   */
  component: string | null;
  /**
   * The transmission device's source address: its six bytes as they are sent, in hexadecimal.
   */
  device: string;
  /**
   * Whether a fire with bit 0 (normal operation) clear is a drill, as the standard says. Not for devices that never set the bit (False):
   * their fires are fires. Left out, it is a drill only once the device was heard to set the bit together
   * with a fire or a fault: a maker who clears it with every fire means something else by it.
   */
  drills: boolean | null;
  /**
   * Whether an event tells of the city or of our own making; warnings and notifications inherit it.
   */
  origin: "real" | "replayed" | "simulated" | "exercise";
  protocol: "gb26875";
  /**
   * By the name of a state's bit, such as `fire` or `fault`: 1 where it is set, else 0.
   */
  states: {
    [k: string]: Meaning;
  };
  /**
   * The address of the system in the building; None for the transmission device itself.
   */
  system: number | null;
}
/**
 * What one of a device's words means.
 */
export interface Meaning {
  metric: string;
  /**
   * By which the number is multiplied first, for devices that send whole numbers.
   */
  scale: number;
  /**
   * UCUM, in which the device says it; None where it is the metric's own. It is converted once, when it is taken in.
   */
  unit: string | null;
}
/**
 * A monitor that speaks HJ 212 (2005 or 2017).
 */
export interface Hj212 {
  /**
   * By pollutant code, such as `a34004` or `w01018`: its Rtd, Avg, Min and Max. Its Cou, a total, has a unit of its own (m3 where the flow is in
   * L/s), and is taken only where a word of its own, such as `w00000-Cou`, gives it a metric.
   */
  codes: {
    [k: string]: Meaning;
  };
  /**
   * Codes, or single fields as `<code>-<field>`, that the device sends and the city does not use: not taken, and not told of. A sensor's apply
   * to its whole device.
   *
   * @maxItems 256
   */
  ignored: string[];
  /**
   * How long the period of its minute data (CN 2051) is; HJ 212 leaves it to the device's setting.
   */
  minutes: string;
  /**
   * Its unique number (MN). Its password (PW) is a secret, and stands with the other secrets.
   */
  mn: string;
  /**
   * Whether an event tells of the city or of our own making; warnings and notifications inherit it.
   */
  origin: "real" | "replayed" | "simulated" | "exercise";
  protocol: "hj212";
}
/**
 * A device that publishes to the city's MQTT broker.
 */
export interface Mqtt {
  /**
   * What the mapping finds as the device's name.
   */
  device: string;
  /**
   * One of the city's mappings (`mqtt.yaml`), which says where in topic and payload what stands.
   */
  mapping: string;
  protocol: "mqtt";
}
/**
 * A permit of the site at which a sensor stands.
 */
export interface Permit {
  kind: string;
  number: string;
  until: string | null;
}
/**
 * Where a sensor stands, whose it is and what it measures.
 */
export interface Sensor {
  /**
   * The protocol by which it is heard: its silence counts only while some node's adapter of that protocol listens.
   */
  adapter: string;
  /**
   * What limits may depend on, such as a site's `phase`.
   */
  attributes: {
    [k: string]: string;
  };
  /**
   * The id of the object in the city information model (CIM) at which it stands.
   */
  cim: string | null;
  department: string;
  domain: Domain;
  /**
   * How often it is to be heard; a longer time without a reading is a gap.
   */
  every: string | null;
  id: string;
  latitude: number | null;
  /**
   * Where a sensor is in its life.
   */
  life: "planned" | "active" | "suspended" | "retired";
  /**
   * The device behind it, where it is heard by a protocol of the field.
   */
  link: (Hj212 | Gb26875 | Mqtt) | null;
  /**
   * CGCS2000 (EPSG:4490), degrees.
   */
  longitude: number | null;
  metrics: {
    [k: string]: Metric;
  };
  name: Name;
  /**
   * Of a construction site; its phase is the attribute `phase`.
   *
   * @maxItems 16
   */
  permits: Permit[];
  place: Name | null;
  /**
   * What it belongs to, where several sensors stand at one station.
   */
  station: string | null;
  street: string;
  /**
   * @maxItems 64
   */
  tags: string[];
  version: number;
}
/**
 * How a sensor is: what was heard of it since its first reading.
 */
export interface SensorHealth {
  /**
   * Seconds since then.
   */
  age_s: number | null;
  /**
   * Values with any flag but good.
   */
  bad: number;
  /**
   * Of which time it told last.
   */
  ended_at: string | null;
  gaps: number;
  /**
   * When the last reading came.
   */
  heard_at: string | null;
  late: number;
  longest_gap_s: number;
  readings: number;
  /**
   * How far ahead of our clock its readings end.
   */
  skew_s: number;
  /**
   * Silent: not heard for twice its `every`, or for an hour where it has none. Unused: neither heard nor in use. Doubtful: a tenth of its values is
   * flagged.
   */
  state: "well" | "doubtful" | "silent" | "unheard" | "unused";
  values: number;
}
/**
 * A sensor of the registry.
 */
export interface SensorShown {
  /**
   * Whether the reader may change it.
   */
  changeable: boolean;
  health: SensorHealth;
  sensor: Sensor;
}
/**
 * Sensors by id.
 */
export interface SensorPage {
  /**
   * Ask for those after it; None when there are no more.
   */
  after: string | null;
  sensors: SensorShown[];
}
/**
 * A device or a sensor that was heard and that nobody registered.
 */
export interface UnknownShown {
  count: number;
  department: string;
  /**
   * Its name in the protocol, or the sensor's id.
   */
  device: string;
  first_at: string;
  last_at: string;
  protocol: string;
  /**
   * The beginning of what it said last.
   */
  said: string;
}
/**
 * A sensor that is not complete: what is known of it beforehand.
 */
export interface Draft {
  /**
   * Paths of what must be given.
   */
  missing: string[];
  sensor: {
    [k: string]: unknown;
  };
}
/**
 * One thing that is wrong, and where.
 */
export interface Fault {
  code: FaultCode;
  /**
   * The column, or the path in the feature or the sensor; empty for all of it.
   */
  column: string;
  message: string;
  /**
   * Of a CSV file as a spreadsheet counts, the header being 1; of GeoJSON the feature, from 1. None of no row.
   */
  row: number | null;
  sensor: string | null;
}
/**
 * One field before and after, None where it is not there.
 */
export interface FieldChange {
  /**
   * A path, such as `metrics.flow.high`.
   */
  field: string;
  new: {
    [k: string]: unknown;
  };
  old: {
    [k: string]: unknown;
  };
}
/**
 * What changes of one sensor.
 */
export interface SensorChange {
  /**
   * Of a new one all that are given.
   */
  fields: FieldChange[];
  row: number | null;
  sensor: string;
  /**
   * That it has afterwards; 1 of a new one.
   */
  version: number;
}
/**
 * What a command changes, or would change.
 */
export interface Registration {
  changed: number;
  /**
   * At most `CHANGES_TOLD`, and fewer where they have many fields, in the file's order.
   */
  changes: SensorChange[];
  /**
   * At most `FAULTS_TOLD`. With any of them nothing is changed.
   */
  faults: Fault[];
  /**
   * How many are left out; a file with many more is not read to its end.
   */
  more_faults: number;
  new: number;
  /**
   * What is there now, where a change is refused because it was changed since it was seen.
   */
  there: Sensor | null;
  unchanged: number;
}
