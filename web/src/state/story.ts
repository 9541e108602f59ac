// The story of one warning, as REST tells it, kept near the present while it is looked at.

import { onScopeDispose, shallowRef, watch, type Ref } from "vue";
import type { WarningStory } from "../schema";
import { Problem, read } from "./api";

const AGAIN_MS = 15_000; // the values around it go on
const SOON_MS = 1500; // history writes in batches: right after a revision its values are not there yet

/** The story of the warning that `id` names, asked for anew when `rev` changes and every so often; `problem` when it cannot be told. */
export function useStory(id: Ref<string>, rev: Ref<number>) {
  const story = shallowRef<WarningStory | null>(null);
  const problem = shallowRef<Problem | null>(null);
  let timer: ReturnType<typeof setTimeout> | undefined;

  async function tell(): Promise<void> {
    clearTimeout(timer);
    const asked = id.value;
    try {
      const told = await read<WarningStory>(`warnings/${encodeURIComponent(asked)}/story`);
      if (asked !== id.value) return;
      story.value = told;
      problem.value = null;
    } catch (error) {
      if (asked === id.value && error instanceof Problem) problem.value = error;
    }
    timer = setTimeout(() => void tell(), AGAIN_MS);
  }

  watch(id, () => {
    story.value = null;
    problem.value = null;
    void tell();
  }, { immediate: true });
  watch(rev, () => {
    clearTimeout(timer);
    timer = setTimeout(() => void tell(), SOON_MS);
  });
  onScopeDispose(() => clearTimeout(timer));
  return { story, problem, tell };
}
