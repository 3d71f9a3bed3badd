// @ts-check
/** What a chat can be answered with: the models and adapters, the collections and documents there are. */
import { get } from "../core/api.js";
import { t } from "../core/i18n.js";
import { toast } from "../core/state.js";
import { signal } from "../core/ui.js";
import { change, choices } from "./thread.js";

/** @typedef {{name: string, about: string, loaded: boolean, isAdapter: boolean}} Offer */

export const models = signal(/** @type {Offer[]} */ ([]));
export const collections = signal(/** @type {any[]} */ ([]));
export const documents = signal(/** @type {any[]|null} */ (null));

/** @param {string} path @param {any} otherwise @returns {Promise<any>} */
async function ask(path, otherwise) {
  return get(`/ondol/v1/${path}`).catch(() => otherwise);
}

/** Read what there is; a picker asks anew whenever it is opened. */
export async function lookAround() {
  const [installed, adapters, loaded, known] = await Promise.all([
    ask("models", { models: [] }), ask("adapters", { adapters: [] }), ask("loaded", {}),
    ask("collections", { collections: [] }),
  ]);
  const warm = new Set((loaded.models ?? loaded.loaded ?? []).map((/** @type {any} */ one) => one.name ?? one.model));
  const able = installed.models.filter((/** @type {any} */ one) => one.kind === "chat" || one.capabilities?.includes("completion"));
  models.value = able.flatMap((/** @type {any} */ one) => [
    { name: one.name, about: [one.parameters, one.quantization].filter(Boolean).join(" · "), loaded: warm.has(one.name), isAdapter: false },
    ...adapters.adapters
      .filter((/** @type {any} */ other) => other.model === one.name && !other.stale && !other.adapter.endsWith("-candidate"))
      .map((/** @type {any} */ other) => ({
        name: other.name, about: other.description || t("chat.model_adapter", { name: other.adapter }), loaded: false, isAdapter: true,
      })),
  ]);
  collections.value = known.collections;
}

export async function lookAtDocuments() {
  documents.value = (await ask("documents", { documents: [] })).documents;
}

/** The collections that count, [] for all. */
export function chosenCollections() {
  const named = choices.value.filter?.in ?? [];
  return /** @type {string[]} */ (Array.isArray(named) ? named : [named]);
}

/** @param {string[]} names [] asks all documents */
export function chooseCollections(names) {
  const { in: _, ...others } = choices.value.filter ?? {};
  return change({ mode: "documents", filter: names.length ? { ...others, in: names } : others });
}

export function chooseNoDocuments() {
  return change({ mode: "chat" });
}

/** What the app calls a collection. @param {string} name */
export const collectionLabel = (name) => (name === "default" ? t("chat.documents_default") : name);

/** What stands on the button. */
export function documentsLabel() {
  if (choices.value.mode === "chat") return t("chat.documents_none");
  const names = chosenCollections();
  if (!names.length) return t("chat.documents_all");
  return names.length === 1 ? collectionLabel(names[0]) : t("chat.documents_some", { count: names.length });
}

/** `/docs`: "all", "none" or names with commas between. @param {string} text */
export async function nameDocuments(text) {
  await lookAround();
  const names = text.split(",").map((one) => one.trim()).filter(Boolean)
    .map((one) => (one === collectionLabel("default") ? "default" : one));
  const unknown = names.find((one) => !collections.value.some(({ name }) => name === one));
  if (/^(none|없음)$/i.test(text)) {
    await chooseNoDocuments();
    return toast(t("chat.empty_chat_text"));
  }
  if (/^(all|모두|전체)$/i.test(text)) await chooseCollections([]);
  else if (unknown) return toast(t("chat.documents_unknown", { name: unknown }), { kind: "bad" });
  else await chooseCollections(names);
  return toast(t("chat.documents_chosen", { name: documentsLabel() }));
}

/** `/model NAME`. @param {string} text */
export async function nameModel(text) {
  await lookAround();
  const found = models.value.find(({ name }) => name === text) ?? models.value.find(({ name }) => name.startsWith(text));
  if (!found) return toast(t("chat.model_unknown", { name: text }), { kind: "bad" });
  await change({ model: found.name });
  return toast(t("chat.model_chosen", { name: found.name }));
}
