// @ts-check
// Sentences that no quote says get a dotted underline; others that cite nothing lead to their quote.
// Works on the words as they stand on the page: Markdown has eaten marks, so letters are compared.

import { html, useId, useLayoutEffect, useRef, useSignal } from "../core/ui.js";
import { number, t } from "../core/i18n.js";
import { Icon } from "../parts/index.js";
import { answerOf, bandOf, letters, slice } from "./reading.js";

/** @typedef {import("./reading.js").Told} Told */

const CITED = /\[\d+(?:\s*,\s*\d+)*\]/g;

/** @param {Told} told */
export function SupportMarks(told) {
  const answer = answerOf(told);
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const id = useId();
  const missed = useSignal(/** @type {string[]} */ ([]));
  const support = answer?.support ?? [];
  const without = support.filter((/** @type {any} */ one) => one.quote === null);
  useLayoutEffect(() => {
    const prose = place.current?.closest(".answer")?.querySelector(":scope > .prose");
    if (!prose || !support.length) return undefined;
    const drawn = mark(/** @type {HTMLElement} */ (prose), answer, id);
    if (drawn.missed.join() !== missed.value.join()) missed.value = drawn.missed;
    return drawn.undo;
  }, [answer]);
  if (!support.length) return null;
  const probability = answer.confidence?.probability ?? null;
  const isDoubtful = probability !== null && bandOf(probability) === "doubtful";
  // A document's own words prove themselves, and not that they answer anything.
  if (!answer.model && isDoubtful) return html`<div ref=${place} class="support-note"><${Icon} name="help" size=${16} /><p>${t("trust.nearest_only")}</p></div>`;
  if (!without.length) return html`<span ref=${place} class="hidden">${answer.model && !isDoubtful && t("trust.all_supported")}</span>`;
  return html`<div ref=${place} class="support-note" id=${id}>
    <${Icon} name="alert" size=${16} />
    <p>
      <span class="unsupported-sample" aria-hidden="true">${t("trust.sample")}</span>
      ${t(without.length === 1 ? "trust.unsupported_one" : "trust.unsupported", { count: number(without.length) })}
    </p>
    ${missed.value.length > 0 && html`<ul>${missed.value.map((text) => html`<li key=${text}>${text}</li>`)}</ul>`}
  </div>`;
}

/**
 * @param {HTMLElement} prose @param {any} answer @param {string} noteId what says what the line means
 * @returns {{missed: string[], undo: () => void}} sentences that were not found on the page
 */
function mark(prose, answer, noteId) {
  /** @type {Element[]} */
  const added = [];
  /** @type {string[]} */
  const missed = [];
  const page = index(prose);
  /** @type {{one: any, at: number, end: number}[]} */
  const found = [];
  let from = 0;
  for (const one of answer.support) {
    const sentence = slice(answer.answer, one.start, one.end);
    const cites = sentence.match(CITED);
    const wanted = letters(sentence.replace(CITED, " ")).letters;
    // In the order of the answer, so that what is said twice is found twice.
    const at = wanted ? page.letters.indexOf(wanted, from) : -1;
    if (at >= 0) from = at + wanted.length;
    if (one.quote !== null && cites) continue;
    if (at >= 0) found.push({ one, at, end: from });
    else if (one.quote === null) missed.push(sentence.trim());
  }
  // From the end: what is drawn into a text splits it, and keeps its beginning in place.
  for (const { one, at, end } of found.reverse()) {
    const ranges = cover(page.places.slice(at, end));
    if (one.quote === null) for (const range of ranges.reverse()) added.push(underline(range, noteId));
    else added.push(lead(ranges[ranges.length - 1], one.quote));
  }
  const undo = () => {
    for (const element of added) {
      if (element.tagName === "MARK") element.replaceWith(...element.childNodes);
      else element.remove();
    }
    prose.normalize();
  };
  return { missed, undo };
}

/** @typedef {{node: Text, at: number}} Place where a letter stands */

/** The letters of the page, one after another. @param {HTMLElement} prose */
function index(prose) {
  const walker = document.createTreeWalker(prose, NodeFilter.SHOW_TEXT, (node) =>
    node.parentElement?.closest("button, .code-head") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT,
  );
  let all = "";
  /** @type {Place[]} */
  const places = [];
  while (walker.nextNode()) {
    const node = /** @type {Text} */ (walker.currentNode);
    const found = letters(node.data);
    all += found.letters;
    for (const at of found.places) places.push({ node, at });
  }
  return { letters: all, places };
}

/** The pieces of text that hold these letters. @param {Place[]} places */
function cover(places) {
  /** @type {Map<Text, Range>} */
  const ranges = new Map();
  for (const { node, at: offset } of places) {
    let range = ranges.get(node);
    if (!range) {
      range = document.createRange();
      range.setStart(node, offset);
      ranges.set(node, range);
    }
    range.setEnd(node, offset + 1);
  }
  const found = [...ranges.values()];
  // The spaces between two pieces, of which one is bold, belong to the sentence.
  for (const range of found.slice(0, -1)) range.setEnd(range.endContainer, /** @type {Text} */ (range.endContainer).length);
  for (const range of found.slice(1)) range.setStart(range.startContainer, 0);
  return found;
}

/** @param {Range} range @param {string} noteId */
function underline(range, noteId) {
  const element = document.createElement("mark");
  element.className = "unsupported";
  element.title = t("trust.unsupported_why");
  element.setAttribute("aria-describedby", noteId);
  range.surroundContents(element);
  return element;
}

/** @param {Range} range @param {number} quote */
function lead(range, quote) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "cite";
  button.dataset.cite = String(quote);
  button.textContent = String(quote);
  button.setAttribute("aria-label", t("trust.open_quote", { number: quote }));
  range.collapse(false);
  range.insertNode(button);
  return button;
}
