// @ts-check
// What the Models page shows: what is installed, loaded and on offer, this machine, and which model and
// adapter answers.

import { signal } from "../core/ui.js";
import { del, get, patch, post } from "../core/api.js";
import { complain } from "../core/state.js";

/**
 * @typedef {{name: string, kind: "chat" | "embedding" | "reranker", format: string, digest: string, size_bytes: number, modified_at: string, family: string, parameters: number | null, quantization: string, context_length: number | null, embedding_length: number | null, licence: string, source: string}} Model
 * @typedef {{name: string, adapter: string, model: string, digest: string, size_bytes: number, created_at: string, r: number, description: string, evaluation: any, trained_on: any, shipped: boolean, stale: boolean}} Adapter
 * @typedef {{name: string, kind: string, size_bytes: number, parameters: number, licence: string, context_length: number, family: string, quantization: string, note: string, good_for: string[], languages: string[], fits: "gpu" | "ram" | "no", need_bytes: number, why: string}} Entry
 * @typedef {{model: string, size_bytes: number, num_ctx: number, expires_at: string | null, in_use: number}} Loaded
 * @typedef {{cpu: string, cores: number, physical_cores: number, ram: {total_bytes: number, available_bytes: number, room_bytes: number, models_bytes: number}, gpus: {name: string, memory_bytes: number, free_bytes: number}[], disk: {total_bytes: number, free_bytes: number, models_bytes: number}}} Machine
 */

/** null: not known yet. @type {import("../../vendor/signals.js").Signal<Model[] | null>} */
export const models = signal(null);
/** @type {import("../../vendor/signals.js").Signal<Adapter[]>} */
export const adapters = signal([]);
/** @type {import("../../vendor/signals.js").Signal<Entry[] | null>} */
export const catalog = signal(null);
/** @type {import("../../vendor/signals.js").Signal<Loaded[]>} */
export const loaded = signal([]);
/** @type {import("../../vendor/signals.js").Signal<Machine | null>} */
export const machine = signal(null);
/** What the settings say: the chat model, the embedder, the reranker, the adapter that answers. */
export const chosen = signal({ chat: "", embedding: "", rerank: "", adapter: "" });
/** Models that are being brought into memory or taken out. @type {import("../../vendor/signals.js").Signal<Set<string>>} */
export const moving = signal(new Set());

export async function reload() {
  try {
    const [here, known, settings] = await Promise.all([get("/ondol/v1/models"), get("/ondol/v1/adapters"), get("/ondol/v1/settings")]);
    models.value = here.models;
    adapters.value = known.adapters;
    readSettings(settings);
  } catch (error) {
    complain(error);
  }
}

/** The catalogue is told in the reader's language, so it is asked for again when that changes. */
export async function reloadCatalog() {
  try {
    catalog.value = (await get("/ondol/v1/catalog")).models;
  } catch (error) {
    complain(error);
  }
}

/** Memory and what is in it: asked again and again, so a failure is not said each time. */
export async function lookAtMachine() {
  try {
    const [here, inside] = await Promise.all([get("/ondol/v1/machine"), get("/ondol/v1/loaded")]);
    machine.value = here;
    loaded.value = inside.loaded;
  } catch {
    // The frame around the page says when the server is away.
  }
}

/** @param {{settings: {name: string, value: any}[]}} told */
function readSettings({ settings }) {
  const value = (/** @type {string} */ name) => String(settings.find((one) => one.name === name)?.value ?? "");
  chosen.value = {
    chat: value("models.chat"),
    embedding: value("models.embedding"),
    rerank: value("models.rerank"),
    adapter: value("answer.adapter"),
  };
}

/** @param {Record<string, any>} settings */
export async function choose(settings) {
  try {
    readSettings(await patch("/ondol/v1/settings", settings));
  } catch (error) {
    complain(error);
  }
}

/** @param {string} model @param {boolean} into */
export async function move(model, into) {
  moving.value = new Set(moving.value).add(model);
  try {
    await (into ? post("/ondol/v1/loaded", { model }) : del("/ondol/v1/loaded", { model }));
  } catch (error) {
    complain(error);
  }
  await lookAtMachine();
  const left = new Set(moving.value);
  left.delete(model);
  moving.value = left;
}

/** Whether a name of the settings or the catalogue is that of `model`. @param {string} name @param {string} model */
export const isSame = (name, model) => name === model || `${name}:latest` === model;
