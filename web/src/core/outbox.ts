// Answers from the field on their way. Each is kept until the gateway has answered it; those to one alert are sent in the order in which they were given.

import type { Answering, Decision, Name, Position } from "../schema";
import { oneLine } from "./format";

/** So many are kept at most: a shift without a network gives far fewer. */
export const MOST = 200;
/** And so much with their photos: what phones grant a page is many times that. */
export const MOST_BYTES = 60 * 2 ** 20;
/** Photos of one answer, as `schemas/rest.py` has it. */
export const MOST_PHOTOS = 6;

const FIRST_PAUSE_MS = 2000;
const LONGEST_PAUSE_MS = 60_000;
const AGAIN: ReadonlySet<number> = new Set([0, 408, 425, 429]);

export type FieldDeed = Answering["deed"];

/** What somebody answers for an alert. `at` is by the phone's clock. */
export interface Given {
  user: string;
  alert: string;
  title: Name;
  message: number;
  deed: FieldDeed;
  note: string | null;
  position: Position | null;
  photos: readonly Blob[];
  at: string;
}

/** Why the gateway will not have an answer; `photo`: it is a photo that it will not have. */
export interface Refused {
  code: string;
  detail: string;
  photo: boolean;
}

/** An answer that is kept. `digests` are of the photos that have been taken already; `seq` is its place in the order. */
export interface Kept extends Given {
  seq: number;
  command: string;
  digests: readonly string[];
  refused: Refused | null;
}

/** Where answers are kept. */
export interface Box {
  all(): Promise<Kept[]>;
  /** Keep an answer, in the place of the one with the same command. */
  put(kept: Kept): Promise<void>;
  /** Change an answer if it is there still, in one step: what was removed meanwhile does not come back. */
  change(command: string, how: (kept: Kept) => Kept): Promise<void>;
  drop(command: string): Promise<void>;
}

/** How they are sent; both raise what the gateway says against it, and `unreachable` when `stop` is raised meanwhile. */
export interface Post {
  /** In whose name it would be sent; null while nobody is signed in. */
  user(): string | null;
  photo(photo: Blob, stop: AbortSignal): Promise<string>;
  answer(alert: string, answering: Answering, stop: AbortSignal): Promise<Decision | null>;
}

/** What became of an answer that was sent; null: it is on its way to who decides. */
export interface Delivered {
  kept: Kept;
  outcome: Decision | null;
}

/** How a round of sending ended: nothing is left, it is tried again later, somebody must sign in first, or somebody else is signed in. */
export type Round = "empty" | "later" | "sign_in" | "another_user";

/** Whether an answer was taken into the box, and why not. */
export type Room = "kept" | "too_many" | "too_large";

/** What is known of an error: whether the same answer may be taken another time. */
export function fate(status: number, code: string): "later" | "sign_in" | "another_user" | "refused" {
  if (status === 401) return "sign_in";
  if (code === "another_user") return "another_user";
  if (AGAIN.has(status) || status >= 500) return "later";
  return code === "forged" ? "later" : "refused"; // the session was renewed elsewhere: its new token comes with the next question
}

/** How long to wait before the next round after so many in vain: doubled each time, up to half of it added at random. */
export const pause = (vain: number, random = Math.random()): number => Math.min(FIRST_PAUSE_MS * 2 ** Math.min(vain, 10), LONGEST_PAUSE_MS) * (1 + random / 2);

const size = (kept: Given): number => kept.photos.reduce((sum, photo) => sum + photo.size, 0);

/** Whether there is room for another answer. */
export function room(kept: readonly Given[], next: Given): Room {
  if (kept.length >= MOST) return "too_many";
  return [...kept, next].reduce((sum, one) => sum + size(one), 0) > MOST_BYTES ? "too_large" : "kept";
}

/** A UUID; pages that came without TLS have no `randomUUID`. */
export function identity(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

interface Fault {
  status: number;
  code: string;
  message: string;
}

const isFault = (error: unknown): error is Fault => error instanceof Error && "status" in error && "code" in error;

/** What one step of sending came to: on to the next one, nothing more of this alert in this round, or an end to the round. */
type Step = "next" | "held" | Exclude<Round, "empty">;

const photosLeft = (kept: Kept): number => kept.photos.length - kept.digests.length;

/** What is sent of an answer. Its clock and its user go with it, so that a clock that is wrong, and somebody else's session, are found out. */
const answering = ({ command, message, deed, note, position, digests, at, user }: Kept, now: Date): Answering => ({
  command, message, deed, note: oneLine(note ?? "") || null, position, photos: [...digests], at, sent_at: now.toISOString(), given_by: user,
});

/**
 * The answers of this phone.
 *
 * An answer is in the box before it is sent and leaves it after the gateway has answered; its command is the same however often it is sent, so it
 * is decided once. Whoever calls sees to it that one round runs at a time; what is removed from the box meanwhile is sent no further.
 */
export class Outbox {
  constructor(
    readonly box: Box,
    readonly post: Post,
    readonly now: () => Date = () => new Date(),
  ) {}

  /** Take an answer in. */
  async give(given: Given): Promise<Room> {
    const all = await this.box.all();
    const found = room(all, given);
    if (found === "kept") await this.box.put({ ...given, seq: Math.max(0, ...all.map((one) => one.seq)) + 1, command: identity(), digests: [], refused: null });
    return found;
  }

  /** The answers of somebody, in order. */
  async of(user: string): Promise<Kept[]> {
    return (await this.box.all()).filter((one) => one.user === user).sort((a, b) => a.seq - b.seq);
  }

  /**
   * Send what waits of somebody, step by step: a photo, or an answer all of whose photos were taken.
   *
   * An answer that may be taken later holds up those to the same alert, one that is refused for good holds up none; words go before photos. The round
   * ends when an answer, which is small, finds no gateway, when it would go in another's name, and when `stop` is raised.
   */
  async send(user: string, delivered: (one: Delivered) => void, stop: AbortSignal = new AbortController().signal): Promise<Round> {
    const held = new Set<string>();
    for (;;) {
      const next = this.#next(await this.of(user), held);
      if (next === undefined) return held.size > 0 ? "later" : "empty";
      const step = stop.aborted ? "later" : await this.#step(next, delivered, stop);
      if (step === "held") held.add(next.alert);
      else if (step !== "next") return step;
    }
  }

  /** Of the first that waits for each alert the earliest without photos, else the earliest. */
  #next(kept: readonly Kept[], held: ReadonlySet<string>): Kept | undefined {
    const seen = new Set(held);
    const first = kept.filter((one) => one.refused === null && !seen.has(one.alert) && seen.add(one.alert));
    return first.find((one) => photosLeft(one) === 0) ?? first[0];
  }

  async #step(kept: Kept, delivered: (one: Delivered) => void, stop: AbortSignal): Promise<Step> {
    const who = this.post.user();
    if (who !== kept.user) return who === null ? "sign_in" : "another_user";
    const photo = kept.photos[kept.digests.length];
    try {
      if (photo) await this.#sendPhoto(kept, photo, stop);
      else await this.#sendAnswer(kept, delivered, stop);
      return "next";
    } catch (error) {
      if (!isFault(error)) throw error;
      const found = fate(error.status, error.code);
      if (found === "later") return error.status === 0 && !photo ? "later" : "held";
      if (found !== "refused") return found;
      await this.box.change(kept.command, (now) => ({ ...now, refused: { code: error.code, detail: error.message, photo: photo !== undefined } }));
      return "next";
    }
  }

  async #sendPhoto(kept: Kept, photo: Blob, stop: AbortSignal): Promise<void> {
    const digest = await this.post.photo(photo, stop);
    await this.box.change(kept.command, (now) => (photosLeft(now) > 0 ? { ...now, digests: [...now.digests, digest] } : now));
  }

  async #sendAnswer(kept: Kept, delivered: (one: Delivered) => void, stop: AbortSignal): Promise<void> {
    const outcome = await this.post.answer(kept.alert, answering(kept, this.now()), stop);
    await this.box.drop(kept.command);
    delivered({ kept, outcome });
  }

  /** Try a refused answer again, without its photos where they were what was refused. */
  async again({ command }: Kept): Promise<void> {
    await this.box.change(command, (now) => (now.refused?.photo ? { ...now, photos: [], digests: [], refused: null } : { ...now, refused: null }));
  }

  /** Let an answer go without its photos. */
  async bare({ command }: Kept): Promise<void> {
    await this.box.change(command, (now) => ({ ...now, photos: [], digests: [], refused: null }));
  }
}
