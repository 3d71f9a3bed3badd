// @ts-check
// What the Personal page shows: what there is to learn from, trainings, adapters; and what it asks for.

import { batch, signal } from "../core/ui.js";
import { del, get, post, upload } from "../core/api.js";
import { complain } from "../core/state.js";

/**
 * @typedef {{id: string, kind: "feedback" | "chat_export" | "writing" | "file", name: string, consented_at: string, sft: number, preference: number, thumb: number, held_out: number}} Source
 * @typedef {{name: string, label?: string, unit?: "nats" | "share" | "count" | "brier", before: number | null, after: number | null, difference?: {value: number | null, low: number | null, high: number | null} | null, is_ok?: boolean}} Row
 * @typedef {{activates?: boolean, reasons?: string[], notes?: string[], rows?: Row[]}} Verdict
 * @typedef {{stage: "sft" | "preference", step: number, loss: number, held_out_loss: number | null}} Point
 * @typedef {{id: string, model: string, name: string, task: string, state: "waiting" | "running" | "paused" | "failed" | "refused" | "done", stage: "samples" | "sft" | "preference" | "evaluation", step: number, steps: number, loss: number | null, held_out_loss: number | null, seconds: number, eta_seconds: number | null, num_examples: number, num_pairs: number, num_held_out: number, started_at: string, updated_at: string, when_idle: boolean, adapter: string, verdict: Verdict, error: {code: string, message: string, hint: string} | null, losses?: Point[]}} Training
 * @typedef {{name: string, adapter: string, model: string, digest: string, created_at: string, size_bytes: number, stale: boolean, is_active: boolean, is_candidate: boolean, trained_on: any, evaluation: any, languages: string[]}} Adapter
 * @typedef {{model: string, samples: {sft: number, preference: number, thumb: number, held_out: number}, learned: number, held_out: number, fewest: {learned: number, held_out: number}, sources: Source[], feedback: {is_agreed: boolean, answers: number}, error: {code: string, message: string, hint: string} | null, trainings: Training[], adapters: Adapter[], prompts: {sample: string, prompt: string}[]}} Overview
 * @typedef {{number: number, model: string, adapters: Record<string, number>, reason: string, at: string}} Activation
 */

/** How one's own writing comes here: a browser opens no folders. */
export const STYLE_COMMAND = "ondol train style FOLDER";

/** What measures an adapter that no training measured. @param {string} name */
export const measureCommand = (name) => `ondol adapters activate ${name}`;

const ALL = "/ondol/v1/personal";

/** null: not known yet. @type {import("../../vendor/signals.js").Signal<Overview | null>} */
export const overview = signal(null);
/** The latest training, with its losses. @type {import("../../vendor/signals.js").Signal<Training | null>} */
export const latest = signal(null);
/** Which adapters answered since when, the latest first. @type {import("../../vendor/signals.js").Signal<Activation[]>} */
export const activations = signal([]);

/** What a source that was erased had taught, where there is something to say of it.
 * @type {import("../../vendor/signals.js").Signal<import("./receipt.js").Receipt | null>} */
export const receipt = signal(null);

/** @param {Training | null} training */
export const isUnderWay = (training) => training?.state === "running" || training?.state === "waiting";

export async function load() {
  try {
    const [found, kept] = await Promise.all([get(ALL), get("/ondol/v1/activations")]);
    const [first] = found.trainings;
    const training = first ? await get(`${ALL}/trainings/${first.id}`) : null;
    // All at once: nobody should press a button that a training under way takes away.
    batch(() => {
      overview.value = found;
      activations.value = kept.activations;
      latest.value = training;
    });
  } catch (error) {
    complain(error);
  }
}

/** How the training under way stands; when it has ended, everything is read again. */
export async function look() {
  const now = latest.value;
  if (!now || !isUnderWay(now)) return;
  try {
    const found = await get(`${ALL}/trainings/${now.id}`);
    latest.value = found;
    if (!isUnderWay(found)) await load();
  } catch {
    // The frame around the page says when the server is away; a training that is gone is read anew.
    await load();
  }
}

/** Whether it was done; then everything is read again. @param {() => Promise<any>} work */
export async function change(work) {
  try {
    await work();
    await load();
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

/** @param {boolean} whenIdle */
export const start = (whenIdle) => change(() => post(`${ALL}/trainings`, { when_idle: whenIdle }));
/** @param {string} id */
export const pause = (id) => change(() => post(`${ALL}/trainings/${id}/pause`));
/** @param {string} id */
export const resume = (id) => change(() => post(`${ALL}/trainings/${id}/resume`));
/** @param {string} id */
export const remove = (id) => change(() => del(`${ALL}/trainings/${id}`));
/** @param {string} adapter */
export const activate = (adapter) => change(() => post(`/ondol/v1/adapters/${adapter}/activate`));
/** @param {string} model */
export const rollback = (model) => change(() => post("/ondol/v1/activations/rollback", { model }));
/** @param {string} adapter */
export const erase = (adapter) => change(() => del(`/ondol/v1/adapters/${adapter}`));
/** @param {string} source */
export const eraseSource = (source) =>
  change(async () => {
    const told = await del(`/ondol/v1/sources/${source}`);
    receipt.value = told.stale.length || told.federations.length || told.not_reached.length ? told : null;
  });
/** @param {string[]} adapters full names @param {string} name @returns {Promise<{adapter: Adapter, kept: number}>} */
export const merge = (adapters, name) => post("/ondol/v1/adapters/merge", { adapters, name });
/** @param {string} adapter @param {string} sample */
export const compare = (adapter, sample) => post(`${ALL}/comparisons`, { adapter, sample });
/** Learn from what was said of answers, from now on: the owner was asked. */
export const agree = () => change(() => post("/ondol/v1/sources", { kind: "feedback", consent: true }));

/**
 * Look at a file (an exported chat, mails, notes, JSON lines); with `consent` learn from it.
 * @param {File} file @param {boolean} consent
 * @returns {Promise<{question?: string}>}
 */
export const bring = (file, consent) =>
  upload(`/ondol/v1/sources/upload?name=${encodeURIComponent(file.name)}${consent ? "&consent=true" : ""}`, file);
