// @ts-check
// Updates that go on in the server. They are followed while one is under way, from whatever page.

import { signal } from "../core/ui.js";
import { del, events, post } from "../core/api.js";
import { load, t } from "../core/i18n.js";
import { complain, toast } from "../core/state.js";

/**
 * @typedef {{what: "installed" | "updated" | "unchanged" | "rolled_back", name: string, version: string, before: string, words: string[]}} Outcome
 * @typedef {{id: string, deed: "install" | "evaluate", hub?: string, publisher?: string, item?: string, version?: string, channel?: string, name?: string, state: "waiting" | "running" | "done" | "failed" | "stopped", step: string, completed: number, total: number | null, bytes_per_second: number, outcome: any, error: {code: string, message: string, hint: string, param?: string} | null}} Update
 */

const ALL = "/ondol/v1/updates";
const PAUSE_MS = 1500;

/** @type {import("../../vendor/signals.js").Signal<Update[]>} */
export const updates = signal([]);

/** Told of every one that is just over. @type {Set<(update: Update) => void>} */
const listeners = new Set();
let isFollowing = false;
let last = "";

/** @param {(update: Update) => void} listener @returns {() => void} stops it */
export function whenOver(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const isActive = (/** @type {Update} */ one) => one.state === "waiting" || one.state === "running";

/** What people call it. @param {Update} one */
export const nameOf = (one) => one.name || `${one.publisher}/${one.item}`;

/** That of an item that is under way. @param {{publisher: string, item: string}} of */
export const under = ({ publisher, item }) =>
  updates.value.find((one) => isActive(one) && one.publisher === publisher && one.item === item);

/** Show these, and follow what is under way. @param {Update[]} all */
export function look(all) {
  updates.value = all;
  follow();
}

/** Begin one; what is refused is thrown, in words. @param {Record<string, any>} wanted */
export async function begin(wanted) {
  put(await post(ALL, wanted));
  follow();
}

/** Stop it before it switches anything. @param {Update} one */
export async function stop(one) {
  try {
    put(await post(`${ALL}/${one.id}/stop`));
  } catch (error) {
    complain(error);
  }
}

/** Show it no more. @param {Update} one */
export async function dismiss(one) {
  try {
    await del(`${ALL}/${one.id}`);
    drop(one.id);
  } catch (error) {
    complain(error);
  }
}

/** @param {Update} one */
function put(one) {
  const before = updates.value.find(({ id }) => id === one.id);
  updates.value = before ? updates.value.map((each) => (each.id === one.id ? one : each)) : [...updates.value, one];
  if (isActive(one) || (before && !isActive(before))) return;
  if (one.state === "done") {
    // It may end while another page is shown, which has not loaded these words.
    load("hub").then(() => toast(told(one), { kind: "good" }), complain);
  }
  for (const listener of listeners) listener(one);
}

/** What came of it, in words. @param {Update} one */
function told(one) {
  if (one.deed === "evaluate") return t("hub.evaluated", { name: nameOf(one) });
  const { what, name, version, words } = /** @type {Outcome} */ (one.outcome);
  return [t(`hub.outcome_${what}`, { name, version }), ...(words ?? [])].join(" ");
}

/** @param {string} id */
const drop = (id) => {
  updates.value = updates.value.filter((one) => one.id !== id);
};

async function follow() {
  if (isFollowing) return;
  isFollowing = true;
  while (updates.value.some(isActive)) {
    const stopped = new AbortController();
    try {
      for await (const { event, data, id } of events(`${ALL}/events${last && `?after=${last}`}`, { signal: stopped.signal })) {
        last = id || last;
        if (event === "updates") for (const one of data.updates) put(one);
        else if (event === "update") put(data);
        else if (event === "removed") drop(data.id);
        if (!updates.value.some(isActive)) break;
      }
    } catch {
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    } finally {
      stopped.abort();
    }
  }
  isFollowing = false;
}
