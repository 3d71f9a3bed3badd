// @ts-check
// What an answer and the events of its run say, read once for all of js/trust. Knows no page.

/**
 * @typedef {{number: number, text: string, source: string, start: number, end: number, page: number | null,
 *   score: number, also_in: string[], sensitivity: string}} Quote
 * @typedef {{event: string, data: any}} RunEvent
 * @typedef {{answer?: any, events?: RunEvent[] | null}} Told
 */

/** The latest event of that name. @param {RunEvent[] | null | undefined} events @param {string} name */
const last = (events, name) => events?.findLast((one) => one.event === name)?.data ?? null;

/** The answer, as soon as there is one. @param {Told} told */
export const answerOf = ({ answer, events }) => answer ?? last(events, "answer");

/** @param {Told} told @returns {Quote[]} */
export const quotesOf = (told) => answerOf(told)?.quotes ?? last(told.events, "evidence")?.quotes ?? [];

/** @param {Told} told */
export const isListing = (told) =>
  answerOf(told)?.reasons?.includes("listing") ?? Boolean(last(told.events, "evidence")?.is_listing);

/** That home is being asked: `{draft, home, reasons}`. @param {Told} told */
export const escalationOf = (told) => last(told.events, "escalation");

/** The device's own answer where home was asked after it. @param {Told} told */
export const draftOf = (told) => answerOf(told)?.draft ?? escalationOf(told)?.draft ?? null;

/** The last part of a path. @param {string} source */
export const nameOf = (source) => source.split("/").filter(Boolean).pop() ?? source;

/** Where it lies: the folder, shortened. @param {string} source */
export function folderOf(source) {
  const parts = source.split("/").filter(Boolean).slice(0, -1);
  return parts.length > 2 ? `…/${parts.slice(-2).join("/")}` : parts.join("/");
}

/**
 * A piece of a text by offsets in characters, as the server counts them: one beyond the first plane is
 * one there, and two in JavaScript.
 * @param {string} text @param {number} start @param {number} end
 */
export function slice(text, start, end) {
  if (!/[\ud800-\udfff]/.test(text)) return text.slice(start, end);
  return [...text].slice(start, end).join("");
}

/** How many characters a text has, as the server counts. @param {string} text */
export const lengthOf = (text) => (/[\ud800-\udfff]/.test(text) ? [...text].length : text.length);

/** Letters and digits alone, and where each stands. @param {string} text */
export function letters(text) {
  let found = "";
  /** @type {number[]} */
  const places = [];
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at].toLowerCase();
    if (letter.length === 1 && /[\p{L}\p{N}]/u.test(letter)) {
      found += letter;
      places.push(at);
    }
  }
  return { letters: found, places };
}

/** From which percentage on a probability is called what; the command line says the same. */
const BANDS = /** @type {const} */ ([
  [85, "very_likely"],
  [65, "likely"],
  [40, "open"],
  [0, "doubtful"],
]);

/** @param {number} probability */
export const bandOf = (probability) => {
  const percent = Math.round(probability * 100);
  return (BANDS.find(([least]) => percent >= least) ?? BANDS[3])[1];
};

/** Codes that say how far a prompt may travel, not who was to answer. */
const OF_LABELS = new Set([
  "unlabelled", "declared", "setting", "document", "attachment", "memory", "adapter", "history", "unknown_history",
  "matches_private_text", "personal_data",
]);

/** @param {string} code */
export const isOfLabel = (code) => OF_LABELS.has(code.split(":")[0]);
