import { beforeEach, expect, it } from "vitest";
import { asQuery, bytes, hoursOf, reasonsOf, tally, timesOf } from "./events";
import { useZone } from "./format";

beforeEach(() => useZone("Asia/Shanghai"));

const NOW = Date.parse("2026-11-23T17:20:30Z"); // 01:20:30 of the 24th in the city

it("begins days at the city's midnight", () => {
  const iso = ({ since, until }: ReturnType<typeof timesOf>) => [new Date(since).toISOString(), until === null ? null : new Date(until).toISOString()];
  expect(iso(timesOf("today", NOW))).toEqual(["2026-11-23T16:00:00.000Z", null]);
  expect(iso(timesOf("yesterday", NOW))).toEqual(["2026-11-22T16:00:00.000Z", "2026-11-23T16:00:00.000Z"]);
  expect(iso(timesOf("hour", NOW))).toEqual(["2026-11-23T16:20:30.000Z", null]);
  expect(asQuery("yesterday", NOW)).toBe("since=2026-11-22T16%3A00%3A00.000Z&until=2026-11-23T16%3A00%3A00.000Z");
});

it("shows hours in which nothing came, and adds up the ways in", () => {
  const of = (hour: string, door: string, observations: number, refused: number) => ({ hour, door, observations, reports: 1, refused, late: 2 });
  const hours = hoursOf({
    since: "2026-11-23T09:30:00Z",
    until: "2026-11-23T12:00:00Z",
    hours: [of("2026-11-23T09:00:00Z", "http", 4, 0), of("2026-11-23T11:00:00Z", "http", 10, 3), of("2026-11-23T11:00:00Z", "mqtt", 5, 0)],
  });
  expect(hours.map(({ accepted, refused, late }) => [accepted, refused, late])).toEqual([[5, 0, 2], [0, 0, 0], [17, 3, 4]]);
});

it("counts reasons with what of them still waits", () => {
  const of = (code: string, state: "kept" | "sent_again", count: number) => ({ code, state, count, newest: "2026-11-23T09:30:00Z" });
  expect(reasonsOf([of("bad_time", "kept", 2), of("retired", "kept", 7), of("bad_time", "sent_again", 9)])).toEqual([{ code: "bad_time", count: 11, kept: 2 }, { code: "retired", count: 7, kept: 7 }]);
});

it("says what became of many at once", () => {
  const of = (became: string) => ({ rejected: "x", became });
  expect(tally([of("accepted"), of("refused"), of("accepted")])).toBe("已接受 2 · 仍被拒 1");
  expect([bytes(512), bytes(2048), bytes(3 << 20)]).toEqual(["512 B", "2.0 KiB", "3.0 MiB"]);
});
