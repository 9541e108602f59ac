// What a phone keeps for when it is offline: the last view of its user, and the answers that are on their way. In IndexedDB; where the browser
// forbids that, has no room or loses it, in memory, and then it does not outlive the page: `lasting` says so.

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import { shallowRef } from "vue";
import type { Box, Kept } from "../core/outbox";
import type { FieldView, Session } from "../schema";

/** Who may see what is kept, and what pages need of their session. */
export type Owner = Pick<Session, "user" | "name" | "timezone" | "may" | "expires_at">;

/** A view as it came, at `receivedAt` by the phone's clock. */
export interface KeptView {
  owner: Owner;
  view: FieldView;
  receivedAt: number;
}

/** Whether what is kept outlives the page. */
export const lasting = shallowRef(true);

/** All that is kept. */
export interface Keeping extends Box {
  view(): Promise<KeptView | null>;
  keepView(kept: KeptView): Promise<void>;
  forgetView(): Promise<void>;
  /** Forget the view, and the answers of one user. */
  wipe(user: string): Promise<void>;
}

interface Shape extends DBSchema {
  view: { key: "last"; value: KeptView };
  answers: { key: string; value: Kept };
}

const VERSION = 1;

/** In IndexedDB. What fails raises. */
class Lasting implements Keeping {
  constructor(readonly database: IDBPDatabase<Shape>) {}

  all = (): Promise<Kept[]> => this.database.getAll("answers");

  async put(kept: Kept): Promise<void> {
    await this.database.put("answers", kept);
  }

  async change(command: string, how: (kept: Kept) => Kept): Promise<void> {
    const changing = this.database.transaction("answers", "readwrite");
    const kept = await changing.store.get(command);
    if (kept) await changing.store.put(how(kept));
    await changing.done;
  }

  drop = (command: string): Promise<void> => this.database.delete("answers", command);

  view = async (): Promise<KeptView | null> => (await this.database.get("view", "last")) ?? null;

  async keepView(kept: KeptView): Promise<void> {
    await this.database.put("view", kept, "last");
  }

  forgetView = (): Promise<void> => this.database.clear("view");

  async wipe(user: string): Promise<void> {
    const changing = this.database.transaction(["view", "answers"], "readwrite");
    const answers = changing.objectStore("answers");
    await changing.objectStore("view").clear();
    for (const one of await answers.getAll()) if (one.user === user) await answers.delete(one.command);
    await changing.done;
  }
}

/** In memory. */
export class Passing implements Keeping {
  #answers = new Map<string, Kept>();
  #view: KeptView | null = null;

  all = async (): Promise<Kept[]> => [...this.#answers.values()];

  async put(kept: Kept): Promise<void> {
    this.#answers.set(kept.command, kept);
  }

  async change(command: string, how: (kept: Kept) => Kept): Promise<void> {
    const kept = this.#answers.get(command);
    if (kept) this.#answers.set(command, how(kept));
  }

  async drop(command: string): Promise<void> {
    this.#answers.delete(command);
  }

  view = async (): Promise<KeptView | null> => this.#view;

  async keepView(kept: KeptView): Promise<void> {
    this.#view = kept;
  }

  async forgetView(): Promise<void> {
    this.#view = null;
  }

  async wipe(user: string): Promise<void> {
    this.#view = null;
    for (const one of this.#answers.values()) if (one.user === user) this.#answers.delete(one.command);
  }
}

const open = async (name: string): Promise<Keeping> =>
  new Lasting(await openDB<Shape>(name, VERSION, {
    upgrade: (made) => {
      made.createObjectStore("view");
      made.createObjectStore("answers", { keyPath: "command" });
    },
  }));

const PATIENCE_MS = 5000; // some browsers' storage neither answers nor fails
const SHUT_MS = 60_000;

function within<Answer>(work: Promise<Answer>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the browser's storage does not answer")), PATIENCE_MS);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/**
 * In IndexedDB for as long as that works, and in memory what it does not take. Nothing of it raises but `wipe`.
 *
 * Browsers lose the connection to their storage, phones above all when a page was in the background: it is opened anew before it is given up.
 * Storage that cannot be opened is left alone for a minute.
 */
class Steady implements Keeping {
  readonly #memory = new Passing();
  readonly #gone = new Set<string>();
  #stored: Promise<Keeping> | null = null;
  #shutUntil = 0;

  constructor(readonly name: string) {}

  #opened(): Promise<Keeping> {
    return (this.#stored ??= within(open(this.name)).catch((error: unknown) => {
      this.#shutUntil = performance.now() + SHUT_MS;
      this.#stored = null;
      throw error;
    }));
  }

  /** Do something with the storage; undefined where that fails, also after it was opened anew. */
  async #try<Answer>(work: (stored: Keeping) => Promise<Answer>): Promise<{ answer: Answer } | undefined> {
    for (let tries = 0; tries < 2 && performance.now() >= this.#shutUntil; tries++) {
      try {
        return { answer: await within(work(await this.#opened())) };
      } catch (error) {
        console.warn("the browser's storage fails", error);
        this.#stored = null;
      }
    }
    lasting.value = false;
    return undefined;
  }

  async #settle(): Promise<void> {
    lasting.value = (await this.#memory.all()).length === 0;
  }

  async all(): Promise<Kept[]> {
    const stored = (await this.#try((box) => box.all()))?.answer ?? [];
    const memory = await this.#memory.all();
    const newer = new Set([...this.#gone, ...memory.map((one) => one.command)]);
    return [...stored.filter((one) => !newer.has(one.command)), ...memory];
  }

  async put(kept: Kept): Promise<void> {
    if ((await this.#try((box) => box.put(kept))) === undefined) return await this.#memory.put(kept);
    await this.#memory.drop(kept.command);
    await this.#settle();
  }

  async change(command: string, how: (kept: Kept) => Kept): Promise<void> {
    const kept = (await this.all()).find((one) => one.command === command);
    if (kept === undefined) return;
    if ((await this.#memory.all()).some((one) => one.command === command)) return await this.#memory.change(command, how);
    if ((await this.#try((box) => box.change(command, how))) === undefined && !this.#gone.has(command)) await this.#memory.put(how(kept));
  }

  async drop(command: string): Promise<void> {
    await this.#memory.drop(command);
    if ((await this.#try((box) => box.drop(command))) === undefined) this.#gone.add(command);
    else await this.#settle();
  }

  view = async (): Promise<KeptView | null> => (await this.#try((box) => box.view()))?.answer ?? null;

  async keepView(kept: KeptView): Promise<void> {
    await this.#try((box) => box.keepView(kept));
  }

  async forgetView(): Promise<void> {
    await this.#try((box) => box.forgetView());
  }

  /** Raises where the storage does not forget; this page has then forgotten all the same. */
  async wipe(user: string): Promise<void> {
    for (const one of await this.all()) if (one.user === user) this.#gone.add(one.command);
    await this.#memory.wipe(user);
    if ((await this.#try((box) => box.wipe(user))) === undefined) throw new Error("the browser's storage fails");
  }
}

/** Open what is kept in this browser. */
export async function openKeeping(name = "tongguan"): Promise<Keeping> {
  const kept = new Steady(name);
  await kept.all();
  return kept;
}

let opened: Promise<Keeping> | null = null;

/** What is kept; opened once. */
export const keeping = (): Promise<Keeping> => (opened ??= openKeeping());

/** The view that may be shown while it is not known who is signed in: that of a session that had not ended by `now`, the phone's clock. */
export async function shownOffline(now: number): Promise<KeptView | null> {
  const kept = await (await keeping()).view();
  return kept !== null && now < Date.parse(kept.owner.expires_at) ? kept : null;
}
