// @ts-check
// What had been learned from what was just erased, and what became of it: shown where something was.

import { html } from "../core/ui.js";
import { load, number, t } from "../core/i18n.js";
import { href } from "../core/router.js";
import { Button, Dialog } from "../parts/index.js";

// Asked for from other pages, which do not load it.
await load("receipt");

/** @typedef {{samples: number, sources: number, trainings: number, stale: string[], removed: string[], retrain: string[], engines: string[], federations: string[], not_reached: string[]}} Receipt */

/** @param {{title: string, of: "conversation" | "source", receipt: Receipt, onClose: () => void}} props `title` says what was erased */
export function Learned({ title, of, receipt, onClose }) {
  const { samples, trainings, stale, federations, not_reached: missed } = receipt;
  /** @type {[string, number][]} */
  const counts = [
    ["samples", samples],
    ["trainings", trainings],
  ];
  const footer = html`${stale.length > 0 && html`<a class="button" href=${href("personal")} onClick=${onClose}>${t("receipt.to_personal")}</a>`}
    <${Button} kind="primary" onClick=${onClose}>${t("receipt.done")}<//>`;
  return html`<${Dialog} title=${title} onClose=${onClose} footer=${footer}>
    <div class="stack">
      <p>${t(`receipt.about_${of}`)}</p>
      <dl class="facts">
        ${counts.filter(([, count]) => count).map(([name, count]) => html`<dt key=${name}>${t(`receipt.${name}`)}</dt><dd>${number(count)}</dd>`)}
        ${stale.length > 0 && html`<dt>${t("receipt.stale")}</dt><dd>${stale.join(", ")}</dd>`}
      </dl>
      ${stale.length > 0 && html`<p>${t("receipt.stale_about")}</p>`}
      ${federations.length > 0 && html`<p class="notice">${t("receipt.federations", { names: federations.join(", ") })}</p>`}
      ${missed.map((one) => html`<p key=${one} class="notice warn">${t(`receipt.missed_${one}`)}</p>`)}
    </div>
  <//>`;
}
