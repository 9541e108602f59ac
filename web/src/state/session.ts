// Who is signed in. Pages ask `session`; the router keeps who is not to the sign-in page.

import { shallowRef } from "vue";
import { useZone } from "../core/format";
import type { Credentials, Session, SignIn } from "../schema";
import { ask, Problem, read, useCsrf } from "./api";

/** The session; null while nobody is signed in. */
export const session = shallowRef<Session | null>(null);

/** Why the sign-in page is shown, when that needs a word. */
export const ended = shallowRef(false);

function take(found: Session | null): void {
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

/** Sign in. Raises `Problem` with `wrong_credentials` or `locked`. */
export async function signIn(credentials: Credentials): Promise<void> {
  take((await ask<Session>("POST", "session", credentials, { own401: true })) ?? null);
  ended.value = false;
}

/** Sign out; locally even when the gateway does not answer. */
export async function signOut(): Promise<void> {
  await ask("DELETE", "session", undefined, { own401: true }).catch((error: unknown) => console.warn("not signed out at the gateway", error));
  take(null);
}

/** The session has ended by itself. */
export function forget(): void {
  ended.value = session.value !== null;
  take(null);
}

/** How one can sign in. */
export const ways = (): Promise<SignIn> => read<SignIn>("sign-in");
