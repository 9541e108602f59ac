// The alerts of who is signed in on a phone: asked for every ten seconds while somebody looks, and kept for when there is no network.

import { computed, onMounted, onUnmounted, shallowRef, watch } from "vue";
import { instant, useZone } from "../core/format";
import type { FieldView } from "../schema";
import { read } from "./api";
import { keeping, type KeptView, type Owner, shownOffline } from "./keeping";
import { renew, session } from "./session";

const EVERY_MS = 10_000;
const TIMEOUT_MS = 9000;
const OLD_MS = 25_000; // two questions in a row without an answer
const RENEW_MS = 3_600_000; // the page opens offline until the end that is known of the session, which moves on with its use

const ownerOf = ({ user, name, timezone, may, expires_at }: Owner): Owner => ({ user, name, timezone, may, expires_at });

/** The view, its age and whether the gateway answers. To be called by a page. */
export function useField() {
  const kept = shallowRef<KeptView | null>(null);
  const failed = shallowRef(false);
  const clock = shallowRef(Date.now());
  let asking = false;
  let renewedAt = Date.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const ticking = setInterval(() => (clock.value = Date.now()), 1000);

  async function ask(): Promise<void> {
    if (asking || session.value === null) return;
    asking = true;
    try {
      await learn();
      const of = session.value;
      if (of !== null) await take(ownerOf(of), await read<FieldView>("field", { timeoutMs: TIMEOUT_MS }));
    } catch (error) {
      console.warn("the alerts are not known", error);
      failed.value = true;
    } finally {
      asking = false;
    }
  }

  /** Learn now and then how long the session lasts, and whose it is: somebody else may have signed in in this browser. */
  async function learn(): Promise<void> {
    if (Date.now() - renewedAt < RENEW_MS) return;
    await renew({ timeoutMs: TIMEOUT_MS });
    renewedAt = Date.now();
  }

  async function take(owner: Owner, view: FieldView): Promise<void> {
    if (session.value?.user !== owner.user) return;
    failed.value = false;
    kept.value = { owner, view, receivedAt: Date.now() };
    clock.value = Date.now();
    await (await keeping()).keepView(kept.value);
  }

  async function round(): Promise<void> {
    clearTimeout(timer);
    if (document.visibilityState === "visible") await ask();
    clearTimeout(timer);
    timer = setTimeout(() => void round(), EVERY_MS);
  }

  async function open(): Promise<void> {
    const before = await shownOffline(Date.now());
    if (kept.value === null && before !== null && (session.value === null || session.value.user === before.owner.user)) {
      useZone(before.owner.timezone);
      kept.value = before;
    }
    await round();
  }

  const again = (): void => void round();
  const shown = (): void => {
    renewedAt = -Infinity;
    again();
  };
  watch(session, (of, before) => {
    if (of === null || of.user === before?.user) return;
    if (kept.value?.owner.user !== of.user) kept.value = null; // what one sees is no other's
    again();
  });
  onMounted(() => {
    void open();
    window.addEventListener("online", again);
    document.addEventListener("visibilitychange", shown);
  });
  onUnmounted(() => {
    clearTimeout(timer);
    clearInterval(ticking);
    window.removeEventListener("online", again);
    document.removeEventListener("visibilitychange", shown);
  });

  /** Milliseconds since what is shown was true, by the phone's own clock; NaN while nothing is shown. */
  const ageMs = computed(() => (kept.value === null ? NaN : Math.max(0, clock.value - kept.value.receivedAt)));
  const asOf = computed(() => (kept.value === null ? NaN : instant(kept.value.view.now)));
  return {
    kept,
    owner: computed((): Owner | null => session.value ?? kept.value?.owner ?? null),
    /** When what is shown was true, and what time it is now, both by the server's clock. */
    asOf,
    now: computed(() => asOf.value + ageMs.value),
    ageMs,
    /** Whether what is shown may not be the present. */
    lost: computed(() => session.value === null || failed.value || ageMs.value > OLD_MS),
    again,
  };
}
