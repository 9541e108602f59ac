// The service worker: opens the pages of a phone without a network. It keeps the shell (the page and the parts that a phone's pages need) and nothing
// of the city: what is under /v1 passes it by. It imports nothing, so that it is one file.

export {};

const worker = self as unknown as ServiceWorkerGlobalScope;

/** The paths of the shell, which the build puts here: `/` first, the rest named by their content. */
const SHELL: readonly string[] = "__SHELL__".split(" ");

const NAME = "tongguan-shell-";
const PATIENCE_MS = 5000; // for a network that is there and does not answer

async function nameOfShell(): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(SHELL.join(" ")));
  return NAME + [...new Uint8Array(digest).slice(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function install(): Promise<void> {
  const cache = await caches.open(await nameOfShell());
  await cache.addAll(SHELL.map((path) => new Request(path, { cache: "no-cache" })));
  await worker.skipWaiting();
}

async function forgetOthers(): Promise<void> {
  const own = await nameOfShell();
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(NAME) && name !== own).map((name) => caches.delete(name)));
}

/** The page: from the gateway, and from the shell where the gateway is away or ill. It is not kept anew here: it goes with its parts. */
async function page(request: Request): Promise<Response> {
  const kept = await caches.match("/");
  try {
    const signal = kept ? { signal: AbortSignal.timeout(PATIENCE_MS) } : {};
    const fresh = await fetch(request, signal);
    return fresh.status >= 500 && kept ? kept : fresh;
  } catch (error) {
    if (kept) return kept;
    throw error;
  }
}

const part = async (request: Request): Promise<Response> => (await caches.match(request)) ?? (await fetch(request));

worker.addEventListener("install", (event) => event.waitUntil(install()));
worker.addEventListener("activate", (event) => event.waitUntil(forgetOthers()));
worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== worker.location.origin) return;
  if (request.mode === "navigate" && pathname === "/") event.respondWith(page(request));
  else if (SHELL.includes(pathname)) event.respondWith(part(request));
});
