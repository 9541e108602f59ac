// A classic script in the head, so that the theme and the language stand before the first paint. The choices are made in page.js.
(() => {
  const kept = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // storage is forbidden: the system's wish holds
    }
  };
  const root = document.documentElement;
  const light = matchMedia("(prefers-color-scheme: light)");
  const follow = () => {
    root.dataset.theme = kept("tongguan.theme") ?? (light.matches ? "light" : "dark");
  };
  follow();
  light.addEventListener("change", follow);
  if (kept("tongguan.language") === "en") root.lang = "en";
})();
