// @ts-check
// What the Hub page shows: the hubs, what they offer, what is installed from them and what is newer.
// Nothing is asked of a hub unless somebody says so: the rest is what was verified before.

import { computed, signal } from "../core/ui.js";
import { del, get, patch, post } from "../core/api.js";
import { t } from "../core/i18n.js";
import { complain, toast } from "../core/state.js";
import { begin, isActive, look as lookAtUpdates, updates } from "./updates.js";

/**
 * @typedef {{code: string, message: string, hint: string}} Failure
 * @typedef {{name: string, url: string, fingerprint: string, mirrors: string[], added_at: string, refreshed_at: string | null, expires_at: string | null, error: Failure | null, publishers: Record<string, string[]>}} Hub
 * @typedef {{kind: "model" | "adapter" | "pack", name: string, files: Record<string, string>, channel?: "stable" | "beta", title?: string, description?: string, base_model?: string, base_digest?: string, tokenizer_digest?: string, template_digest?: string, architecture?: string, parameters?: number, quantization?: string, context_length?: number, r?: number, lora_alpha?: number, licence?: string, languages?: string[], training?: Record<string, any>, epsilon?: number, evaluation?: Record<string, any>, scan?: Record<string, any>, source?: string, min_ondol?: string, released_at?: string}} Card
 * @typedef {{publisher: string, item: string, version: string, card: Card, files: {name: string, role: string, digest: string, size_bytes: number}[], size_bytes: number, yanked: string, obstacle: string}} Release
 * @typedef {{name: string, kind: "model" | "adapter" | "pack", hub: string, fingerprint: string, publisher: string, item: string, version: string, channel: string, pin: string | null, previous: string[], installed_at: string, stale: string[]}} Installed
 * @typedef {Release & {hub: string, versions: string[], installed: Installed | null, is_newer: boolean}} Item
 * @typedef {Item & {releases: Release[], keys: string[]}} Details
 * @typedef {{name: string, kind: string, hub: string, publisher: string, item: string, installed: string, version: string, channel: string, size_bytes: number, is_pinned: boolean, stale: string[], yanked: string, left: string}} Offer
 * @typedef {{number: number, name: string, deed: string, version: string, before: string, reason: string, at: string}} Happening
 * @typedef {{name: string, version: string, title: string, description: string, not_for: string, licence: string, languages: string[], model: string, publisher: string, item: string, hub: string, terms: number, prompts: number, questions: number, has_adapter: boolean, evaluation: any, installed_at: string}} Pack
 */

const V1 = "/ondol/v1";

/** null: not known yet. @type {import("../../vendor/signals.js").Signal<Hub[] | null>} */
export const hubs = signal(null);
/** @type {import("../../vendor/signals.js").Signal<Item[] | null>} */
export const items = signal(null);
/** @type {import("../../vendor/signals.js").Signal<Installed[] | null>} */
export const installed = signal(null);
/** One for each that is installed; without a version there is nothing newer. @type {import("../../vendor/signals.js").Signal<Offer[]>} */
export const offers = signal([]);
/** What is newer. */
export const newer = computed(() => offers.value.filter((one) => one.version));
/** @type {import("../../vendor/signals.js").Signal<Pack[]>} */
export const packs = signal([]);

export async function load() {
  try {
    hubs.value = (await get(`${V1}/hubs`)).hubs;
    await Promise.all([loadItems(), loadInstalled()]);
  } catch (error) {
    complain(error);
  }
}

async function loadItems() {
  const found = await Promise.all(
    (hubs.value ?? []).map(async ({ name }) => {
      const told = await get(`${V1}/hubs/${encodeURIComponent(name)}/items`);
      return told.items.map((/** @type {Item} */ one) => ({ ...one, hub: name }));
    }),
  );
  items.value = found.flat();
}

async function loadInstalled() {
  const [told, known] = await Promise.all([get(`${V1}/updates`), get(`${V1}/packs`)]);
  installed.value = told.installed;
  offers.value = told.offers;
  packs.value = known.packs;
  lookAtUpdates(told.updates);
}

/** @param {Item} item @returns {Promise<Details>} */
export async function details({ hub, publisher, item }) {
  const told = await get(`${V1}/hubs/${[hub, "items", publisher, item].map(encodeURIComponent).join("/")}`);
  return { ...told, hub };
}

/** Whether it was done; then everything is read again. @param {() => Promise<any>} work */
async function change(work) {
  try {
    await work();
    await load();
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

/** Ask all hubs what they offer now; what is the matter with one is said, and the others go on. */
export async function check() {
  await change(async () => {
    const { offers: told, troubles, notes } = await post(`${V1}/updates/check`, { names: [] });
    const found = told.filter((/** @type {Offer} */ one) => one.version);
    for (const one of troubles) complain({ message: [one.hub, one.sentence].join(": ") });
    // Whom one trusts has changed: that stays until it was read.
    for (const { sentence } of notes) toast(sentence, { seconds: 0 });
    if (found.length) toast(t("hub.newer_count", { count: found.length }), { kind: "good" });
    else if (!troubles.length) toast(t("hub.nothing_newer"), { kind: "good" });
  });
}

/** @param {{url: string, fingerprint: string, name: string, mirrors: string[]}} what refused in words: it throws */
export async function add(what) {
  const made = await post(`${V1}/hubs`, what);
  await load();
  toast(t("hub.added", { name: made.name }), { kind: "good" });
}

/** @param {string} name */
export const refresh = (name) => change(() => post(`${V1}/hubs/${encodeURIComponent(name)}/refresh`));
/** @param {string} name */
export const remove = (name) => change(() => del(`${V1}/hubs/${encodeURIComponent(name)}`));

/** @typedef {{hub: string, publisher: string, item: string, version?: string, channel?: string, name?: string, allow_stale?: boolean, replace?: boolean}} Wanted */

/** Install or update; it goes on in the server. @param {Wanted} wanted */
export async function install(wanted) {
  try {
    await begin(wanted);
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

/** @param {string} name */
export const pin = (name) => change(() => post(`${V1}/updates/pin`, { name }));
/** @param {string} name */
export const unpin = (name) => change(() => post(`${V1}/updates/unpin`, { name }));
/** @param {string} name @param {string} version */
export const rollback = (name, version) =>
  change(async () => {
    const { words = [] } = await post(`${V1}/updates/rollback`, { name, version });
    toast([t("hub.rolled_back", { name, version: version === "local" ? t("hub.local") : version }), ...words].join(" "), { kind: "good" });
  });
/** @param {string} name @returns {Promise<Happening[]>} */
export const history = async (name) => (await get(`${V1}/updates/history?name=${encodeURIComponent(name)}`)).events;

/** @param {string} name */
export const removePack = (name) =>
  change(async () => {
    const { answers_now: model } = await del(`${V1}/packs/${name}`);
    if (model) toast(t("hub.pack_used", { name: model }));
  });
/** @param {string} name */
export async function evaluatePack(name) {
  try {
    lookAtUpdates([...updates.value.filter((one) => one.name !== name || isActive(one)), await post(`${V1}/packs/${name}/evaluate`)]);
  } catch (error) {
    complain(error);
  }
}
/** Answer with it where no model is named. @param {string} name */
export const usePack = (name) =>
  change(async () => {
    await patch(`${V1}/settings`, { "models.chat": name });
    toast(t("hub.pack_used", { name }), { kind: "good" });
  });
