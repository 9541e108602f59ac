// The end of the session: a screen that watches for days is told before it goes dark.

import { computed, type ComputedRef, onMounted, onUnmounted, watch } from "vue";
import { clockTime } from "../core/format";
import { t } from "../core/words";
import { polite } from "./announce";
import { endsAt, renew } from "./session";
import { view } from "./watching";

const ASK_MS = 600_000;
const BEFORE_MS = 12 * 3_600_000;

/** What is to be said of the session's end, nothing while that is far off or unknown. To be called by a page that watches. */
export function useEnding(): ComputedRef<string> {
  const ask = (): void => void renew().catch((error: unknown) => console.warn("the end of the session is not known", error));
  const timer = setInterval(ask, ASK_MS);
  onMounted(ask);
  onUnmounted(() => clearInterval(timer));

  const words = computed(() => (endsAt.value - view.value.now <= BEFORE_MS ? t("bannerEnding", { x: clockTime(endsAt.value, view.value.now) }) : ""));
  watch(words, (text) => text && (polite.value = text));
  return words;
}
