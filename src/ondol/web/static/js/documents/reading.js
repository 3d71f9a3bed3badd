// @ts-check
// Files on their way into the library: uploads, folders, syncs. They go on whatever page is shown, and
// say how far they are, how fast, and how long it will take.

import { signal } from "../core/ui.js";
import { ApiError, call, events, get } from "../core/api.js";
import { t } from "../core/i18n.js";
import { reload } from "./shelf.js";

const UPLOADS_AT_ONCE = 3;
// No limit is lower than this.
const SURELY_BYTES = 2 ** 20;

/**
 * @typedef {{name: string, reason: string}} Failure
 * @typedef {{id: number, kind: "upload" | "folder" | "sync", what: string, collection: string, state: "running" | "done" | "failed" | "stopped",
 *   completed: number, total: number, current: string, counts: Record<string, number>, failures: Failure[], missing: string[],
 *   error: string, began: number, now: number, stop: AbortController}} Reading
 */

/** @type {import("../../vendor/signals.js").Signal<Reading[]>} */
export const readings = signal([]);

let last = 0;

/** @param {Reading["kind"]} kind @param {string} what @param {string} collection @param {number} total */
function begin(kind, what, collection, total) {
  const now = performance.now();
  /** @type {Reading} */
  const reading = {
    id: ++last,
    kind,
    what,
    collection,
    state: "running",
    completed: 0,
    total,
    current: "",
    counts: {},
    failures: [],
    missing: [],
    error: "",
    began: now,
    now,
    stop: new AbortController(),
  };
  readings.value = [...readings.value, reading];
  return reading.id;
}

/** @param {number} id @param {(reading: Reading) => Partial<Reading>} change */
function update(id, change) {
  readings.value = readings.value.map((one) => (one.id === id ? { ...one, now: performance.now(), ...change(one) } : one));
}

/** @param {number} id */
const found = (id) => readings.value.find((one) => one.id === id);

/** @param {number} id */
export function dismiss(id) {
  readings.value = readings.value.filter((one) => one.id !== id);
}

/** Files a second, and the seconds that are left; 0 where nobody can say yet. @param {Reading} reading */
export function pace(reading) {
  const elapsed = (reading.now - reading.began) / 1000;
  const rate = elapsed > 0.5 ? reading.completed / elapsed : 0;
  return { rate, left: rate ? (reading.total - reading.completed) / rate : 0 };
}

/** @param {number} id @param {{source: string, outcome: string, reason: string}} one */
function note(id, { source, outcome, reason }) {
  update(id, (reading) => ({
    current: source,
    counts: { ...reading.counts, [outcome]: (reading.counts[outcome] ?? 0) + 1 },
    failures: outcome === "failed" ? [...reading.failures, { name: source, reason }] : reading.failures,
  }));
}

/** @param {any} error */
const words = (error) => (error.status === 0 ? t("shell.away") : [error.message, error.hint].filter(Boolean).join(" "));

/** @param {number} id @param {any} error */
function end(id, error) {
  const isStopped = found(id)?.stop.signal.aborted;
  update(id, () => ({
    state: isStopped ? "stopped" : error ? "failed" : "done",
    error: error && !isStopped ? words(error) : "",
    current: "",
  }));
  return reload();
}

/**
 * Send files to the library.
 * @param {{file: File, name: string}[]} chosen @param {string} collection
 */
export async function send(chosen, collection) {
  if (!chosen.length) return;
  const id = begin("upload", chosen.length === 1 ? chosen[0].name : "", collection, chosen.length);
  const most = await limitFor(chosen);
  const waiting = [...chosen];
  /** @type {any} */
  let fatal = null;
  const worker = async () => {
    while (waiting.length && !fatal && !found(id)?.stop.signal.aborted) {
      const { file, name } = /** @type {{file: File, name: string}} */ (waiting.shift());
      update(id, () => ({ current: name }));
      try {
        if (file.size > most.bytes) throw new ApiError({ status: 413, message: t("documents.too_large", { megabytes: most.megabytes }) });
        note(id, { ...(await one(file, name, collection, found(id)?.stop.signal)), source: name });
      } catch (error) {
        const told = /** @type {any} */ (error);
        // What is wrong with this file is said of it; what is wrong with the server ends it all.
        if (told instanceof ApiError && [413, 422].includes(told.status)) note(id, { source: name, outcome: "failed", reason: told.message });
        else fatal = told;
      }
      if (!fatal) update(id, (reading) => ({ completed: reading.completed + 1 }));
    }
  };
  await Promise.all(Array.from({ length: UPLOADS_AT_ONCE }, worker));
  await end(id, fatal);
}

/** What the server takes. Refused here, a large file is not sent in vain. @param {{file: File}[]} chosen */
async function limitFor(chosen) {
  const none = { megabytes: 0, bytes: Infinity };
  if (chosen.every(({ file }) => file.size <= SURELY_BYTES)) return none;
  try {
    const { settings } = await get("/ondol/v1/settings");
    const megabytes = Number(settings.find((/** @type {any} */ one) => one.name === "retrieval.max_file_mb")?.value);
    return megabytes ? { megabytes, bytes: megabytes * 2 ** 20 } : none;
  } catch {
    return none;
  }
}

/** @param {File} file @param {string} name @param {string} collection @param {AbortSignal} [signal] */
async function one(file, name, collection, signal) {
  const query = new URLSearchParams({ name });
  if (collection) query.set("collection", collection);
  if (file.lastModified) query.set("modified", String(file.lastModified));
  const response = await call("POST", `/ondol/v1/uploads?${query}`, { body: file, signal });
  return response.json();
}

/** Add a folder of the server's machine. @param {{path: string, collection?: string, watch: boolean}} folder */
export const addFolder = (folder) => follow("folder", folder.path, folder.collection ?? "", "/ondol/v1/folders", folder);

/** Bring the library up to what the disk has. @param {string[]} [paths] @param {boolean} [retry] */
export const sync = (paths = [], retry = false) => follow("sync", paths.length === 1 ? paths[0] : "", "", "/ondol/v1/sync", { paths, retry });

/** @param {Reading["kind"]} kind @param {string} what @param {string} collection @param {string} path @param {any} body */
async function follow(kind, what, collection, path, body) {
  const id = begin(kind, what, collection, 0);
  try {
    for await (const { event, data } of events(path, { method: "POST", body, signal: found(id)?.stop.signal })) {
      if (event === "progress") {
        note(id, data);
        update(id, () => ({ completed: data.completed, total: data.total }));
      } else if (event === "report") {
        const { added, updated, moved, removed, unchanged, failed, missing } = data;
        const counts = { added, updated, moved, removed, unchanged, failed: failed.length };
        const failures = failed.map((/** @type {any} */ one) => ({ name: one.source, reason: one.reason }));
        update(id, () => ({ counts, failures, missing }));
      }
    }
    await end(id, null);
  } catch (error) {
    await end(id, error);
  }
}

/** The files of a drop, those in dropped folders too, under their relative names. @param {DataTransfer} transfer */
export async function dropped(transfer) {
  // The entries have to be taken before anything is awaited: the drop is over then.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  const plain = [...transfer.files];
  if (!entries.some((entry) => entry?.isDirectory)) return plain.map((file) => ({ file, name: file.name }));
  /** @type {{file: File, name: string}[]} */
  const chosen = [];
  for (const entry of entries) if (entry) await gather(entry, "", chosen);
  return chosen;
}

/** @param {any} entry @param {string} above @param {{file: File, name: string}[]} chosen */
async function gather(entry, above, chosen) {
  if (entry.name.startsWith(".")) return;
  const name = above + entry.name;
  if (entry.isFile) {
    chosen.push({ file: await new Promise((done, fail) => entry.file(done, fail)), name });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    /** @type {any[]} */
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return;
    for (const inner of some) await gather(inner, `${name}/`, chosen);
  }
}
