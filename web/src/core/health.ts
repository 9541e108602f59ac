// What must be said about how far the screen can be trusted. Pure: state and time in, findings out.

import type { ServerClock } from "./clock";
import { clockTime, span } from "./format";
import type { Live } from "./live";
import type { Model, Node } from "./model";
import { t } from "./words";

/** The services that make the platform; one that is never heard is missed. */
export const EXPECTED = ["ingest", "rules", "history", "alerts", "gateway"] as const;

const SILENT_MS = 3000; // three heartbeats missed
/** Said before five seconds have passed: the page looks four times a second. */
export const LATE_MS = 4500;
const UNREACHED_MS = 3000;
const GRACE_HEARTBEATS = 3; // a gateway that has just started has not yet heard everyone
const JUDGED_BY_EVENTS = new Set(["rules"]); // it works off ticks, so how far it has come never rests

const EFFECTS: Record<string, string> = {
  ingest: "effectIngest",
  rules: "effectRules",
  history: "effectHistory",
  alerts: "effectAlerts",
  gateway: "effectGateway",
};

export type ServiceState = "ok" | "behind" | "unready" | "late" | "unheard" | "awaited";

/** What is known of a service. */
export interface Judgement {
  service: string;
  state: ServiceState;
  at?: number;
  reason?: string;
  lag?: number;
  behind?: number;
}

/**
 * Something that is wrong between the city and this screen: `grave` when the screen stands still, `serious` when it may be wrong.
 * With `more` where there is more to say, and `retry` where a button makes sense.
 */
export interface Finding {
  key: string;
  level: "grave" | "serious";
  text: string;
  more?: string;
  retry?: boolean;
  service?: string;
}

/** What a diagnosis reads of a connection. */
export type Connection = Pick<Live, "phase" | "attempt" | "heardAt" | "lostAt" | "retryAt" | "startedAt" | "liveAt">;

/** What a diagnosis reads of a model. */
export type Known = Pick<Model, "region" | "services" | "heartbeats" | "pipelineAt" | "frameAt">;

function best(nodes: readonly Node[], now: number): Node {
  const fresh = nodes.filter((node) => now - node.at <= LATE_MS);
  const among = fresh.length > 0 ? fresh : nodes;
  const ready = among.filter((node) => node.ready);
  return (ready.length > 0 ? ready : among).reduce((a, b) => (b.at > a.at ? b : a));
}

function judge(service: string, nodes: readonly Node[], now: number): Judgement {
  if (nodes.length === 0) return { service, state: "unheard" };
  const node = best(nodes, now);
  const behind = JUDGED_BY_EVENTS.has(service) && node.eventAt !== null ? now - node.eventAt : 0;
  const told = { service, at: node.at, reason: node.reason, lag: node.lag, behind };
  if (now - node.at > LATE_MS) return { ...told, state: "late" };
  if (!node.ready) return { ...told, state: "unready" };
  return { ...told, state: behind > LATE_MS ? "behind" : "ok" };
}

/** The state of each expected service, and of any other that was heard. Null before they can be known. */
export function judgeServices(model: Known, now: number): Judgement[] | null {
  const nodes = model.services;
  if (nodes === null) return null;
  const expected: readonly string[] = EXPECTED;
  const others = nodes.map((node) => node.service).filter((name) => !expected.includes(name));
  const judged = [...expected, ...new Set(others)].map((name) => judge(name, nodes.filter((node) => node.service === name), now));
  const early = model.heartbeats < GRACE_HEARTBEATS;
  return judged.map((one) => (early && one.state === "unheard" ? { ...one, state: "awaited" } : one));
}

/** Whether nothing is heard of the gateway, and since when (monotonic); null while it is. */
function lostSince(live: Connection, mono: number): number | null {
  if (live.lostAt !== null) return live.lostAt;
  return live.phase === "live" && mono - live.heardAt > SILENT_MS ? live.heardAt : null;
}

function retrying(live: Connection, mono: number): string {
  const n = live.attempt;
  if (live.phase === "waiting") return t("bannerRetry", { span: span(Math.max(0, live.retryAt - mono) + 999), n });
  return live.phase === "connecting" ? t("bannerTrying", { n }) : "";
}

function ofLoss(live: Connection, model: Known, clock: ServerClock, mono: number, since: number): Finding {
  const parameters = { since: clockTime(clock.now(since)), span: span(mono - since), stopped: clockTime(model.frameAt) };
  return { key: "lost", level: "grave", text: t("bannerLost", parameters), more: retrying(live, mono), retry: true };
}

function ofServices(judged: readonly Judgement[], now: number): Finding[] {
  return judged.flatMap((one): Finding[] => {
    const parameters = { name: t(one.service), effect: t(EFFECTS[one.service] ?? "effectOther") };
    const found = (key: string, more: Record<string, string> = {}): Finding[] => [
      { key: `${one.service}:${one.state}`, level: "serious", text: t(key, { ...parameters, ...more }), service: one.service },
    ];
    if (one.state === "unheard") return found("bannerUnheard");
    if (one.state === "late") return found("bannerLate", { since: clockTime(one.at ?? NaN, now), span: span(now - (one.at ?? NaN)) });
    if (one.state === "unready") return found("bannerUnready", { reason: one.reason || t("noReason") });
    return one.state === "behind" ? found("bannerServiceBehind", { span: span(one.behind ?? 0) }) : [];
  });
}

function ofPipeline(model: Known, now: number, liveFor: number): Finding[] {
  if (model.pipelineAt === null) {
    const early = model.heartbeats < GRACE_HEARTBEATS && liveFor < LATE_MS;
    return early ? [] : [{ key: "noTick", level: "serious", text: t("bannerNoTick") }];
  }
  if (now - model.pipelineAt <= LATE_MS) return [];
  const parameters = { since: clockTime(model.pipelineAt, now), span: span(now - model.pipelineAt) };
  return [{ key: "stalled", level: "serious", text: t("bannerStalled", parameters) }];
}

function ofNoContact(live: Connection, mono: number): Finding[] {
  const waited = mono - live.startedAt;
  if (waited < UNREACHED_MS || live.phase === "refused") return [];
  return [{ key: "unreached", level: "grave", text: t("bannerUnreached", { span: span(waited) }), more: retrying(live, mono), retry: true }];
}

/**
 * What is wrong between the city and this screen, gravest first; empty when nothing is.
 *
 * While the gateway is lost nothing else can be known, so nothing else is said.
 */
export function diagnose(live: Connection, model: Known, clock: ServerClock, mono = performance.now()): Finding[] {
  if (model.region === null) return ofNoContact(live, mono);
  const since = lostSince(live, mono);
  if (since !== null) return [ofLoss(live, model, clock, mono, since)];
  const now = clock.now(mono);
  if (now - model.frameAt > LATE_MS) return [{ key: "behind", level: "grave", text: t("bannerBehind", { span: span(now - model.frameAt) }) }];
  return [...ofPipeline(model, now, mono - live.liveAt), ...ofServices(judgeServices(model, now) ?? [], now)];
}

const ofData = ({ key, level, service }: Finding): boolean => level === "grave" || key === "stalled" || key === "noTick" || service === "ingest";

/** Whether findings leave open if the sensors' silence is their own: while data does not flow, it is ours. */
export const standsStill = (findings: readonly Finding[]): boolean => findings.some(ofData);

/** Whether findings mean that warnings may be missing or late. */
export const warningsUnsure = (findings: readonly Finding[]): boolean => findings.some((one) => ofData(one) || one.service === "rules");
