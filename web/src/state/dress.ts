// Theme and language: the system's wish first, then what was chosen here before.

import { shallowRef, watchEffect } from "vue";
import { type Language, language } from "../core/words";
import { keep, recall } from "./store";

export type Theme = "dark" | "light";

const light = matchMedia("(prefers-color-scheme: light)");

function wished(): Theme {
  const kept = recall("theme");
  if (kept === "dark" || kept === "light") return kept;
  return light.matches ? "light" : "dark";
}

/** The theme shown. */
export const theme = shallowRef<Theme>(wished());

/** Take a theme, and remember it. */
export function setTheme(chosen: Theme): void {
  keep("theme", chosen);
  theme.value = chosen;
}

/** Take a language, and remember it. */
export function setLanguage(chosen: Language): void {
  keep("language", chosen);
  language.value = chosen;
}

/** Dress the document, now and with each change. */
export function dress(): void {
  if (recall("language") === "en") language.value = "en";
  light.addEventListener("change", () => (theme.value = wished()));
  watchEffect(() => {
    document.documentElement.dataset["theme"] = theme.value;
    document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en";
  });
}
