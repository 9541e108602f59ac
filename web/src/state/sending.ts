// The answers of this phone on their way to the gateway: at once, when the network is back, when the page is looked at again, and else with a pause
// that grows. One page at a time sends.

import { shallowRef, watch } from "vue";
import { type Delivered, type Given, type Kept, Outbox, pause, type Post, type Room, type Round } from "../core/outbox";
import type { Answered, Answering, Decision, Stored } from "../schema";
import { ask, type Asking, Problem } from "./api";
import { keeping } from "./keeping";
import { renew, session } from "./session";

const PHOTO_MS = 120_000; // half a megabyte over a poor network
const LOCK = "tongguan-answers";
const TOLD = 50;

/** Ask, and once more with the session's new token where another page has renewed it; never in the name of somebody else who has signed in there. */
async function insist<Answer>(method: string, path: string, body: unknown, asking: Asking): Promise<Answer | undefined> {
  const user = session.value?.user;
  try {
    return await ask<Answer>(method, path, body, asking);
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "forged") throw error;
    await renew();
    if (session.value?.user !== user) throw new Problem("another_user", 409, "somebody else has signed in in this browser");
    return await ask<Answer>(method, path, body, asking);
  }
}

const post: Post = {
  user: () => session.value?.user ?? null,
  async photo(photo: Blob, stop: AbortSignal): Promise<string> {
    const stored = await insist<Stored>("POST", "photos", photo, { timeoutMs: PHOTO_MS, stop });
    if (stored === undefined) throw new Problem("unreachable", 0, "no answer about a photo");
    return stored.digest;
  },
  async answer(alert: string, answering: Answering, stop: AbortSignal): Promise<Decision | null> {
    const answered = await insist<Answered>("POST", `alerts/${encodeURIComponent(alert)}/answers`, answering, { stop });
    return answered?.outcome ?? null;
  },
};

/** What sends; `state` is for the eye: `resting` until the next try. */
class Sending {
  /** The answers that are kept here of whoever is or was last signed in. */
  readonly items = shallowRef<readonly Kept[]>([]);
  /** What became of those that were sent since this page was opened, the newest first. */
  readonly delivered = shallowRef<readonly Delivered[]>([]);
  readonly state = shallowRef<"idle" | "sending" | "resting" | "sign_in" | "another_user">("idle");
  /** Who else has answers here that wait for them to sign in, and how many. */
  readonly others = shallowRef<ReadonlyMap<string, number>>(new Map());
  #outbox: Promise<Outbox> | null = null;
  #user = "";
  #vain = 0;
  #busy = false;
  #again = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #started = false;
  #stop = new AbortController();

  /** Send for a user from here on. Called again with the same it only looks whether something waits. */
  start(user: string): void {
    this.#user = user;
    if (!this.#started) {
      this.#started = true;
      window.addEventListener("online", () => this.wake());
      document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.wake());
      watch(session, (of) => of && this.wake());
    }
    this.wake();
  }

  /** Take an answer in, and send it. What the browser has no room for is sent all the same, see `lasting`. */
  async give(given: Given): Promise<Room> {
    const found = await (await this.#open()).give(given);
    await this.#look();
    this.wake();
    return found;
  }

  /** Send now, whatever is waited for. */
  wake(): void {
    this.#vain = 0;
    if (this.#busy) this.#again = true;
    else void this.#rounds();
  }

  /** Drop an answer. */
  async drop(kept: Kept): Promise<void> {
    await (await this.#open()).box.drop(kept.command);
    await this.#look();
  }

  /** Try one that was refused again. */
  async again(kept: Kept): Promise<void> {
    await (await this.#open()).again(kept);
    await this.#look();
    this.wake();
  }

  /** Let one that waits go without its photos. */
  async bare(kept: Kept): Promise<void> {
    await (await this.#open()).bare(kept);
    await this.#look();
    this.wake();
  }

  /** Give up what is under way: who signs out takes their answers with them. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#stop.abort();
    this.#stop = new AbortController();
  }

  /** How many answers of a user are kept in this browser. */
  async count(user: string): Promise<number> {
    return (await (await this.#open()).of(user)).length;
  }

  #open(): Promise<Outbox> {
    return (this.#outbox ??= keeping().then((kept) => new Outbox(kept, post)));
  }

  async #look(): Promise<void> {
    const all = await (await this.#open()).box.all();
    this.items.value = all.filter((one) => one.user === this.#user).sort((a, b) => a.seq - b.seq);
    const others = new Map<string, number>();
    for (const { user, refused } of all) if (user !== this.#user && refused === null) others.set(user, (others.get(user) ?? 0) + 1);
    this.others.value = others;
  }

  async #rounds(): Promise<void> {
    clearTimeout(this.#timer);
    this.#busy = true;
    try {
      do {
        this.#again = false;
        this.#after(await this.#round().catch((error: unknown) => this.#broken(error)));
      } while (this.#again);
    } finally {
      this.#busy = false;
    }
  }

  #after(round: Round): void {
    this.state.value = ({ empty: "idle", later: "resting", sign_in: "sign_in", another_user: "another_user" } as const)[round];
    if (round === "another_user" && session.value?.user === this.#user) renew().catch((error: unknown) => console.warn("whose session it is, is not known", error));
    if (round === "later") this.#timer = setTimeout(() => this.#busy || void this.#rounds(), pause(this.#vain++));
  }

  async #round(): Promise<Round> {
    await this.#look();
    if (!this.items.value.some((one) => one.refused === null)) return "empty";
    if (session.value === null) return "sign_in";
    if (session.value.user !== this.#user) return "another_user";
    this.state.value = "sending";
    if (!("locks" in navigator)) return await this.#send(); // no TLS, no locks: what two pages send is decided once all the same
    return await navigator.locks.request(LOCK, { ifAvailable: true }, (lock) => (lock ? this.#send() : "later"));
  }

  #told(one: Delivered): void {
    this.delivered.value = [one, ...this.delivered.value].slice(0, TOLD);
    void this.#look();
  }

  async #send(): Promise<Round> {
    const outbox = await this.#open();
    try {
      return await outbox.send(this.#user, (one) => this.#told(one), this.#stop.signal);
    } finally {
      await this.#look();
    }
  }

  #broken(error: unknown): Round {
    console.error("an answer could not be sent", error);
    return "later";
  }
}

export const sending = new Sending();
