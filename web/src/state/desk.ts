// What the pages of a desk share: the names of its region and of those below, and things that are read and done.

import { onMounted, shallowRef } from "vue";
import type { LiveRegion } from "../schema";
import { ask, failure, read } from "./api";

interface Place {
  region: LiveRegion;
  path: readonly LiveRegion[];
  children: readonly LiveRegion[];
}

const SOON_MS = 1500; // what was only handed in has taken effect by then, or else at the next look

/** The region's name and those below it. To be called by a page. */
export function usePlace(code: string) {
  const place = shallowRef<Place | null>(null);
  onMounted(async () => {
    try {
      place.value = await read<Place>(`regions/${encodeURIComponent(code)}`);
    } catch (error) {
      console.warn("the region is not known", error);
    }
  });
  return place;
}

/** Something that is read, from when a component is there (if `at` says so), and again after something was done; `problem` says what failed. */
export function useRead<Answer>(path: () => string, at: () => boolean = () => true) {
  const found = shallowRef<Answer | null>(null);
  const problem = shallowRef("");
  const busy = shallowRef(false);

  let looks = 0;

  /** An answer that comes after a later look was begun is no longer wanted. */
  async function look(): Promise<void> {
    const mine = ++looks;
    try {
      const answer = await read<Answer>(path());
      if (mine !== looks) return;
      found.value = answer;
      problem.value = "";
    } catch (error) {
      if (mine === looks) problem.value = failure(error);
    }
  }

  /** Do something; returns whether it was taken. What was only handed in is looked for again a little later. */
  async function act(method: string, to: string, body?: unknown): Promise<boolean> {
    busy.value = true;
    try {
      const answer = await ask(method, to, body);
      await look();
      if (answer === undefined) setTimeout(() => void look(), SOON_MS);
      return true;
    } catch (error) {
      problem.value = failure(error);
      return false;
    } finally {
      busy.value = false;
    }
  }

  onMounted(() => (at() ? look() : undefined));
  return { found, problem, busy, look, act };
}
