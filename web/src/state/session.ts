// Who is signed in. Pages ask `session`; the router keeps who is not to the sign-in page.

import { shallowRef } from "vue";
import { instant, useZone } from "../core/format";
import type { Credentials, OwnPassword, Session, SignIn } from "../schema";
import { ask, type Asking, Problem, read, useCsrf } from "./api";
import { keeping } from "./keeping";

/** The session; null while nobody is signed in. */
export const session = shallowRef<Session | null>(null);

/** A session that ended by itself: `since` (server's ms) nothing is shown, NaN where nothing was; `mono` is the same in monotonic time. */
export interface Ended {
  since: number;
  mono: number;
}

/** Why the sign-in page is shown, when that needs a word. */
export const ended = shallowRef<Ended | null>(null);

/**
 * When (server's ms) the session ends however much it is used; NaN while that is not known.
 *
 * `expires_at` is the earlier of that and of when it would end unused, which moves on with each use: two answers that name the same time name the end.
 */
export const endsAt = shallowRef(NaN);

function take(found: Session | null): void {
  endsAt.value = found !== null && found.expires_at === session.value?.expires_at ? instant(found.expires_at) : NaN;
  session.value = found;
  useCsrf(found?.csrf ?? "");
  if (found) useZone(found.timezone);
}

/** What is shown without a network is shown to who is signed in. */
function forgetView(): void {
  keeping().then((kept) => kept.forgetView()).catch((error: unknown) => console.warn("the last view is not forgotten", error));
}

/** Learn whether somebody is signed in. Raises `Problem` when the gateway does not answer. */
export async function resume(): Promise<void> {
  try {
    take((await ask<Session>("GET", "session", undefined, { own401: true })) ?? null);
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) throw error;
    take(null);
    forgetView();
  }
}

/** Ask how long the session still lasts. That is a use of it, so only pages that watch may: others shall end unused. Raises `Problem`. */
export async function renew(asking: Asking = {}): Promise<void> {
  const before = session.value;
  const found = await read<Session>("session", asking);
  if (session.value === before) take(found);
}

/** Sign in. Raises `Problem` with `wrong_credentials` or `locked`. */
export async function signIn(credentials: Credentials): Promise<void> {
  take((await ask<Session>("POST", "session", credentials, { own401: true })) ?? null);
  ended.value = null;
}

/** Change the password of who is signed in; their other sessions end. Raises `Problem`, also with `wrong_credentials` or `locked`. */
export const changePassword = (wanted: OwnPassword): Promise<unknown> => ask("PUT", "session/password", wanted);

/** Forget what this phone kept for somebody. */
const wipe = (user: string): Promise<void> => keeping().then((kept) => kept.wipe(user)).catch((error: unknown) => console.warn("not all was forgotten", error));

/**
 * Sign out; locally even when the gateway does not answer. What this phone kept for them is gone with it, but what they answered where `coming` says
 * that they come back.
 */
export async function signOut({ coming = false } = {}): Promise<void> {
  const user = session.value?.user;
  const forgotten = async (): Promise<void> => (coming || user === undefined ? forgetView() : await wipe(user));
  await forgotten();
  await ask("DELETE", "session", undefined, { own401: true }).catch((error: unknown) => console.warn("not signed out at the gateway", error));
  take(null);
  await forgotten(); // what came while the gateway was asked
}

/** The session has ended by itself; `since` is when something was shown last (server's ms), NaN where nothing was. What was answered stays kept. */
export function forget(since: number): void {
  forgetView();
  ended.value = session.value === null ? null : { since, mono: performance.now() };
  take(null);
}

/** How one can sign in. */
export const ways = (): Promise<SignIn> => read<SignIn>("sign-in");
