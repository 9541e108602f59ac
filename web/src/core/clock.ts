// The server's time, told from its frames: the client's own clock may be wrong.

const BUCKET_MS = 150_000; // an estimate is forgotten after 2.5 to 5 minutes, so that drift and a set clock are followed

/**
 * Tells the server's time between frames.
 *
 * A frame's `server_time` less the monotonic time of its arrival is the offset less the frame's delay, so the largest of the last
 * minutes is nearest the truth: frames that come late do not turn the clock back and make old data look young.
 */
export class ServerClock {
  #best = -Infinity;
  #before = -Infinity;
  #since = 0;

  /** Forget all: a new connection may lead to another server. */
  restart(mono = performance.now()): void {
    this.#best = this.#before = -Infinity;
    this.#since = mono;
  }

  /** Take the time (ms) of a frame that has just arrived. */
  sample(serverTime: number, mono = performance.now()): void {
    if (mono - this.#since > BUCKET_MS) {
      this.#before = this.#best;
      this.#best = -Infinity;
      this.#since = mono;
    }
    this.#best = Math.max(this.#best, serverTime - mono);
  }

  /** The server's time at a monotonic time, by default now; NaN before the first frame. */
  now(mono = performance.now()): number {
    const offset = Math.max(this.#best, this.#before);
    return offset === -Infinity ? NaN : mono + offset;
  }
}
