// Why a password was refused, in words that follow the time that a lock has left.

import { computed, onUnmounted, shallowRef } from "vue";
import { span } from "../core/format";
import { t } from "../core/words";
import { Problem } from "./api";

const EVERY_MS = 500;

/** The refusal of a form with a password; `wrong` is the key of what is said of a wrong one. To be called by a component. */
export function useRefusal(wrong: string) {
  const problem = shallowRef<Problem | null>(null);
  const lockedUntil = shallowRef(0);
  const mono = shallowRef(performance.now());
  const timer = setInterval(() => (mono.value = performance.now()), EVERY_MS);
  onUnmounted(() => clearInterval(timer));

  const why = computed(() => {
    if (problem.value === null) return "";
    const left = lockedUntil.value - mono.value;
    if (problem.value.code === "wrong_credentials") return t(wrong);
    if (problem.value.code === "locked") return left > 0 ? t("locked", { x: span(left + 999) }) : t("lockedOver");
    if (problem.value.code === "unreachable") return t("failed", { x: t("unreachable") });
    return t("failed", { x: problem.value.message });
  });

  function refuse(error: unknown): void {
    if (!(error instanceof Problem)) throw error;
    problem.value = error;
    mono.value = performance.now();
    lockedUntil.value = mono.value + (error.retryAfter ?? 0) * 1000;
  }

  return { problem, why, mono, refuse, clear: () => (problem.value = null) };
}
