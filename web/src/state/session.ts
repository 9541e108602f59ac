// Who is signed in. Pages ask `session`; the router keeps who is not to the sign-in page.

import { shallowRef } from "vue";
import { instant, useZone } from "../core/format";
import type { Credentials, OwnPassword, Session, SignIn } from "../schema";
import { ask, Problem, read, useCsrf } from "./api";

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

/** Learn whether somebody is signed in. Raises `Problem` when the gateway does not answer. */
export async function resume(): Promise<void> {
  try {
    take((await ask<Session>("GET", "session", undefined, { own401: true })) ?? null);
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) throw error;
    take(null);
  }
}

/** Ask how long the session still lasts. That is a use of it, so only pages that watch may: others shall end unused. Raises `Problem`. */
export async function renew(): Promise<void> {
  const before = session.value;
  const found = await read<Session>("session");
  if (session.value === before) take(found);
}

/** Sign in. Raises `Problem` with `wrong_credentials` or `locked`. */
export async function signIn(credentials: Credentials): Promise<void> {
  take((await ask<Session>("POST", "session", credentials, { own401: true })) ?? null);
  ended.value = null;
}

/** Change the password of who is signed in; their other sessions end. Raises `Problem`, also with `wrong_credentials` or `locked`. */
export const changePassword = (wanted: OwnPassword): Promise<unknown> => ask("PUT", "session/password", wanted);

/** Sign out; locally even when the gateway does not answer. */
export async function signOut(): Promise<void> {
  await ask("DELETE", "session", undefined, { own401: true }).catch((error: unknown) => console.warn("not signed out at the gateway", error));
  take(null);
}

/** The session has ended by itself; `since` is when something was shown last (server's ms), NaN where nothing was. */
export function forget(since: number): void {
  ended.value = session.value === null ? null : { since, mono: performance.now() };
  take(null);
}

/** How one can sign in. */
export const ways = (): Promise<SignIn> => read<SignIn>("sign-in");
