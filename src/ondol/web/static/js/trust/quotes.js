// @ts-check
// The numbered quotes above an answer. A quote, or its number in the answer's text, opens the document
// at that place.

import { html, useEffect, useRef, useSignal } from "../core/ui.js";
import { number, t } from "../core/i18n.js";
import { Button } from "../parts/index.js";
import { EvidenceDrawer } from "./drawer.js";
import { Sensitivity } from "./sensitivity.js";
import { answerOf, isListing, nameOf, quotesOf } from "./reading.js";

/** @typedef {import("./reading.js").Told & {question?: string}} Props */

const SHOWN = 3;
const SHOWN_OF_A_LISTING = 12;

/** @param {Props} props */
export function Quotes({ question, ...told }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const open = useSignal(-1);
  const isWhole = useSignal(false);
  const quotes = quotesOf(told);
  const listing = isListing(told);
  const cited = new Set(answerOf(told)?.citations ?? []);

  useEffect(() => {
    const whole = place.current?.closest(".answer");
    if (!whole) return undefined;
    /** @param {Event} event */
    const cite = (event) => {
      const button = /** @type {HTMLElement} */ (event.target).closest?.("[data-cite]");
      if (!button || place.current?.contains(button)) return;
      const wanted = Number(/** @type {HTMLElement} */ (button).dataset.cite);
      const at = quotes.findIndex((one) => one.number === wanted);
      if (at >= 0) open.value = at;
    };
    whole.addEventListener("click", cite);
    return () => whole.removeEventListener("click", cite);
  }, [quotes]);

  if (!quotes.length) return null;
  const most = listing ? SHOWN_OF_A_LISTING : SHOWN;
  // What the answer cites is always there to be looked at.
  const shown = quotes.filter((one, index) => isWhole.value || index < most || cited.has(one.number));
  const left = quotes.length - shown.length;
  // Before there is an answer nobody knows which of them it will need.
  const canGrow = quotes.length > most && (listing || answerOf(told));
  return html`<div ref=${place} class="quotes" role="group" aria-label=${t("trust.quotes")}>
    ${listing && html`<p class="quotes-count">${t("trust.listing", { count: number(quotes.length) })}</p>`}
    <ol>
      ${shown.map(
        (quote) => html`<li key=${quote.number}>
          <${Card}
            quote=${quote}
            isCited=${cited.has(quote.number)}
            onOpen=${() => {
              open.value = quotes.indexOf(quote);
            }}
          />
        </li>`,
      )}
    </ol>
    ${(left > 0 || isWhole.value) &&
    canGrow &&
    html`<${Button} kind="quiet" small icon=${isWhole.value ? "up" : "down"} aria-expanded=${String(isWhole.value)} onClick=${() => {
      isWhole.value = !isWhole.value;
    }}>${isWhole.value ? t("trust.fewer_quotes") : t("trust.more_quotes", { count: number(left) })}<//>`}
    ${open.value >= 0 &&
    html`<${EvidenceDrawer} key=${open.value} quotes=${quotes} at=${open.value} question=${question} onClose=${() => {
      open.value = -1;
    }} />`}
  </div>`;
}

/** @param {{quote: import("./reading.js").Quote, isCited: boolean, onOpen: () => void}} props */
function Card({ quote, isCited, onOpen }) {
  return html`<button type="button" class=${`quote${isCited ? " cited" : ""}`} onClick=${onOpen}>
    <span class="quote-number" aria-hidden="true">${quote.number}</span>
    <span class="quote-body">
      <span class="hidden">${t("trust.quote", { number: quote.number })}</span>
      <span class="quote-text">${quote.text}</span>
      <span class="quote-place">
        <${Sensitivity} level=${quote.sensitivity} />
        <span class="quote-title" title=${quote.source}>${nameOf(quote.source)}</span>
        ${quote.page !== null && html`<span>${t("trust.page", { page: number(quote.page) })}</span>`}
        ${quote.also_in?.length > 0 && html`<span>${t("trust.also_in", { count: number(quote.also_in.length) })}</span>`}
      </span>
    </span>
  </button>`;
}
