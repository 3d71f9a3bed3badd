// @ts-check
// The page of a PDF as the server has drawn it, the passage marked and in sight; other pages beside it.

import { html, useEffect, useRef, useSignal } from "../core/ui.js";
import { blob } from "../core/api.js";
import { number, t } from "../core/i18n.js";
import { Button, IconButton } from "../parts/index.js";

const WIDTH = 1100;
const LARGE = 2000;

/** @param {{view: any}} props */
export function PageImage({ view }) {
  const page = useSignal(view.page);
  const address = useSignal("");
  const failure = useSignal(/** @type {any} */ (null));
  const isLarge = useSignal(false);
  const image = useRef(/** @type {HTMLImageElement | null} */ (null));
  const { start, end } = view.passage;

  useEffect(() => {
    let made = "";
    let current = true;
    failure.value = null;
    const query = new URLSearchParams({
      source: view.source,
      start: String(start),
      end: String(end),
      page: String(page.value),
      width: String(isLarge.value ? LARGE : WIDTH),
    });
    blob(`/ondol/v1/documents/page?${query}`).then(
      (bytes) => {
        if (!current) return;
        made = URL.createObjectURL(bytes);
        address.value = made;
      },
      (error) => {
        if (current) failure.value = error;
      },
    );
    return () => {
      current = false;
      if (made) URL.revokeObjectURL(made);
    };
  }, [page.value, isLarge.value]);

  const show = () => {
    const top = page.value === view.page ? (view.highlight[0]?.top ?? 0) : 0;
    const holder = image.current?.closest(".dialog-body");
    if (!holder || !image.current || !top) return;
    const box = image.current.getBoundingClientRect();
    holder.scrollTop += box.top + top * box.height - holder.getBoundingClientRect().top - holder.clientHeight / 3;
  };

  const here = page.value === view.page && view.highlight.length;
  return html`<div class="page-image">
    <div class="page-turning">
      <${IconButton} icon="back" label=${t("trust.previous_page")} disabled=${page.value <= 1} onClick=${() => {
        page.value -= 1;
      }} />
      <span aria-live="polite">${t("trust.page_of", { page: number(page.value), pages: number(view.pages) })}</span>
      <${IconButton} icon="next" label=${t("trust.next_page")} disabled=${page.value >= view.pages} onClick=${() => {
        page.value += 1;
      }} />
      ${page.value !== view.page &&
      html`<${Button} small kind="quiet" onClick=${() => {
        page.value = view.page;
      }}>${t("trust.to_passage")}<//>`}
      <${IconButton} icon="open" class="page-larger" label=${t(isLarge.value ? "trust.smaller" : "trust.larger")} pressed=${isLarge.value} onClick=${() => {
        isLarge.value = !isLarge.value;
      }} />
    </div>
    ${failure.value && html`<p class="notice bad" role="alert">${failure.value.message} ${failure.value.hint}</p>`}
    ${address.value
      ? html`<div class=${`page-sheet${isLarge.value ? " large" : ""}`} tabindex="0" role="region" aria-label=${t("trust.page", { page: number(page.value) })}>
          <img ref=${image} src=${address.value} onLoad=${show} alt=${t(here ? "trust.page_alt_marked" : "trust.page_alt", {
            page: number(page.value),
            text: view.passage.text,
          })} />
        </div>`
      : !failure.value && html`<div class="page-sheet waiting" role="status">${t("trust.drawing")}</div>`}
  </div>`;
}
