// One connection to the live socket, kept up: hello, snapshot, frames, and coming back by the protocol's close codes.

import type { Delta, Hello, LiveHeartbeat, Snapshot } from "../schema";

/** A frame of the server; an unknown type changes nothing. */
export type Frame = Snapshot | Delta | LiveHeartbeat;

const PROTOCOL = 1;
const NO_RETURN = new Set([4400, 4401, 4403]);
const FIRST_DELAY_MS: Record<number, number> = { 1001: 1000, 1012: 1000, 1013: 5000 };
const OTHER_DELAY_MS = 500;
const LONGEST_DELAY_MS = 5000;
const ABANDON_MS = 8000; // heartbeats come every second: after eight without a frame the connection is dead, whatever TCP believes
const SETTLED_MS = 10_000; // only a connection that lasted this long makes the next delay short again
const BAD_PROTOCOL = 4400;
const BROKEN = 1006;

/** Milliseconds to wait before attempt `attempt` (0 is the first) after a close code: doubled each time, up to half of it added at random. */
export function retryDelay(code: number, attempt: number, random = Math.random()): number {
  const first = FIRST_DELAY_MS[code] ?? OTHER_DELAY_MS;
  return Math.min(first * 2 ** Math.min(attempt, 10), LONGEST_DELAY_MS) * (1 + random / 2);
}

export type Phase = "connecting" | "live" | "waiting" | "refused" | "stopped";

/** What a connection is made with. `onFrame` takes each frame from the snapshot on and may throw; `onRefused` hears of a close that forbids coming back. */
export interface LiveOptions {
  url: string;
  region: string;
  onFrame: (frame: Frame) => void;
  onRefused: (code: number) => void;
}

/**
 * A watched region.
 *
 * `phase` is `connecting` (until the snapshot), `live`, `waiting` (until `retryAt`), `refused` (for good, see `code`) or `stopped`.
 * Times are monotonic: `heardAt` of the last frame, `lostAt` of the last frame before a loss (null while live, or never live),
 * `startedAt` of its making, `liveAt` of the last connection's snapshot.
 * A frame that cannot be read or applied ends the connection: what it said is unknown, so only a new snapshot is right again.
 */
export class Live {
  phase: Phase = "waiting";
  code: number | null = null;
  attempt = 0;
  heardAt = performance.now();
  lostAt: number | null = null;
  retryAt = 0;
  startedAt = performance.now();
  liveAt = -Infinity;
  readonly region: string;
  #options: LiveOptions;
  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: LiveOptions) {
    this.#options = options;
    this.region = options.region;
  }

  /** Connect, now, whatever was waited for. */
  connect(): void {
    clearTimeout(this.#timer);
    this.#release();
    this.phase = "connecting";
    this.heardAt = performance.now();
    const socket = this.#open();
    if (socket === null) return;
    const hello: Hello = { type: "hello", protocol: PROTOCOL, region: this.region };
    this.#socket = socket;
    socket.onopen = () => socket.send(JSON.stringify(hello));
    socket.onmessage = (event: MessageEvent<string>) => this.#hear(event.data);
    socket.onclose = (event) => this.#closed(event.code);
  }

  /** End it; nothing is called afterwards. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#release();
    this.phase = "stopped";
  }

  /** Give up a connection that has said nothing for too long; to be called a few times a second. */
  watch(): void {
    const open = this.phase === "live" || this.phase === "connecting";
    if (open && performance.now() - this.heardAt > ABANDON_MS) this.#closed(BROKEN);
  }

  #open(): WebSocket | null {
    try {
      return new WebSocket(this.#options.url);
    } catch (error) {
      console.error(error);
      this.#closed(BROKEN);
      return null;
    }
  }

  #hear(data: string): void {
    try {
      const frame = JSON.parse(data) as Frame;
      if (this.phase === "live") this.#options.onFrame(frame);
      else if (!this.#begin(frame)) return;
      this.heardAt = performance.now();
    } catch (error) {
      console.error("a frame could not be applied", error);
      this.#closed(BROKEN);
    }
  }

  #begin(frame: Frame): boolean {
    if (frame.type !== "snapshot") return false;
    if (frame.protocol !== PROTOCOL) {
      this.#closed(BAD_PROTOCOL);
      return false;
    }
    this.#options.onFrame(frame);
    this.phase = "live";
    this.lostAt = null;
    this.liveAt = performance.now();
    return true;
  }

  #closed(code: number): void {
    const wasLive = this.phase === "live";
    this.#release();
    this.code = code;
    if (wasLive) {
      this.lostAt = this.heardAt;
      if (performance.now() - this.liveAt > SETTLED_MS) this.attempt = 0;
    }
    if (NO_RETURN.has(code)) {
      this.phase = "refused";
      this.#options.onRefused(code);
      return;
    }
    this.#comeBack(retryDelay(code, this.attempt));
  }

  #comeBack(delay: number): void {
    this.attempt += 1;
    this.phase = "waiting";
    this.retryAt = performance.now() + delay;
    this.#timer = setTimeout(() => this.connect(), delay);
  }

  #release(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}
