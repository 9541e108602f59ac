// The service worker, by which the pages of a phone open without a network. Only who opens those pages gets it.

/** Whether this browser can open the page without a network: over TLS, or from this machine. */
export const canOpenOffline = window.isSecureContext && "serviceWorker" in navigator;

/** Have the page open without a network from the next time on. */
export function openOffline(): void {
  if (!canOpenOffline || !import.meta.env.PROD) return;
  navigator.serviceWorker.register("/sw.js", { updateViaCache: "none" }).catch((error: unknown) => console.warn("the page will not open offline", error));
}
