import { describe, expect, it } from "vitest";
import { ServerClock } from "./clock";
import { type Connection, diagnose, judgeServices, type Known, standsStill, warningsUnsure } from "./health";
import type { Node } from "./model";
import { CITY } from "../testing/frames";

const NOW = 1_000_000;
const MONO = 50_000;

function clock(): ServerClock {
  const made = new ServerClock();
  made.sample(NOW, MONO);
  return made;
}

const heard = (service: string, ago = 0, more: Partial<Node> = {}): Node => ({ service, node: "n1", time: "", ready: true, reason: "", lag: 0, event_time: null, at: NOW - ago, eventAt: NOW, ...more });
const ALL = ["ingest", "rules", "history", "alerts", "gateway"].map((service) => heard(service));

const known = (given: Partial<Known> = {}): Known => ({ region: CITY, services: ALL, heartbeats: 9, pipelineAt: NOW, frameAt: NOW, ...given });
const live = (given: Partial<Connection> = {}): Connection => ({ phase: "live", attempt: 0, heardAt: MONO, lostAt: null, retryAt: 0, startedAt: 0, liveAt: 0, ...given });
const keys = (connection: Connection, model: Known): string[] => diagnose(connection, model, clock(), MONO).map(({ key }) => key);

describe("diagnose", () => {
  it("finds nothing when all is well", () => {
    expect(keys(live(), known())).toEqual([]);
  });

  it("says nothing else while the gateway is lost", () => {
    const [found, ...others] = diagnose(live({ phase: "waiting", lostAt: MONO - 1000, retryAt: MONO + 2000, attempt: 3 }), known({ services: [], pipelineAt: null }), clock(), MONO);
    expect(found).toMatchObject({ key: "lost", level: "grave", retry: true, more: "2 秒后第 3 次重连" });
    expect(others).toEqual([]);
  });

  it.each([
    ["a socket that fell silent", live({ heardAt: MONO - 3001 }), known(), ["lost"]],
    ["frames that come late", live(), known({ frameAt: NOW - 4501 }), ["behind"]],
    ["a pipeline that stands still", live(), known({ pipelineAt: NOW - 4501 }), ["stalled"]],
    ["a pipeline that is young enough", live(), known({ pipelineAt: NOW - 4500 }), []],
    ["no tick", live(), known({ pipelineAt: null }), ["noTick"]],
    ["no tick yet, right after the start", live({ liveAt: MONO - 1000 }), known({ pipelineAt: null, heartbeats: 1 }), []],
    ["a service that fell silent", live(), known({ services: [...ALL.slice(1), heard("ingest", 4501)] }), ["ingest:late"]],
    ["a service never heard", live(), known({ services: ALL.slice(1) }), ["ingest:unheard"]],
    ["rules that are behind", live(), known({ services: ALL.map((one) => (one.service === "rules" ? { ...one, eventAt: NOW - 9000 } : one)) }), ["rules:behind"]],
    ["history whose newest event is old, which may be rest", live(), known({ services: ALL.map((one) => (one.service === "history" ? { ...one, eventAt: 0 } : one)) }), []],
    ["no contact at all", live({ phase: "connecting", startedAt: MONO - 3000 }), known({ region: null }), ["unreached"]],
  ])("finds %s", (_, connection, model, found) => {
    expect(keys(connection, model)).toEqual(found);
  });
});

describe("judgeServices", () => {
  it("takes the best of several nodes", () => {
    const services = [...ALL, heard("rules", 60_000, { node: "gone" }), heard("rules", 0, { node: "starting", ready: false, reason: "reading" })];
    expect(judgeServices(known({ services }), NOW)?.find(({ service }) => service === "rules")?.state).toBe("ok");
  });

  it("waits before it misses one", () => {
    expect(judgeServices(known({ services: [], heartbeats: 2 }), NOW)?.every(({ state }) => state === "awaited")).toBe(true);
  });
});

it("whose silence it is, and whether warnings may be missing", () => {
  const of = (model: Known) => diagnose(live(), model, clock(), MONO);
  const rules = of(known({ services: ALL.filter(({ service }) => service !== "rules") }));
  expect([standsStill(rules), warningsUnsure(rules)]).toEqual([false, true]);
  const ingest = of(known({ services: ALL.slice(1) }));
  expect([standsStill(ingest), warningsUnsure(ingest)]).toEqual([true, true]);
  const alerts = of(known({ services: ALL.filter(({ service }) => service !== "alerts") }));
  expect([standsStill(alerts), warningsUnsure(alerts)]).toEqual([false, false]);
});

it("late frames do not turn the clock back", () => {
  const made = clock();
  made.sample(NOW - 5000, MONO + 1000);
  expect(made.now(MONO + 1000)).toBe(NOW + 1000);
});
