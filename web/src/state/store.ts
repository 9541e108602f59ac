// A browser's storage, which may be forbidden or full: then nothing is kept, and the page works without.

const prefixed = (key: string): string => `tongguan.${key}`;

function storage(): Storage | null {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

/** What was kept under a key; null for nothing. */
export function recall(key: string): string | null {
  return storage()?.getItem(prefixed(key)) ?? null;
}

/** Keep something under a key. */
export function keep(key: string, value: string): void {
  try {
    storage()?.setItem(prefixed(key), value);
  } catch (error) {
    console.warn("not kept", key, error);
  }
}
