import "fake-indexeddb/auto";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { type Keeping, lasting, openKeeping, Passing } from "../state/keeping";
import type { Answering } from "../schema";
import { type Delivered, fate, type Given, identity, MOST, MOST_BYTES, Outbox, pause, type Post, room } from "./outbox";

class Fault extends Error {
  constructor(readonly status: number, readonly code = "x", message = "why") {
    super(message);
  }
}

const photo = (bytes = 10): Blob => new Blob([new Uint8Array(bytes)], { type: "image/jpeg" });
const given = (deed: Given["deed"], more: Partial<Given> = {}): Given => ({
  user: "li", alert: "a", title: { zh: "规则", en: "Rule" }, message: 2, deed, note: null, position: null, photos: [], at: "2026-11-23T08:00:00Z", ...more,
});

/** A gateway that answers as it is told, one thing a call: an error is raised. */
class Gateway implements Post {
  said: string[] = [];
  commands: string[] = [];
  told: Answering[] = [];
  signedIn: string | null = null;
  /** What happens while a photo is under way. */
  meanwhile: () => Promise<unknown> = async () => undefined;
  constructor(public answers: (Error | null)[] = []) {}

  user = (): string | null => this.signedIn;

  async photo(): Promise<string> {
    await this.meanwhile();
    return this.#next("photo", `d${this.said.length}`);
  }

  async answer(alert: string, answering: Answering): Promise<"applied"> {
    const { deed, command, photos } = answering;
    this.commands.push(command);
    this.told.push(answering);
    return this.#next(`${alert}:${deed}${(photos ?? []).length > 0 ? `+${photos!.join()}` : ""}`, "applied");
  }

  #next<Answer>(what: string, answer: Answer): Answer {
    const wrong = this.answers.shift() ?? null;
    if (wrong) throw wrong;
    this.said.push(what);
    return answer;
  }
}

let made = 0;
const BOXES: Record<string, () => Promise<Keeping>> = {
  memory: async () => new Passing(),
  IndexedDB: () => openKeeping(`box-${made++}`),
  "a browser that has no room": async () => {
    const kept = await openKeeping(`full-${made++}`);
    vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(() => {
      throw new DOMException("there is no room", "QuotaExceededError");
    });
    return kept;
  },
};

describe.each(Object.entries(BOXES))("answers kept in %s", (_, open) => {
  beforeEach(() => {
    vi.spyOn(console, "warn").mockImplementation(() => undefined);
    return () => vi.restoreAllMocks();
  });

  const started = async (...answers: (Error | null)[]) => {
    const gateway = new Gateway(answers);
    const outbox = new Outbox(await open(), gateway);
    const delivered: Delivered[] = [];
    const send = (user = "li", stop?: AbortSignal) => {
      gateway.signedIn = user;
      return outbox.send(user, (one) => delivered.push(one), stop);
    };
    return { gateway, outbox, delivered, send };
  };

  it("are sent in the order in which they were given, and leave the box", async () => {
    const { gateway, outbox, delivered, send } = await started();
    for (const deed of ["acknowledge", "on_my_way", "arrived"] as const) await outbox.give(given(deed));
    expect(await send()).toBe("empty");
    expect(gateway.said).toEqual(["a:acknowledge", "a:on_my_way", "a:arrived"]);
    expect(delivered.map(({ outcome }) => outcome)).toEqual(["applied", "applied", "applied"]);
    expect(await outbox.of("li")).toEqual([]);
  });

  it("keep their command however often they are sent", async () => {
    const { gateway, outbox, send } = await started(new Fault(0), new Fault(503), null);
    await outbox.give(given("done"));
    expect([await send(), await send(), await send()]).toEqual(["later", "later", "empty"]);
    expect(new Set(gateway.commands).size).toBe(1);
    expect(gateway.commands).toHaveLength(3);
  });

  it("wait behind one to the same alert that may be taken later, and not behind one that was refused", async () => {
    const { gateway, outbox, send } = await started(new Fault(429), new Fault(404, "not_found", "there is no such alert"));
    await outbox.give(given("acknowledge"));
    await outbox.give(given("done"));
    expect(await send()).toBe("later");
    expect(gateway.said).toEqual([]);
    expect(await send()).toBe("empty");
    expect(gateway.said).toEqual(["a:done"]);
    const [left] = await outbox.of("li");
    expect(left?.refused).toEqual({ code: "not_found", detail: "there is no such alert", photo: false });
  });

  it("do not wait behind one to another alert, and not behind its photos", async () => {
    const { gateway, outbox, send } = await started(null, new Fault(429), new Fault(503), null);
    await outbox.give(given("done", { photos: [photo()] }));
    await outbox.give(given("acknowledge", { alert: "red" }));
    await outbox.give(given("arrived", { alert: "b" }));
    await outbox.give(given("arrived"));
    expect(await send()).toBe("later");
    expect(gateway.said).toEqual(["red:acknowledge"]);
    expect(await send()).toBe("empty");
    expect(gateway.said).toEqual(["red:acknowledge", "b:arrived", "photo", "a:done+d2", "a:arrived"]);
  });

  it("go on past photos that find no gateway, and stop where an answer finds none", async () => {
    const { gateway, outbox, send } = await started(new Fault(0), new Fault(0), null);
    await outbox.give(given("done", { photos: [photo()] }));
    expect(await send()).toBe("later");
    await outbox.give(given("arrived", { alert: "b" }));
    await outbox.give(given("arrived", { alert: "c" }));
    expect(await send()).toBe("later");
    expect(gateway.commands).toHaveLength(1);
    expect(gateway.said).toEqual([]);
    gateway.answers = [null, null, new Fault(0)];
    expect(await send()).toBe("later");
    expect(gateway.said).toEqual(["b:arrived", "c:arrived"]);
  });

  it("go without their photos when somebody says so, also while one is under way", async () => {
    const { gateway, outbox, send } = await started();
    await outbox.give(given("done", { photos: [photo(), photo()], note: "关了" }));
    const [kept] = await outbox.of("li");
    gateway.meanwhile = () => outbox.bare(kept!);
    expect(await send()).toBe("empty");
    expect(gateway.said).toEqual(["photo", "a:done"]);
  });

  it("are gone when they are removed while a photo is under way", async () => {
    const { gateway, outbox, send } = await started();
    await outbox.give(given("done", { photos: [photo(), photo()], note: "私事" }));
    gateway.meanwhile = () => (outbox.box as Keeping).wipe("li").catch(() => undefined);
    expect(await send()).toBe("empty");
    expect(gateway.told).toEqual([]);
    expect(await outbox.box.all()).toEqual([]);
  });

  it("are given up at the sign-out", async () => {
    const { gateway, outbox, send } = await started();
    const stopping = new AbortController();
    await outbox.give(given("done", { photos: [photo(), photo()] }));
    gateway.meanwhile = async () => stopping.abort();
    expect(await send("li", stopping.signal)).toBe("later");
    expect(gateway.said).toEqual(["photo"]);
  });

  it("never go in the name of somebody else", async () => {
    const { gateway, outbox, delivered } = await started();
    await outbox.give(given("done", { photos: [photo()] }));
    const send = () => outbox.send("li", (one) => delivered.push(one));
    expect(await send()).toBe("sign_in");
    gateway.signedIn = "wang";
    expect(await send()).toBe("another_user");
    gateway.signedIn = "li";
    gateway.meanwhile = async () => (gateway.signedIn = "wang");
    expect(await send()).toBe("another_user");
    expect(gateway.told).toEqual([]);
    gateway.signedIn = "li";
    gateway.answers = [new Fault(409, "another_user")];
    expect(await send()).toBe("another_user");
    expect((await outbox.of("li"))[0]?.refused).toBeNull();
  });

  it("say whose they are and when they are sent by the phone's clock, in words without breaks", async () => {
    const gateway = new Gateway();
    const outbox = new Outbox(await open(), gateway, () => new Date("2026-11-23T09:00:00Z"));
    await outbox.give(given("comment", { note: "  阀门已关\n水退\t了\u0007 " }));
    await outbox.give(given("done", { note: " \n" }));
    gateway.signedIn = "li";
    await outbox.send("li", () => undefined);
    expect(gateway.told).toMatchObject([
      { note: "阀门已关 水退 了", at: "2026-11-23T08:00:00Z", sent_at: "2026-11-23T09:00:00.000Z", given_by: "li" },
      { note: null },
    ]);
  });

  it("wait for their own user", async () => {
    const { gateway, outbox, send } = await started(new Fault(401));
    await outbox.give(given("acknowledge"));
    expect(await send()).toBe("sign_in");
    expect(await send("wang")).toBe("empty");
    expect(gateway.said).toEqual([]);
    expect(await send()).toBe("empty");
    expect(gateway.said).toEqual(["a:acknowledge"]);
  });

  it("do not send a photo again that was taken", async () => {
    const { gateway, outbox, send } = await started(null, new Fault(0));
    await outbox.give(given("arrived", { photos: [photo(), photo()] }));
    expect(await send()).toBe("later");
    expect(await send()).toBe("empty");
    expect(gateway.said).toEqual(["photo", "photo", "a:arrived+d0,d1"]);
  });

  it("go without photos that were refused when somebody says so", async () => {
    const { gateway, outbox, send } = await started(new Fault(415));
    await outbox.give(given("done", { photos: [photo()] }));
    await send();
    const [refused] = await outbox.of("li");
    expect(refused?.refused?.photo).toBe(true);
    await outbox.again(refused!);
    expect(await send()).toBe("empty");
    expect(gateway.said).toEqual(["a:done"]);
  });

  it("are no more than fit", async () => {
    const { outbox } = await started();
    expect(await outbox.give(given("done", { photos: [photo(MOST_BYTES)] }))).toBe("kept");
    expect(await outbox.give(given("done", { photos: [photo(1)] }))).toBe("too_large");
    expect(await outbox.give(given("done"))).toBe("kept");
  });
});

describe("what is kept", () => {
  it("is forgotten at the sign-out, but not what others answered", async () => {
    const kept = await openKeeping("wiped");
    const outbox = new Outbox(kept, new Gateway());
    await outbox.give(given("done"));
    await outbox.give(given("done", { user: "wang" }));
    const may = { watch: true, acknowledge: true, direct: false, rules: false, audit: false, users: false, events: false, registry: false };
    await kept.keepView({ owner: { user: "li", name: { zh: "李", en: "Li" }, timezone: "Asia/Shanghai", may, expires_at: "2026-11-24T08:00:00Z" }, view: { now: "", alerts: [] }, receivedAt: 0 });
    await kept.wipe("li");
    expect(await kept.view()).toBeNull();
    expect((await kept.all()).map(({ user }) => user)).toEqual(["wang"]);
  });

  it("is not brought back by a page that changes what another page removes", async () => {
    const [one, other] = [await openKeeping("two-pages"), await openKeeping("two-pages")];
    await new Outbox(one, new Gateway()).give(given("done"));
    const [kept] = await one.all();
    const all = one.all.bind(one);
    vi.spyOn(one, "all").mockImplementationOnce(async () => {
      const found = await all();
      await other.drop(kept!.command);
      return found;
    });
    await one.change(kept!.command, (now) => ({ ...now, digests: ["d"] }));
    expect(await one.all()).toEqual([]);
  });

  it("is in memory where the browser keeps nothing", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => undefined);
    vi.stubGlobal("indexedDB", undefined);
    lasting.value = true;
    const kept = await openKeeping("none");
    expect(lasting.value).toBe(false);
    expect(await new Outbox(kept, new Gateway()).give(given("done"))).toBe("kept");
    expect(await kept.all()).toHaveLength(1);
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });
});

describe("a browser's storage", () => {
  beforeEach(() => {
    vi.spyOn(console, "warn").mockImplementation(() => undefined);
    lasting.value = true;
    return () => vi.restoreAllMocks();
  });

  it("that has no room is said to have none, until what it did not take is sent", async () => {
    const kept = await openKeeping("no-room");
    const put = vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(() => {
      throw new DOMException("there is no room", "QuotaExceededError");
    });
    const gateway = new Gateway();
    const outbox = new Outbox(kept, gateway);
    await outbox.give(given("done"));
    expect(lasting.value).toBe(false);
    put.mockRestore();
    gateway.signedIn = "li";
    expect(await outbox.send("li", () => undefined)).toBe("empty");
    expect(lasting.value).toBe(true);
  });

  it("that was lost is opened anew", async () => {
    const kept = await openKeeping("lost");
    const outbox = new Outbox(kept, new Gateway());
    await outbox.give(given("acknowledge"));
    const { transaction } = IDBDatabase.prototype;
    let lost: IDBDatabase | undefined;
    vi.spyOn(IDBDatabase.prototype, "transaction").mockImplementation(function (this: IDBDatabase, ...asked) {
      lost ??= this;
      if (this === lost) throw new DOMException("the connection was closed", "InvalidStateError");
      return transaction.apply(this, asked);
    });
    await outbox.give(given("done"));
    expect((await (await openKeeping("lost")).all()).map(({ deed }) => deed).sort()).toEqual(["acknowledge", "done"]);
    expect(lasting.value).toBe(true);
  });

  it("that does not let go of what was sent does not have it sent again", async () => {
    const kept = await openKeeping("stuck");
    const gateway = new Gateway();
    const outbox = new Outbox(kept, gateway);
    await outbox.give(given("done"));
    vi.spyOn(IDBObjectStore.prototype, "delete").mockImplementation(() => {
      throw new DOMException("no", "UnknownError");
    });
    gateway.signedIn = "li";
    expect(await outbox.send("li", () => undefined)).toBe("empty");
    expect(gateway.said).toEqual(["a:done"]);
    expect(await outbox.of("li")).toEqual([]);
  });
});

it("has room for so many", () => {
  const all = Array.from({ length: MOST }, () => given("comment"));
  expect(room(all.slice(1), given("comment"))).toBe("kept");
  expect(room(all, given("comment"))).toBe("too_many");
});

it("tells what may be taken another time from what may not", () => {
  expect([0, 408, 429, 500, 503].map((status) => fate(status, "x"))).toEqual(Array(5).fill("later"));
  expect(fate(401, "unauthorised")).toBe("sign_in");
  expect([400, 403, 404, 409, 413, 422].map((status) => fate(status, "x"))).toEqual(Array(6).fill("refused"));
  expect(fate(403, "forged")).toBe("later");
  expect(fate(409, "another_user")).toBe("another_user");
});

it("pauses longer and longer, up to a minute and a half", () => {
  expect([0, 1, 2, 9].map((vain) => pause(vain, 0))).toEqual([2000, 4000, 8000, 60_000]);
  expect(pause(99, 1)).toBe(90_000);
});

it("makes UUIDs where the browser does not", () => {
  expect(identity()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(identity()).not.toBe(identity());
});
