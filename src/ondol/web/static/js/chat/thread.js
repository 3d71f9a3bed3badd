// @ts-check
/**
 * The conversation that is open: its messages, the branch that is shown, the answer that is being given,
 * and what the person can do with them. Knows the HTTP API and nothing of the page.
 */
import { del, get, patch, post, put } from "../core/api.js";
import { t } from "../core/i18n.js";
import { complain, recall, remember } from "../core/state.js";
import { batch, computed, signal } from "../core/ui.js";
import { announce, Sentences } from "./announcing.js";
import { Answering } from "./answering.js";
import { follow } from "./following.js";
import { branch, stepTo } from "./tree.js";

/**
 * @typedef {import("./tree.js").Message} Message
 * @typedef {{model: string, mode: "documents"|"chat", filter: any, wanted: string, system: string, persona: string}} Choices
 */

const PATH = "/ondol/v1/conversations";
/** @type {Choices} */
const USUAL = { model: "", mode: "documents", filter: {}, wanted: "auto", system: "", persona: "" };

/** The open conversation; null before the first message of a new chat. */
export const conversation = signal(/** @type {any} */ (null));
export const messages = signal(/** @type {Message[]} */ ([]));
/** What a new chat begins with; an old one has its own. */
const usual = signal(/** @type {Choices} */ ({ ...USUAL, ...recall("chat.choices", {}) }));
export const opening = signal(false);
export const sending = signal(false);
/** Answers that are being given, by message. */
export const answering = signal(/** @type {Map<string, Answering>} */ (new Map()));
/** Counts up whenever the list of conversations may have changed. */
export const changed = signal(0);

export const shown = computed(() => branch(messages.value, conversation.value?.leaf));
export const running = computed(() => shown.value.find((one) => one.status === "running") ?? null);
export const choices = computed(() => {
  const { model, mode, filter, wanted, persona } = { ...usual.value, ...conversation.value };
  return /** @type {Choices} */ ({ model, mode, filter, wanted, persona, system: usual.value.system });
});

/** Instructions are this browser's: the server is told them with each question. @param {string} id */
const systemOf = (id) => `chat.system.${id}`;
/** How much of a continued answer was there before. @param {string} message */
const continuedOf = (message) => `chat.continued.${message}`;

/** @type {(() => void)[]} */
let listeners = [];
/** What is said while a conversation is being opened is said in it. */
let turns = 0;
/** @type {Promise<any>|null} */
let making = null;
let opened = Promise.resolve(true);

function stopListening() {
  for (const close of listeners) close();
  listeners = [];
  answering.value = new Map();
}

/** Show a new chat. */
export function begin() {
  stopListening();
  turns += 1;
  batch(() => {
    conversation.value = null;
    messages.value = [];
    usual.value = { ...usual.value, system: "", persona: "" };
  });
}

/** @param {string} id @returns {Promise<boolean>} false where there is no such conversation */
export async function open(id) {
  if (conversation.value?.id === id) return true;
  begin();
  opening.value = true;
  opened = reread(id);
  try {
    return await opened;
  } finally {
    opening.value = false;
  }
}

/** @param {string} id */
async function reread(id) {
  const turn = ++turns;
  try {
    const told = await get(`${PATH}/${encodeURIComponent(id)}`);
    // Another one was opened meanwhile.
    if (turn !== turns) return true;
    batch(() => {
      conversation.value = told.conversation;
      messages.value = told.messages;
      usual.value = { ...usual.value, system: recall(systemOf(id), "") };
    });
    const run = told.conversation.running;
    const message = told.messages.findLast((/** @type {Message} */ one) => one.status === "running");
    if (run && message) listen(run, message);
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

/** @returns {Promise<any>} the open conversation, made now if need be */
export async function ensure() {
  await opened;
  if (conversation.value) return conversation.value;
  making ??= make().finally(() => { making = null; });
  return making;
}

async function make() {
  const { system, ...begun } = choices.value;
  conversation.value = await post(PATH, begun);
  remember(systemOf(conversation.value.id), system || undefined);
  changed.value += 1;
  return conversation.value;
}

/**
 * Change what the conversation is answered with, or how it is kept.
 * @param {Record<string, any>} fields
 */
export async function change(fields) {
  const kept = Object.fromEntries(Object.entries(fields).filter(([name]) => name in USUAL));
  if (Object.keys(kept).length) {
    usual.value = { ...usual.value, ...kept };
    // Only what fits any chat: the collections and instructions of one are not those of the next.
    remember("chat.choices", { model: usual.value.model, wanted: usual.value.wanted });
  }
  if (!conversation.value) return;
  const { system, ...told } = fields;
  if (system !== undefined) remember(systemOf(conversation.value.id), system || undefined);
  if (!Object.keys(told).length) return;
  conversation.value = { ...conversation.value, ...told };
  try {
    await patch(`${PATH}/${conversation.value.id}`, told);
    changed.value += 1;
  } catch (error) {
    complain(error);
  }
}

/**
 * @param {Record<string, any>} what `content`, or one of `regenerate`, `edit`, `continue`
 * @returns {Promise<boolean>} whether the server took it
 */
export async function start(what) {
  if (sending.value) return false;
  sending.value = true;
  try {
    const { id } = await ensure();
    const leaf = shown.value.at(-1)?.id;
    const asked = "content" in what && !what.edit ? { parent: leaf ?? null, ...what } : what;
    const { system } = choices.value;
    const told = await post(`${PATH}/${id}/runs`, system ? { ...asked, options: { system } } : asked);
    if (what.continue) remember(continuedOf(what.continue), told.message.content.length);
    take(told);
    changed.value += 1;
    return true;
  } catch (error) {
    complain(/** @type {any} */ (error).status === 0 ? new Error(t("chat.not_sent")) : error);
    return false;
  } finally {
    sending.value = false;
  }
}

/** @param {{run: string, user: Message|null, message: Message}} told */
function take({ run, user, message }) {
  batch(() => {
    keep(...[user, message].filter((one) => one !== null));
    conversation.value = { ...conversation.value, leaf: message.id, running: run, draft: "" };
  });
  listen(run, message);
}

/** @param {...Message} news */
function keep(...news) {
  const known = new Map(messages.value.map((one) => [one.id, one]));
  for (const one of news) known.set(one.id, one);
  messages.value = [...known.values()];
}

/** @param {string} run @param {Message} message */
function listen(run, message) {
  const answer = new Answering(run, message.content, recall(continuedOf(message.id), 0));
  const sentences = new Sentences();
  answering.value = new Map(answering.value).set(message.id, answer);
  announce(t("chat.answering"));
  answer.shown = (text) => {
    const said = sentences.next(text);
    if (said) announce(said);
  };
  const id = conversation.value.id;
  listeners.push(follow(run, {
    heard(event) {
      if (event.event !== "end") return answer.hear(event);
      answer.show();
      const kept = event.data.message ?? { ...message, content: answer.words, status: "stopped" };
      finish(kept);
      announce(sentences.rest(kept.content) || t("chat.answered"));
    },
    gone: () => settle(id, message.id),
    lost: (lost) => {
      if (answer.lost.value !== lost) answer.lost.value = lost;
    },
  }));
}

/** @param {Message} message as the server keeps it */
function finish(message) {
  const left = new Map(answering.value);
  left.delete(message.id);
  remember(continuedOf(message.id), undefined);
  batch(() => {
    keep(message);
    answering.value = left;
    conversation.value = { ...conversation.value, running: null };
    changed.value += 1;
  });
}

/** A run that failed says so in its message, a moment later at most. @param {string} id @param {string} message */
async function settle(id, message, tries = 4) {
  const told = await get(`${PATH}/${id}`).catch(() => null);
  if (conversation.value?.id !== id) return;
  const found = told?.messages.find((/** @type {Message} */ one) => one.id === message);
  if (found && found.status !== "running") {
    finish(found);
    if (found.error) announce(found.error.message ?? "");
  } else if (tries > 0) {
    setTimeout(() => settle(id, message, tries - 1), 500);
  }
}

/** Stop the answer that is being given; what was said is kept. */
export async function stop() {
  const run = conversation.value?.running;
  if (!run) return;
  await del(`/ondol/v1/runs/${encodeURIComponent(run)}`).catch(complain);
}

/** Show the version of a message before or after this one. @param {Message} message @param {number} step */
export function step(message, step) {
  const leaf = stepTo(messages.value, message, step);
  if (leaf) change({ leaf });
}

/**
 * Keep what the person thinks of an answer; null takes it back.
 * @param {Message} message
 * @param {{right: boolean|null, reasons: string[], edited: string|null}|null} feedback
 */
export async function judge(message, feedback) {
  const path = `/ondol/v1/messages/${message.id}/feedback`;
  try {
    const told = feedback ? await put(path, feedback) : await del(path);
    const kept = feedback ? { at: new Date().toISOString(), ...feedback, ...told?.feedback } : null;
    keep({ ...(messages.value.find((one) => one.id === message.id) ?? message), feedback: kept });
  } catch (error) {
    complain(error);
  }
}
