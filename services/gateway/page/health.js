// What must be said about how far the screen can be trusted. Pure: state and time in, findings out.

import { clockTime, span } from "./format.js";
import { t } from "./words.js";

/** The services that make the platform; one that is never heard is missed. */
export const EXPECTED = ["ingest", "rules", "history", "alerts", "gateway"];

const SILENT_MS = 3000; // three heartbeats missed
const LATE_MS = 4500; // said before five seconds have passed: the page looks four times a second
const UNREACHED_MS = 3000;
const GRACE_HEARTBEATS = 3; // a gateway that has just started has not yet heard everyone
const JUDGED_BY_EVENTS = new Set(["rules"]); // it works off ticks, so how far it has come never rests

const EFFECTS = {
  ingest: "effectIngest",
  rules: "effectRules",
  history: "effectHistory",
  alerts: "effectAlerts",
  gateway: "effectGateway",
};

/** The name of a service. */
export const serviceName = (service) => t(service);

function best(nodes, now) {
  const fresh = nodes.filter((node) => now - node.at <= LATE_MS);
  const among = fresh.length > 0 ? fresh : nodes;
  const ready = among.filter((node) => node.ready);
  return (ready.length > 0 ? ready : among).reduce((a, b) => (b.at > a.at ? b : a));
}

function judge(service, nodes, now) {
  if (nodes.length === 0) return { service, state: "unheard" };
  const node = best(nodes, now);
  const behind = JUDGED_BY_EVENTS.has(service) && node.eventAt !== null ? now - node.eventAt : 0;
  const told = { service, at: node.at, reason: node.reason, lag: node.lag, behind };
  if (now - node.at > LATE_MS) return { ...told, state: "late" };
  if (!node.ready) return { ...told, state: "unready" };
  return { ...told, state: behind > LATE_MS ? "behind" : "ok" };
}

/** The state of each expected service, and of any other that was heard: `ok`, `behind`, `unready`, `late` or `unheard`. Null before they can be known. */
export function judgeServices(model, now) {
  if (model.services === null) return null;
  const others = model.services.map((node) => node.service).filter((name) => !EXPECTED.includes(name));
  const judged = [...EXPECTED, ...new Set(others)].map((name) => judge(name, model.services.filter((node) => node.service === name), now));
  const early = model.heartbeats < GRACE_HEARTBEATS;
  return judged.map((one) => (early && one.state === "unheard" ? { ...one, state: "awaited" } : one));
}

/** Whether nothing is heard of the gateway, and since when (monotonic); null while it is. */
function lostSince(live, mono) {
  if (live.lostAt !== null) return live.lostAt;
  return live.phase === "live" && mono - live.heardAt > SILENT_MS ? live.heardAt : null;
}

function retrying(live, mono) {
  const n = String(live.attempt);
  if (live.phase === "waiting") return t("bannerRetry", { span: span(Math.max(0, live.retryAt - mono) + 999), n });
  return live.phase === "connecting" ? t("bannerTrying", { n }) : "";
}

function ofLoss(live, model, clock, mono, since) {
  const parameters = { since: clockTime(clock.now(since)), span: span(mono - since), stopped: clockTime(model.frameAt) };
  return { key: "lost", level: "grave", text: t("bannerLost", parameters), more: retrying(live, mono), retry: true };
}

function ofServices(judged, now) {
  return judged.flatMap((one) => {
    const parameters = { name: serviceName(one.service), effect: t(EFFECTS[one.service] ?? "effectOther") };
    const found = (key, more) => [{ key: `${one.service}:${one.state}`, level: "serious", text: t(key, { ...parameters, ...more }), service: one.service }];
    if (one.state === "unheard") return found("bannerUnheard");
    if (one.state === "late") return found("bannerLate", { since: clockTime(one.at, now), span: span(now - one.at) });
    if (one.state === "unready") return found("bannerUnready", { reason: one.reason || t("noReason") });
    return one.state === "behind" ? found("bannerServiceBehind", { span: span(one.behind) }) : [];
  });
}

function ofPipeline(model, now, liveFor) {
  if (model.pipelineAt === null) {
    const early = model.heartbeats < GRACE_HEARTBEATS && liveFor < LATE_MS;
    return early ? [] : [{ key: "noTick", level: "serious", text: t("bannerNoTick") }];
  }
  if (now - model.pipelineAt <= LATE_MS) return [];
  const parameters = { since: clockTime(model.pipelineAt, now), span: span(now - model.pipelineAt) };
  return [{ key: "stalled", level: "serious", text: t("bannerStalled", parameters) }];
}

/**
 * What is wrong between the city and this screen, gravest first; empty when nothing is.
 *
 * Each finding has a `key`, a `level` (`grave`: the screen stands still; `serious`: it may be wrong), a `text`, and where they apply
 * `more`, `retry` (a button makes sense) and `service`. While the gateway is lost nothing else can be known, so nothing else is said.
 */
export function diagnose(live, model, clock, mono = performance.now()) {
  if (model.region === null) return ofNoContact(live, mono);
  const since = lostSince(live, mono);
  if (since !== null) return [ofLoss(live, model, clock, mono, since)];
  const now = clock.now(mono);
  if (now - model.frameAt > LATE_MS) return [{ key: "behind", level: "grave", text: t("bannerBehind", { span: span(now - model.frameAt) }) }];
  return [...ofPipeline(model, now, mono - live.liveAt), ...ofServices(judgeServices(model, now) ?? [], now)];
}

function ofNoContact(live, mono) {
  const waited = mono - live.startedAt;
  if (waited < UNREACHED_MS || live.phase === "refused") return [];
  return [{ key: "unreached", level: "grave", text: t("bannerUnreached", { span: span(waited) }), more: retrying(live, mono), retry: true }];
}

/** Whether findings leave open if the sensors' silence is their own: while data does not flow, it is ours. */
export const standsStill = (findings) => findings.some(({ key, level, service }) => level === "grave" || ["stalled", "noTick"].includes(key) || service === "ingest");

/** Whether findings mean that warnings may be missing or late. */
export const warningsUnsure = (findings) =>
  findings.some(({ key, level, service }) => level === "grave" || ["stalled", "noTick"].includes(key) || service === "rules" || service === "ingest");
