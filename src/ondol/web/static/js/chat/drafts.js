// @ts-check
/**
 * What was typed and not sent. This browser keeps it at once; the server a moment later, so that it is
 * there on the next device too. What this browser has is newer.
 */
import { patch } from "../core/api.js";
import { recall, remember } from "../core/state.js";
import { forget } from "../core/storage.js";

const WAIT_MS = 700;
/** @type {ReturnType<typeof setTimeout>|undefined} */
let timer;
/** Whose draft the server is to be told. @type {string|null} */
let untold = null;

/** @param {string|null} id a conversation; null is the new chat */
const place = (id) => `chat.draft.${id ?? "new"}`;

/** @param {string|null} id @param {string} [atServer] @returns {string} */
export function draftOf(id, atServer = "") {
  return recall(place(id), atServer ?? "");
}

/** @param {string|null} id @param {string} text */
export function keepDraft(id, text) {
  remember(place(id), text || undefined);
  clearTimeout(timer);
  untold = id;
  if (id === null) return;
  timer = setTimeout(async () => {
    // Nobody is disturbed by a draft that could not be kept there: it is kept here.
    await patch(`/ondol/v1/conversations/${encodeURIComponent(id)}`, { draft: text }).catch(() => {});
  }, WAIT_MS);
}

/** What this browser keeps of a conversation: what was typed there, and its instructions. */
const KEPT = /^chat\.(?:draft|system)\.(?!new$)(.+)$/;

/** Of conversations that are gone this browser keeps nothing either. @param {(id: string) => boolean} isGone */
export function forgetGone(isGone) {
  if (untold !== null && isGone(untold)) clearTimeout(timer);
  forget((name) => {
    const id = KEPT.exec(name)?.[1];
    return id !== undefined && isGone(id);
  });
}

/** After it was sent: the server empties its own. @param {string|null} id */
export function dropDraft(id) {
  clearTimeout(timer);
  remember(place(id), undefined);
}
