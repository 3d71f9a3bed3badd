// @ts-check
// A document's text with the passage marked and in sight.

import { html, useLayoutEffect, useRef } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { Button } from "../parts/index.js";

/** @param {{view: any, onMore: () => void}} props */
export function Passage({ view, onMore }) {
  const mark = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => {
    mark.current?.scrollIntoView({ block: "center" });
  }, [view]);
  const isCode = view.media_type.startsWith("text/x-") || view.media_type === "application/json";
  return html`<div class=${`passage${isCode ? " code-text" : ""}`} tabindex="0" role="region" aria-label=${t("trust.document_text")}>
    ${view.more_before && html`<${Button} kind="quiet" small icon="up" onClick=${onMore}>${t("trust.more_before")}<//>`}
    <p>${view.before}<mark ref=${mark}>${view.passage.text}</mark>${view.after}</p>
    ${view.more_after && html`<${Button} kind="quiet" small icon="down" onClick=${onMore}>${t("trust.more_after")}<//>`}
  </div>`;
}
