import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Live, retryDelay } from "./live";

/** The far end of a socket, which a test speaks for. */
class FarEnd {
  static all: FarEnd[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  sent: string[] = [];
  closed = false;

  constructor(readonly url: string) {
    FarEnd.all.push(this);
  }
  send(text: string): void {
    this.sent.push(text);
  }
  close(): void {
    this.closed = true;
  }
  says(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

const newest = (): FarEnd => FarEnd.all.at(-1)!;

function watch() {
  const frames: string[] = [];
  const refused: number[] = [];
  const live = new Live({ url: "ws://here/v1/live", region: "620102", onFrame: (frame) => frames.push(frame.type), onRefused: (code) => refused.push(code) });
  live.connect();
  newest().onopen?.();
  return { live, frames, refused };
}

beforeEach(() => {
  vi.useFakeTimers();
  FarEnd.all = [];
  vi.stubGlobal("WebSocket", FarEnd);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("retryDelay", () => {
  it.each([
    [1012, 0, 0, 1000],
    [1001, 0, 1, 1500],
    [1013, 0, 0, 5000],
    [1006, 0, 0, 500],
    [1006, 2, 0, 2000],
    [1006, 50, 1, 7500],
  ])("after %i, attempt %i, chance %i: %i ms", (code, attempt, random, delay) => {
    expect(retryDelay(code, attempt, random)).toBe(delay);
  });
});

describe("a connection", () => {
  it("says which region and no token, and is live from the snapshot on", () => {
    const { live, frames } = watch();
    expect(newest().sent.map((text) => JSON.parse(text))).toEqual([{ type: "hello", protocol: 1, region: "620102" }]);
    newest().says({ type: "heartbeat" });
    expect(live.phase).toBe("connecting");
    newest().says({ type: "snapshot", protocol: 1 });
    newest().says({ type: "delta" });
    expect(live.phase).toBe("live");
    expect(frames).toEqual(["snapshot", "delta"]);
  });

  it("comes back after a loss, and waits longer each time", () => {
    const { live } = watch();
    newest().says({ type: "snapshot", protocol: 1 });
    newest().onclose?.({ code: 1006 });
    expect(live.phase).toBe("waiting");
    expect(live.lostAt).not.toBeNull();
    vi.advanceTimersByTime(750);
    expect(FarEnd.all).toHaveLength(2);
    newest().onclose?.({ code: 1006 });
    vi.advanceTimersByTime(999);
    expect(FarEnd.all).toHaveLength(2);
    vi.advanceTimersByTime(502);
    expect(FarEnd.all).toHaveLength(3);
  });

  it.each([4400, 4401, 4403])("does not come back after %i", (code) => {
    const { live, refused } = watch();
    newest().onclose?.({ code });
    vi.advanceTimersByTime(60_000);
    expect(FarEnd.all).toHaveLength(1);
    expect(live.phase).toBe("refused");
    expect(refused).toEqual([code]);
  });

  it("gives up one that says nothing for eight seconds", () => {
    const { live } = watch();
    newest().says({ type: "snapshot", protocol: 1 });
    vi.advanceTimersByTime(7900);
    live.watch();
    expect(live.phase).toBe("live");
    vi.advanceTimersByTime(200);
    live.watch();
    expect(live.phase).toBe("waiting");
    expect(FarEnd.all[0]!.closed).toBe(true);
  });

  it("asks for a new snapshot when a frame cannot be applied", () => {
    const complain = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const { live } = watch();
    newest().says({ type: "snapshot", protocol: 1 });
    newest().onmessage?.({ data: "no such thing" });
    expect(live.phase).toBe("waiting");
    expect(complain).toHaveBeenCalledOnce();
    complain.mockRestore();
  });
});
