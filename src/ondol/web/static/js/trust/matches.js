// @ts-check
// Every place that matches some words, in one document or in the whole library.

import { html, useEffect, useSignal } from "../core/ui.js";
import { get } from "../core/api.js";
import { number, t } from "../core/i18n.js";
import { Choice } from "../parts/index.js";
import { nameOf } from "./reading.js";

const WAIT_MS = 250;

/**
 * @param {{source: string, query: string, onOpen: (place: {source: string, start: number, end: number, text: string}) => void}} props
 */
export function Matches({ source, query: first, onOpen }) {
  const query = useSignal(first);
  const where = useSignal("here");
  const found = useSignal(/** @type {{matches: any[], total: number} | null} */ (null));
  const failure = useSignal(/** @type {any} */ (null));

  useEffect(() => {
    const words = query.value.trim();
    if (!words) {
      found.value = null;
      return undefined;
    }
    const stopping = new AbortController();
    const timer = setTimeout(() => {
      const asked = new URLSearchParams({ query: words, ...(where.value === "here" ? { source } : {}) });
      get(`/ondol/v1/documents/matches?${asked}`, stopping.signal).then(
        (told) => {
          found.value = told;
          failure.value = null;
        },
        (error) => {
          if (!stopping.signal.aborted) failure.value = error;
        },
      );
    }, found.value ? WAIT_MS : 0);
    return () => {
      clearTimeout(timer);
      stopping.abort();
    };
  }, [query.value, where.value]);

  return html`<div class="matches">
    <input
      type="search"
      autofocus
      aria-label=${t("trust.words")}
      placeholder=${t("trust.words")}
      value=${query.value}
      onInput=${(/** @type {any} */ event) => {
        query.value = event.currentTarget.value;
      }}
    />
    <${Choice}
      label=${t("trust.where")}
      value=${where.value}
      options=${[
        { value: "here", text: t("trust.this_document") },
        { value: "everywhere", text: t("trust.everywhere") },
      ]}
      onChange=${(/** @type {string} */ value) => {
        where.value = value;
      }}
    />
    <p class="matches-count" role="status">${told(found.value, failure.value)}</p>
    <ol>
      ${(found.value?.matches ?? []).map(
        (match) => html`<li key=${`${match.source} ${match.start}`}>
          <button type="button" class="match" onClick=${() => onOpen(match)}>
            <span class="match-text"><${Marked} match=${match} /></span>
            <span class="quote-place">
              <span class="quote-title" title=${match.source}>${nameOf(match.source)}</span>
              ${match.page !== null && html`<span>${t("trust.page", { page: number(match.page) })}</span>`}
              ${match.heading && html`<span>${match.heading}</span>`}
            </span>
          </button>
        </li>`,
      )}
    </ol>
  </div>`;
}

/** @param {{matches: any[], total: number} | null} found @param {any} failure */
function told(found, failure) {
  if (failure) return `${failure.message} ${failure.hint}`;
  if (!found) return t("trust.words_first");
  if (!found.total) return t("trust.no_match");
  const count = number(found.total);
  return found.matches.length < found.total
    ? t("trust.matches_first", { shown: number(found.matches.length), count })
    : t(found.total === 1 ? "trust.one_match" : "trust.matches", { count });
}

const BEFORE = 90;
const NEAR_THE_TOP = 240;

/**
 * Where to begin so that the rarest of the words is in sight; 0 where it is so from the top.
 * @param {[number, string][]} marks where each word is
 */
function beginning(marks) {
  /** @type {Map<string, number[]>} */
  const places = new Map();
  for (const [at, word] of marks) places.set(word.toLowerCase(), [...(places.get(word.toLowerCase()) ?? []), at]);
  const rarest = [...places.values()].sort((a, b) => a.length - b.length)[0] ?? [0];
  return rarest[0] > NEAR_THE_TOP ? rarest[0] - BEFORE : 0;
}

/** The passage, with the words that were asked for marked. @param {{match: any}} props */
function Marked({ match }) {
  // Offsets count characters, as the server does.
  const characters = /[\ud800-\udfff]/.test(match.text) ? [...match.text] : match.text;
  /** @param {number} a @param {number} [b] */
  const piece = (a, b) => (typeof characters === "string" ? characters.slice(a, b) : characters.slice(a, b).join(""));
  const parts = [];
  let at = beginning(match.marks.map((/** @type {number[]} */ [a, b]) => [a - match.start, piece(a - match.start, b - match.start)]));
  if (at) parts.push("… ");
  for (const [start, end] of match.marks) {
    if (start - match.start < at) continue;
    parts.push(piece(at, start - match.start), html`<mark>${piece(start - match.start, end - match.start)}</mark>`);
    at = end - match.start;
  }
  return html`${parts}${piece(at)}`;
}
