import "vue"; // before there is a document that is none
import { afterEach, expect, it, vi } from "vitest";
import type { Session } from "../schema";

const GIVEN = { user: "x", alert: "a", title: { zh: "规则", en: "Rule" }, message: 1, deed: "acknowledge" as const, note: null, position: null, photos: [], at: "2026-11-23T08:00:00Z" };
const of = (user: string): Session =>
  ({ user, csrf: `csrf-${user}`, expires_at: "2026-11-24T08:00:00Z", timezone: "Asia/Shanghai", name: { zh: user, en: user } }) as unknown as Session;
const reply = (body: unknown, status = 200): Response => new Response(JSON.stringify(body), { status });

/** A browser without storage whose cookie is that of the user of `holder`; says what was asked of the gateway. */
async function browser(holder: { user: string }) {
  vi.resetModules();
  const asked: string[] = [];
  vi.stubGlobal("window", { addEventListener: () => undefined });
  vi.stubGlobal("document", { addEventListener: () => undefined, visibilityState: "visible" });
  vi.stubGlobal("navigator", {});
  vi.stubGlobal("fetch", async (url: string, { method, headers, body }: { method: string; headers: Record<string, string>; body?: string }) => {
    asked.push(`${method} ${url}`);
    if (url === "/v1/session") return reply(of(holder.user));
    if (headers["X-CSRF-Token"] !== `csrf-${holder.user}`) return reply({ title: "forged" }, 403);
    asked.push(`as ${holder.user}: of ${(JSON.parse(body ?? "{}") as { given_by?: string }).given_by}`);
    return reply({ command: "c", outcome: "applied" });
  });
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const { session } = await import("./session");
  const { useCsrf } = await import("./api");
  const { sending } = await import("./sending");
  return { asked, sending, session, signIn: (user: string, csrf = `csrf-${user}`) => (useCsrf(csrf), (session.value = of(user))) };
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 30));

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

it("does not send an answer in the name of who has signed in in another tab", async () => {
  const holder = { user: "y" };
  const { asked, sending, session, signIn } = await browser(holder);
  signIn("x");
  sending.start("x");
  await sending.give(GIVEN);
  await settled();
  expect(asked).toEqual(["POST /v1/alerts/a/answers", "GET /v1/session"]);
  expect(session.value?.user).toBe("y");
  expect(sending.state.value).toBe("another_user");
  expect(sending.items.value.map(({ refused }) => refused)).toEqual([null]);
  sending.start("y"); // as the page of phones does for whoever is signed in
  await settled();
  expect([...sending.others.value]).toEqual([["x", 1]]);
  expect(asked.filter((one) => one.startsWith("as"))).toEqual([]);
  holder.user = "x";
  signIn("x");
  sending.start("x");
  await settled();
  expect(asked.at(-1)).toBe("as x: of x");
  expect(sending.items.value).toEqual([]);
});

it("sends with the new token where the same user's session was renewed elsewhere", async () => {
  const { asked, sending, signIn } = await browser({ user: "x" });
  signIn("x", "an old one");
  sending.start("x");
  await sending.give(GIVEN);
  await settled();
  expect(asked).toEqual(["POST /v1/alerts/a/answers", "GET /v1/session", "POST /v1/alerts/a/answers", "as x: of x"]);
  expect(sending.delivered.value.map(({ outcome }) => outcome)).toEqual(["applied"]);
});

it("gives up what is under way at the sign-out, and brings nothing of it back", async () => {
  const { sending, signIn } = await browser({ user: "x" });
  const { keeping } = await import("./keeping");
  const { signOut } = await import("./session");
  const asked: string[] = [];
  vi.stubGlobal("fetch", (url: string, { method, signal }: RequestInit) => {
    asked.push(`${method} ${url}`);
    if (url === "/v1/session") return Promise.resolve(new Response(null, { status: 204 }));
    return new Promise((_, reject) => signal!.addEventListener("abort", () => {
      asked.push("given up");
      reject(new DOMException("stopped", "AbortError"));
    }));
  });
  signIn("x");
  sending.start("x");
  await sending.give({ ...GIVEN, deed: "done" as never, photos: [new Blob(["x"], { type: "image/jpeg" })] as never });
  await settled();
  expect(sending.state.value).toBe("sending");
  sending.stop();
  await signOut();
  await settled();
  expect(asked).toEqual(["POST /v1/photos", "given up", "DELETE /v1/session"]);
  expect(await (await keeping()).all()).toEqual([]);
});
