// @ts-check
// The document that a quote is from, at that place: its text or the page of the PDF, the quotes before
// and after it, and everything else that matches.

import { html, useEffect, useSignal } from "../core/ui.js";
import { get } from "../core/api.js";
import { number, t } from "../core/i18n.js";
import { Button, Choice, Drawer, Icon, IconButton } from "../parts/index.js";
import { Matches } from "./matches.js";
import { Passage } from "./passage.js";
import { PageImage } from "./page_image.js";
import { folderOf, lengthOf, nameOf } from "./reading.js";
import { Sensitivity } from "./sensitivity.js";

/** @typedef {{source: string, start: number, end: number, text?: string, number?: number}} Place */

const CONTEXT = 4000;
const MORE_CONTEXT = 100_000;

/** @param {Place} place @param {number} context */
const viewPath = (place, context) =>
  `/ondol/v1/documents/view?${new URLSearchParams({
    source: place.source,
    start: String(place.start),
    end: String(place.end),
    context: String(context),
  })}`;

/**
 * @param {{quotes: import("./reading.js").Quote[], at: number, question?: string, onClose: () => void}} props
 */
export function EvidenceDrawer({ quotes, at, question = "", onClose }) {
  const index = useSignal(at);
  const isSearching = useSignal(false);
  const found = useSignal(/** @type {Place | null} */ (null)); // a match, in place of a quote
  const place = /** @type {Place} */ (found.value ?? quotes[index.value]);

  /** @param {number} step */
  const turn = (step) => {
    found.value = null;
    index.value = (index.value + step + quotes.length) % quotes.length;
  };
  useEffect(() => {
    /** @param {KeyboardEvent} event */
    const keys = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step || isSearching.value || event.altKey || event.ctrlKey || event.metaKey) return;
      if (/** @type {HTMLElement} */ (event.target).closest("input, .page-sheet.large")) return;
      event.preventDefault();
      turn(step);
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  const title = isSearching.value ? t("trust.all_matches") : nameOf(place.source);
  const footer = isSearching.value
    ? html`<${Button} icon="back" onClick=${() => {
        isSearching.value = false;
      }}>${t("trust.back")}<//>`
    : html`<${Turning} index=${found.value ? -1 : index.value} count=${quotes.length} turn=${turn} />
        <${Button} icon="search" onClick=${() => {
          isSearching.value = true;
        }}>${t("trust.show_matches")}<//>`;
  return html`<${Drawer} title=${title} onClose=${onClose} footer=${footer} beside class="evidence">
    <div class="evidence-frame">
      ${isSearching.value
        ? html`<${Matches}
            source=${quotes[index.value].source}
            query=${question}
            onOpen=${(/** @type {Place} */ match) => {
              found.value = match;
              isSearching.value = false;
            }}
          />`
        : html`<${Document} key=${`${place.source} ${place.start} ${place.end}`} place=${place} />`}
    </div>
  <//>`;
}

/** @param {{index: number, count: number, turn: (step: number) => void}} props */
function Turning({ index, count, turn }) {
  if (count < 2 && index >= 0) return null;
  const told = index < 0 ? t("trust.a_match") : t("trust.quote_of", { number: number(index + 1), count: number(count) });
  return html`<div class="evidence-turning">
    <${IconButton} icon="back" label=${t("trust.previous_quote")} onClick=${() => turn(-1)} />
    <span aria-live="polite">${told}</span>
    <${IconButton} icon="next" label=${t("trust.next_quote")} onClick=${() => turn(1)} />
  </div>`;
}

/** @param {{place: Place}} props */
function Document({ place }) {
  const view = useSignal(/** @type {any} */ (null));
  const failure = useSignal(/** @type {any} */ (null));
  const shown = useSignal("page");
  const context = useSignal(CONTEXT);
  const isMoved = useSignal(false);

  useEffect(() => {
    let current = true;
    read(place, context.value).then(
      (told) => {
        if (!current) return;
        view.value = told.view;
        isMoved.value = told.isGone;
      },
      (error) => {
        if (current) failure.value = error;
      },
    );
    return () => {
      current = false;
    };
  }, [context.value]);

  if (failure.value) {
    return html`<div class="notice bad" role="alert"><p>${failure.value.message} ${failure.value.hint}</p>
      ${place.text && html`<blockquote class="evidence-kept">${place.text}</blockquote>`}</div>`;
  }
  if (!view.value) return html`<p class="evidence-wait" role="status"><span class="spinner" aria-hidden="true"></span> ${t("trust.opening")}</p>`;
  const told = view.value;
  return html`<div class="evidence-about">
      <${Sensitivity} level=${told.sensitivity} withText />
      ${told.page !== null && html`<span>${t("trust.page_of", { page: number(told.page), pages: number(told.pages ?? told.page) })}</span>`}
      ${told.heading && html`<span class="evidence-heading">${told.heading}</span>`}
      <${Whereabouts} view=${told} />
    </div>
    ${told.file.message && html`<p class="notice warn" role="status">${told.file.message}</p>`}
    ${isMoved.value && html`<p class="notice warn" role="status">${t("trust.read_anew")}</p>`}
    ${told.has_pages &&
    html`<${Choice}
      label=${t("trust.show_as")}
      value=${shown.value}
      options=${[
        { value: "page", text: t("trust.as_page") },
        { value: "text", text: t("trust.as_text") },
      ]}
      onChange=${(/** @type {string} */ value) => {
        shown.value = value;
      }}
    />`}
    ${told.has_pages && shown.value === "page"
      ? html`<${PageImage} view=${told} />`
      : html`<${Passage}
          view=${told}
          onMore=${() => {
            context.value = MORE_CONTEXT;
          }}
        />`}`;
}

/** The folder, or that it was dropped into this chat. @param {{view: any}} props */
function Whereabouts({ view }) {
  const isDropped = view.collection.startsWith("conversation:");
  return html`<span class="evidence-folder" title=${isDropped ? undefined : view.source}>
    <${Icon} name=${isDropped ? "attach" : "folder"} size=${14} />${isDropped ? t("trust.of_this_chat") : folderOf(view.source)}
  </span>`;
}

/**
 * The document at a place. Where it was read anew since the answer, the sentence may stand elsewhere:
 * it is looked for around there.
 * @param {Place} place @param {number} context
 */
async function read(place, context) {
  const view = await get(viewPath(place, context));
  if (!place.text || view.passage.text === place.text) return { view, isGone: false };
  const around = view.before + view.passage.text + view.after;
  const at = around.indexOf(place.text);
  if (at < 0) return { view, isGone: true };
  const start = view.passage.start - lengthOf(view.before) + lengthOf(around.slice(0, at));
  const there = { ...place, start, end: start + lengthOf(place.text) };
  return { view: await get(viewPath(there, context)), isGone: false };
}
