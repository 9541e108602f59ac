// One connection to the live socket, kept up: hello, snapshot, frames, and coming back by the protocol's close codes.

const PROTOCOL = 1;
const NO_RETURN = new Set([4400, 4401, 4403]);
const FIRST_DELAY_MS = { 1001: 1000, 1012: 1000, 1013: 5000 };
const OTHER_DELAY_MS = 500;
const LONGEST_DELAY_MS = 5000;
const ABANDON_MS = 8000; // heartbeats come every second: after eight without a frame the connection is dead, whatever TCP believes
const SETTLED_MS = 10_000; // only a connection that lasted this long makes the next delay short again
const BAD_PROTOCOL = 4400;
const BROKEN = 1006;

/** Milliseconds to wait before attempt `attempt` (0 is the first) after a close code: doubled each time, up to half of it added at random. */
export function retryDelay(code, attempt, random = Math.random()) {
  const first = FIRST_DELAY_MS[code] ?? OTHER_DELAY_MS;
  return Math.min(first * 2 ** Math.min(attempt, 10), LONGEST_DELAY_MS) * (1 + random / 2);
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
  phase = "waiting";
  code = null;
  attempt = 0;
  heardAt = performance.now();
  lostAt = null;
  retryAt = 0;
  startedAt = performance.now();
  liveAt = -Infinity;
  #url;
  #hello;
  #onFrame;
  #onRefused;
  #socket = null;
  #timer = null;

  /** `onFrame(frame)` takes each frame from the snapshot on and may throw; `onRefused(code)` is told of a close that forbids coming back. */
  constructor({ url, token, region, onFrame, onRefused }) {
    this.#url = url;
    this.#hello = JSON.stringify({ type: "hello", protocol: PROTOCOL, token, region });
    this.#onFrame = onFrame;
    this.#onRefused = onRefused;
    this.region = region;
  }

  /** Connect, now, whatever was waited for. */
  connect() {
    clearTimeout(this.#timer);
    this.#release();
    this.phase = "connecting";
    this.heardAt = performance.now();
    let socket;
    try {
      socket = new WebSocket(this.#url);
    } catch (error) {
      console.error(error);
      this.#closed(BROKEN);
      return;
    }
    this.#socket = socket;
    socket.onopen = () => socket.send(this.#hello);
    socket.onmessage = (event) => this.#hear(event.data);
    socket.onclose = (event) => this.#closed(event.code);
  }

  /** End it; nothing is called afterwards. */
  stop() {
    clearTimeout(this.#timer);
    this.#release();
    this.phase = "stopped";
  }

  /** Give up a connection that has said nothing for too long; to be called a few times a second. */
  watch() {
    const open = this.phase === "live" || this.phase === "connecting";
    if (open && performance.now() - this.heardAt > ABANDON_MS) this.#closed(BROKEN);
  }

  #hear(data) {
    try {
      const frame = JSON.parse(data);
      if (this.phase === "live") this.#onFrame(frame);
      else if (!this.#begin(frame)) return;
      this.heardAt = performance.now();
    } catch (error) {
      console.error("a frame could not be applied", error);
      this.#closed(BROKEN);
    }
  }

  #begin(frame) {
    if (frame.type !== "snapshot") return false;
    if (frame.protocol !== PROTOCOL) {
      this.#closed(BAD_PROTOCOL);
      return false;
    }
    this.#onFrame(frame);
    this.phase = "live";
    this.lostAt = null;
    this.liveAt = performance.now();
    return true;
  }

  #closed(code) {
    const wasLive = this.phase === "live";
    this.#release();
    this.code = code;
    if (wasLive) {
      this.lostAt = this.heardAt;
      if (performance.now() - this.liveAt > SETTLED_MS) this.attempt = 0;
    }
    if (NO_RETURN.has(code)) {
      this.phase = "refused";
      this.#onRefused(code);
      return;
    }
    const delay = retryDelay(code, this.attempt);
    this.attempt += 1;
    this.phase = "waiting";
    this.retryAt = performance.now() + delay;
    this.#timer = setTimeout(() => this.connect(), delay);
  }

  #release() {
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}
