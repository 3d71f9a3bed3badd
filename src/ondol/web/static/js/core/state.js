// @ts-check
// What every part of the app may look at: theme, key, whether the server answers, toasts.

import { effect, signal } from "./ui.js";
import { recall, remember } from "./storage.js";

export { recall, remember } from "./storage.js";

/** "light", "dark" or "system". */
export const theme = signal(recall("theme", "system"));

/** The bearer key, where the server asks for one. */
export const key = signal(recall("key", ""));

/** "online", "offline" (nobody answers) or "locked" (a key is asked for). */
export const health = signal("online");

/** @type {import("../../vendor/signals.js").Signal<{id: number, text: string, kind: string, action: {text: string, run: () => void} | null}[]>} */
export const toasts = signal([]);

let lastToast = 0;

/**
 * Say something for a moment. Errors stay until they are closed.
 * @param {string} text
 * @param {{kind?: "info" | "good" | "bad", action?: {text: string, run: () => void} | null, seconds?: number}} [how]
 */
export function toast(text, { kind = "info", action = null, seconds = kind === "bad" ? 0 : 5 } = {}) {
  const id = ++lastToast;
  toasts.value = [...toasts.value.slice(-3), { id, text, kind, action }];
  if (seconds) setTimeout(() => dismiss(id), seconds * 1000);
}

/** @param {number} id */
export function dismiss(id) {
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

/** Show an error in the server's words, with its hint. @param {any} error */
export function complain(error) {
  if (error?.name === "AbortError") return;
  toast([error.message, error.hint].filter(Boolean).join(" "), { kind: "bad" });
}

effect(() => {
  document.documentElement.dataset.theme = theme.value;
  remember("theme", theme.value);
});

effect(() => remember("key", key.value || undefined));
