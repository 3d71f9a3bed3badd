// @ts-check
/** Files of this chat only: sending them, what became of each, and taking them away. */
import { del, get, upload } from "../core/api.js";
import { complain } from "../core/state.js";
import { computed, signal } from "../core/ui.js";
import { changed, conversation, ensure } from "./thread.js";

/** @typedef {{name: string, size_bytes: number, status: string, reason: string|null}} Attachment */

/** Files that are on their way or did not arrive; the conversation has the others. */
const underway = signal(/** @type {(Attachment & {conversation: string|null})[]} */ ([]));

export const attachments = computed(() => {
  const id = conversation.value?.id ?? null;
  const kept = /** @type {Attachment[]} */ (conversation.value?.attachments ?? []);
  const names = new Set(kept.map((one) => one.name));
  const coming = underway.value.filter((one) => one.conversation === id && !names.has(one.name));
  return [...kept, ...coming];
});

/** @param {string} id */
const path = (id) => `/ondol/v1/conversations/${encodeURIComponent(id)}/attachments`;

/** @param {Iterable<File>} files */
export async function attach(files) {
  let id;
  try {
    ({ id } = await ensure());
  } catch (error) {
    complain(error);
    return;
  }
  await Promise.all([...files].map((file) => send(id, file)));
  changed.value += 1;
}

/** @param {string} id @param {File} file */
async function send(id, file) {
  // What is pasted has a name that says nothing, and always the same.
  const name = file.name === "image.png" ? `image-${Date.now()}.png` : file.name;
  const coming = { conversation: id, name, size_bytes: file.size, status: "uploading", reason: null };
  underway.value = [...underway.value.filter((one) => one.name !== name), coming];
  try {
    const told = await upload(`${path(id)}?name=${encodeURIComponent(name)}`, file);
    underway.value = underway.value.filter((one) => one !== coming);
    take(id, told.attachment ?? told);
  } catch (error) {
    const failed = { ...coming, status: "failed", reason: /** @type {any} */ (error).message };
    underway.value = underway.value.map((one) => (one === coming ? failed : one));
  }
}

/** @param {string} id @param {Attachment} told */
function take(id, told) {
  if (conversation.value?.id !== id) return;
  const others = (conversation.value.attachments ?? []).filter((/** @type {Attachment} */ one) => one.name !== told.name);
  conversation.value = { ...conversation.value, attachments: [...others, told] };
  if (isBeingRead(told)) setTimeout(() => look(id), 700);
}

/** @param {Attachment} attachment */
export function isBeingRead(attachment) {
  return ["uploading", "reading", "pending", "running"].includes(attachment.status);
}

/** Ask what became of files that were still being read. @param {string} id */
async function look(id) {
  if (conversation.value?.id !== id) return;
  const told = await get(`/ondol/v1/conversations/${encodeURIComponent(id)}`).catch(() => null);
  if (!told || conversation.value?.id !== id) return;
  conversation.value = { ...conversation.value, attachments: told.conversation.attachments };
  if (told.conversation.attachments.some(isBeingRead)) setTimeout(() => look(id), 1000);
}

/** @param {Attachment} attachment */
export async function detach(attachment) {
  const id = conversation.value?.id;
  if (underway.value.some((one) => one === attachment)) {
    underway.value = underway.value.filter((one) => one !== attachment);
    return;
  }
  try {
    await del(`${path(id)}/${encodeURIComponent(attachment.name)}`);
    const left = conversation.value.attachments.filter((/** @type {Attachment} */ one) => one.name !== attachment.name);
    conversation.value = { ...conversation.value, attachments: left };
  } catch (error) {
    complain(error);
  }
}
