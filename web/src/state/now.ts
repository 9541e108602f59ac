// The time by which a page that nothing is sent to says how old things are.

import { onUnmounted, shallowRef } from "vue";
import { serverNow } from "./api";

/** The gateway's time (ms), which goes on by the second. To be called by a component. */
export function useNow() {
  const now = shallowRef(serverNow());
  const timer = setInterval(() => (now.value = serverNow()), 1000);
  onUnmounted(() => clearInterval(timer));
  return now;
}
