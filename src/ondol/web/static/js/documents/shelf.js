// @ts-check
// What the Documents page shows: collections, followed folders, a page of files. It outlives the page,
// so that coming back shows at once what was there.

import { signal } from "../core/ui.js";
import { get } from "../core/api.js";
import { go } from "../core/router.js";
import { complain } from "../core/state.js";

/**
 * @typedef {"private" | "trusted" | "public"} Sensitivity
 * @typedef {{name: string, sensitivity: Sensitivity, documents: number, chunks: number, size_bytes: number, limited: number}} Collection
 * @typedef {{path: string, collection: string, sensitivity: Sensitivity, watch: boolean, documents: number, failed: number, is_missing: boolean, is_file: boolean}} Folder
 * @typedef {{source: string, title: string, media_type: string, size_bytes: number, modified_at: string, num_chunks: number, collection: string, added_at: string, language: string, status: "read" | "copy" | "empty" | "failed", reason: string, copy_of: string | null, container: string | null, limit: Sensitivity, sensitivity: Sensitivity, is_upload: boolean}} File
 */

export const PAGE = 100;

/** null: not known yet. @type {import("../../vendor/signals.js").Signal<Collection[] | null>} */
export const collections = signal(null);
/** @type {import("../../vendor/signals.js").Signal<Folder[]>} */
export const folders = signal([]);
/** @type {import("../../vendor/signals.js").Signal<{files: File[], total: number, counts: Record<string, number>, next: number | null} | null>} */
export const files = signal(null);
/** What the search box could not make sense of, in the server's words. */
export const wrong = signal("");

/** What is asked for. */
export const asked = signal({ collection: "", query: "", status: "", order: "source", descending: false });

/** The address of a collection's files. @param {string} name */
export const addressOf = (name) => (name ? `documents/${encodeURIComponent(name)}` : "documents");

/** Show the files of a collection from now on. @param {string} name */
export function show(name) {
  // At once: the old name may be nobody's any more.
  asked.value = { ...asked.value, collection: name };
  go(addressOf(name), { replace: true });
}

let latest = 0;

/** Fetch everything again; what cannot be fetched is said. */
export async function reload() {
  await Promise.all([reloadPlaces(), reloadFiles()]);
}

export async function reloadPlaces() {
  try {
    const [known, followed] = await Promise.all([get("/ondol/v1/collections"), get("/ondol/v1/folders")]);
    collections.value = known.collections;
    folders.value = followed.folders;
  } catch (error) {
    complain(error);
  }
}

/** @param {{more?: boolean}} [how] more: the next page, after what is shown */
export async function reloadFiles({ more = false } = {}) {
  const number = ++latest;
  const shown = files.value;
  const found = new URLSearchParams({ limit: String(PAGE), order: asked.value.order });
  if (asked.value.query) found.set("query", asked.value.query);
  if (asked.value.collection) found.set("in", asked.value.collection);
  if (asked.value.status) found.set("status", asked.value.status);
  if (asked.value.descending) found.set("descending", "true");
  if (more && shown?.next) found.set("offset", String(shown.next));
  try {
    const page = await get(`/ondol/v1/files?${found}`);
    if (number !== latest) return;
    wrong.value = "";
    files.value = {
      files: more && shown ? [...shown.files, ...page.files] : page.files,
      total: page.total,
      counts: page.counts,
      next: page.next_offset,
    };
  } catch (error) {
    if (number !== latest) return;
    const told = /** @type {any} */ (error);
    // A filter that is half typed is no reason for a shout.
    if (told.status === 422 || told.status === 404) wrong.value = [told.message, told.hint].filter(Boolean).join(" ");
    else complain(error);
  }
}

/** @param {Partial<typeof asked.value>} change */
export function ask(change) {
  asked.value = { ...asked.value, ...change };
  return reloadFiles();
}

/** How many files there are in all, whatever their status. */
export const countAll = () => Object.values(files.value?.counts ?? {}).reduce((sum, one) => sum + one, 0);

/** The last part of a path. @param {string} path */
export const nameOf = (path) => path.slice(path.replace(/\/$/, "").lastIndexOf("/") + 1) || path;

/** The folder that a path lies in. @param {string} path */
export const folderOf = (path) => path.slice(0, Math.max(0, path.lastIndexOf("/")));
