// @ts-check
/** The conversations there are: searched, paged, in folders and by day; and what can be done to one. */
import { blob, del, get, patch } from "../core/api.js";
import { t } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { batch, computed, signal } from "../core/ui.js";
import { forgetGone } from "./drafts.js";
import { conversation } from "./thread.js";

/** @typedef {{id: string, title: string, folder: string, pinned: boolean, updated_at: string, running: string|null}} Entry */

const PAGE = 60;
const DAY_MS = 86_400_000;

export const entries = signal(/** @type {Entry[]} */ ([]));
export const query = signal("");
export const next = signal(/** @type {string|null} */ (null));
export const loaded = signal(false);
export const folders = computed(() => [...new Set(entries.value.map((one) => one.folder).filter(Boolean))].sort());

let latest = 0;

/** Read the list anew, as much of it as is shown. */
export async function relist() {
  const turn = ++latest;
  const limit = Math.max(PAGE, Math.min(entries.value.length, 200));
  try {
    const told = await get(address({ limit }));
    if (turn !== latest) return;
    batch(() => {
      entries.value = told.conversations;
      next.value = told.next ?? null;
      loaded.value = true;
      takeTitle();
    });
    tidy();
  } catch (error) {
    if (turn === latest) complain(error);
  }
}

/** What another device erased is gone from here too, as soon as all that is left is known. */
function tidy() {
  if (query.value || next.value) return;
  const known = new Set([...entries.value.map((one) => one.id), conversation.peek()?.id]);
  forgetGone((id) => !known.has(id));
}

/** The first question gives a conversation its title, in the server. */
function takeTitle() {
  const open = conversation.peek();
  const found = entries.value.find((one) => one.id === open?.id);
  if (found && found.title !== open.title) conversation.value = { ...open, title: found.title };
}

export async function more() {
  const before = next.value;
  if (!before) return;
  next.value = null;
  const told = await get(address({ limit: PAGE, before })).catch(complain);
  if (!told) return;
  const known = new Set(entries.value.map((one) => one.id));
  entries.value = [...entries.value, ...told.conversations.filter((/** @type {Entry} */ one) => !known.has(one.id))];
  next.value = told.next ?? null;
}

/** @param {{limit: number, before?: string}} page */
function address({ limit, before }) {
  const values = new URLSearchParams({ limit: String(limit) });
  if (query.value.trim()) values.set("query", query.value.trim());
  if (before) values.set("before", before);
  return `/ondol/v1/conversations?${values}`;
}

/**
 * The list under headings: pinned ones, folders, then days. What is searched for is not divided.
 * @param {Entry[]} list the newest first
 * @returns {{key: string, title: string, folder: boolean, entries: Entry[]}[]}
 */
export function grouped(list) {
  /** @type {Map<string, {key: string, title: string, folder: boolean, entries: Entry[]}>} */
  const groups = new Map();
  const add = (/** @type {string} */ key, /** @type {string} */ title, /** @type {boolean} */ folder, /** @type {Entry} */ one) => {
    if (!groups.has(key)) groups.set(key, { key, title, folder, entries: [] });
    groups.get(key)?.entries.push(one);
  };
  for (const one of list.filter((entry) => entry.pinned)) add("pinned", t("chat.pinned"), false, one);
  const unpinned = list.filter((entry) => !entry.pinned);
  const inFolders = unpinned.filter((entry) => entry.folder);
  inFolders.sort((a, b) => String(a.folder).localeCompare(String(b.folder)));
  for (const one of inFolders) add(`folder:${one.folder}`, String(one.folder), true, one);
  for (const one of unpinned.filter((entry) => !entry.folder)) {
    const day = dayOf(one.updated_at);
    add(day, t(`chat.day_${day}`), false, one);
  }
  return [...groups.values()];
}

/** @param {string} time */
function dayOf(time) {
  const today = new Date();
  today.setHours(0, 0, 0, 0);
  const days = (today.getTime() - new Date(time).getTime()) / DAY_MS;
  if (days <= 0) return "today";
  if (days <= 1) return "yesterday";
  if (days <= 7) return "week";
  return days <= 30 ? "month" : "older";
}

/** @param {string} id */
const path = (id) => `/ondol/v1/conversations/${encodeURIComponent(id)}`;

/** @param {string} id @param {Record<string, any>} fields `title`, `folder`, `pinned` */
export async function alter(id, fields) {
  try {
    await patch(path(id), fields);
    if (conversation.value?.id === id) conversation.value = { ...conversation.value, ...fields };
    await relist();
  } catch (error) {
    complain(error);
  }
}

/** @param {string} id @returns {Promise<{learned?: import("../personal/receipt.js").Receipt} | null>} what the server says of it; null: it is still there */
export async function erase(id) {
  try {
    const told = await del(path(id));
    forgetGone((one) => one === id);
    await relist();
    return told;
  } catch (error) {
    complain(error);
    return null;
  }
}

/** Save a conversation as a file. @param {{id: string, title: string}} entry @param {string} format "md" or "json" */
export async function download(entry, format) {
  try {
    const file = await blob(`${path(entry.id)}/export?format=${format}`);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = `${(entry.title || t("chat.untitled")).replace(/[\\/:*?"<>|]+/g, "-").slice(0, 80)}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } catch (error) {
    complain(error);
  }
}
