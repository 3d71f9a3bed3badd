// @ts-check
// What this browser keeps by itself: small things, under one prefix. Private windows may refuse.

const PREFIX = "ondol.";

/** @template T @param {string} name @param {T} fallback @returns {T} */
export function recall(name, fallback) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

/** Forget all that `test` says of, by name. @param {(name: string) => boolean} test */
export function forget(test) {
  try {
    const names = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
    for (const key of names) if (test(key.slice(PREFIX.length))) localStorage.removeItem(key);
  } catch {
    // Nothing was kept.
  }
}

/** @param {string} name @param {any} value `undefined` forgets it */
export function remember(name, value) {
  try {
    if (value === undefined) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Without storage the app works; it only starts anew each time.
  }
}
