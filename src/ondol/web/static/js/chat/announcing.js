// @ts-check
/**
 * What a screen reader hears of an answer: whole sentences, politely, as they are finished. Reading every
 * token aloud would be noise, reading only the end a long silence.
 */
import { signal } from "../core/ui.js";

/** What the live region holds: what is added to it is read, so that nothing said quickly is lost. */
export const announcements = signal(/** @type {{id: number, text: string}[]} */ ([]));
const KEPT = 4;
let last = 0;

const SENTENCE_END = /[.!?。！？…:]["'”’)\]]*\s|\n+/gu;

/** @param {string} text */
export function announce(text) {
  last += 1;
  announcements.value = [...announcements.value.slice(1 - KEPT), { id: last, text }];
}

/** The sentences of a text that grows, each once. */
export class Sentences {
  constructor() {
    this.said = 0;
  }

  /** @param {string} text the text so far @returns {string} what was finished since, "" for nothing */
  next(text) {
    if (text.length < this.said) this.said = 0;
    const rest = text.slice(this.said);
    let end = 0;
    for (const found of rest.matchAll(SENTENCE_END)) end = found.index + found[0].length;
    this.said += end;
    return plain(rest.slice(0, end));
  }

  /** @param {string} text the whole text @returns {string} what nobody has heard yet */
  rest(text) {
    const left = text.slice(this.said);
    this.said = text.length;
    return plain(left);
  }
}

/** Without the marks of Markdown, which would be read aloud. @param {string} text */
function plain(text) {
  return text.replace(/[*_`#>|]+/g, " ").replace(/\[(\d+)\]/g, "").replace(/\s+/g, " ").trim();
}
