// @ts-check
// The app as an app: keeps its files for when the server is off, and installs itself where it may.

import { computed, signal } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { toast } from "../core/state.js";

/** @type {import("../../vendor/signals.js").Signal<any>} */
const offer = signal(null);
const isInstalled = signal(matchMedia("(display-mode: standalone)").matches);

/** "installed", "offered" (the browser would), "by_hand" (iOS: from its share menu), "untrusted" (no
 * service worker here) or "no". */
export const installing = computed(() => {
  if (isInstalled.value) return "installed";
  if (offer.value) return "offered";
  if (!("serviceWorker" in navigator) || worker.value === "refused") return "untrusted";
  return /iPhone|iPad/.test(navigator.userAgent) ? "by_hand" : "no";
});

/** "none", "ready" or "refused" (a private window, or a certificate that is not trusted). */
export const worker = signal("none");

/** Ask the browser to install the app. Only from a click. */
export async function install() {
  const prompt = offer.value;
  if (!prompt) return;
  offer.value = null;
  await prompt.prompt();
  const { outcome } = await prompt.userChoice;
  isInstalled.value = outcome === "accepted";
}

/** Start the service worker, when the page has what it needs for itself. */
export async function keepShell() {
  if (!("serviceWorker" in navigator)) return;
  if (document.readyState !== "complete") await new Promise((done) => addEventListener("load", done, { once: true }));
  if ("requestIdleCallback" in window) await new Promise((done) => requestIdleCallback(done, { timeout: 2000 }));
  const hadOne = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (!hadOne) return;
    toast(t("shell.newer"), { seconds: 0, action: { text: t("shell.reload"), run: () => location.reload() } });
  });
  try {
    await navigator.serviceWorker.register("/sw.js");
    worker.value = "ready";
  } catch {
    worker.value = "refused";
  }
}

addEventListener("beforeinstallprompt", (event) => {
  event.preventDefault();
  offer.value = event;
});
addEventListener("appinstalled", () => {
  isInstalled.value = true;
});
