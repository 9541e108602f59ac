// The first question to the gateway: who is signed in? It is asked until it is answered.

import { shallowRef } from "vue";
import { resume } from "./session";

const AGAIN_MS = 2000;

/** Since when (monotonic) the gateway does not answer the first question; null while it does or has. */
export const unreachableSince = shallowRef<number | null>(null);

/** Whether a part of the page could not be fetched: after an upgrade the parts of the page before are gone. */
export const broken = shallowRef(false);

async function asked(): Promise<void> {
  for (;;) {
    try {
      await resume();
      unreachableSince.value = null;
      return;
    } catch (error) {
      console.warn("the gateway does not say who is signed in", error);
      unreachableSince.value ??= performance.now();
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

let answer: Promise<void> | null = null;

/** How long a page that has something kept waits for the gateway before it shows that. */
const PATIENCE_MS = 3000;

const reached = (): boolean => unreachableSince.value === null;

/** Resolves with whether it is known who is signed in, as soon as that is known, the gateway was found to be out of reach, or patience is over. */
export async function heard(): Promise<boolean> {
  const until = performance.now() + PATIENCE_MS;
  let known = false;
  void resumed().then(() => (known = true));
  while (!known && reached() && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
  return known;
}

/** Resolves when it is known whether somebody is signed in. */
export const resumed = (): Promise<void> => (answer ??= asked());
