// @ts-check
// Pulls that go on in the server. They are followed while one is under way, from whatever page, and
// again where it broke off when the line comes back.

import { signal } from "../core/ui.js";
import { del, events, get, post } from "../core/api.js";
import { load, t } from "../core/i18n.js";
import { complain, toast } from "../core/state.js";
import { shortName } from "./words.js";

/**
 * @typedef {{id: string, model: string, state: "running" | "waiting" | "paused" | "done" | "failed", status: string, completed_bytes: number, total_bytes: number | null, bytes_per_second: number, started_at: string, error: {code: string, message: string, hint: string} | null, tries: number, tries_again_at: string | null}} Pull
 */

const PAUSE_MS = 1500;

/** @type {import("../../vendor/signals.js").Signal<Pull[]>} */
export const pulls = signal([]);

/** Told of every pull that has just been done. @type {Set<(pull: Pull) => void>} */
const listeners = new Set();
let isFollowing = false;
let last = "";

/** @param {(pull: Pull) => void} listener @returns {() => void} stops it */
export function whenDone(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const isActive = (/** @type {Pull} */ pull) => pull.state === "running" || pull.state === "waiting";

/** Look once, and follow what is under way. */
export async function look() {
  try {
    pulls.value = (await get("/ondol/v1/pulls")).pulls;
    follow();
  } catch (error) {
    complain(error);
  }
}

/** @param {string} model @returns {Promise<Pull | null>} null where it was refused, in words */
export async function start(model) {
  const pull = await post("/ondol/v1/pulls", { model });
  put(pull);
  follow();
  return pull;
}

/** @param {Pull} pull @param {"pause" | "resume"} deed */
export async function turn(pull, deed) {
  try {
    put(await post(`/ondol/v1/pulls/${pull.id}/${deed}`));
    follow();
  } catch (error) {
    complain(error);
  }
}

/** Give it up; of one that is done, only stop showing it. @param {Pull} pull */
export async function giveUp(pull) {
  try {
    await del(`/ondol/v1/pulls/${pull.id}`);
    drop(pull.id);
  } catch (error) {
    complain(error);
  }
}

/** @param {Pull} pull */
function put(pull) {
  const before = pulls.value.find((one) => one.id === pull.id);
  pulls.value = before ? pulls.value.map((one) => (one.id === pull.id ? pull : one)) : [...pulls.value, pull];
  if (pull.state === "done" && before?.state !== "done") {
    // It may end while another page is shown, which has not loaded these words.
    load("models").then(() => toast(t("models.pulled", { name: shortName(pull.model) }), { kind: "good" }), complain);
    for (const listener of listeners) listener(pull);
  }
}

/** @param {string} id */
const drop = (id) => {
  pulls.value = pulls.value.filter((one) => one.id !== id);
};

async function follow() {
  if (isFollowing) return;
  isFollowing = true;
  while (pulls.value.some(isActive)) {
    const stop = new AbortController();
    try {
      for await (const { event, data, id } of events(`/ondol/v1/pulls/events${last && `?after=${last}`}`, { signal: stop.signal })) {
        last = id || last;
        if (event === "pulls") for (const pull of data.pulls) put(pull);
        else if (event === "pull") put(data);
        else if (event === "removed") drop(data.id);
        if (!pulls.value.some(isActive)) break;
      }
    } catch {
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    } finally {
      stop.abort();
    }
  }
  isFollowing = false;
}
