// What the size of the screen asks of scripts; the rest is the style sheet's.

import { shallowRef } from "vue";

const phone = matchMedia("(max-width: 820px)");

/** Whether everything stands in one column. */
export const narrow = shallowRef(phone.matches);

/** Pixels of a rem: the style sheet grows it with the screen, so that a wall is read from afar. */
export const rem = shallowRef(16);

function measure(): void {
  narrow.value = phone.matches;
  rem.value = parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
}

/** Measure, now and whenever the window changes. */
export function followScreen(): void {
  measure();
  window.addEventListener("resize", measure);
  phone.addEventListener("change", measure);
}
