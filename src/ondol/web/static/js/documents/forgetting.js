// @ts-check
// Forgetting: first what would go, then the receipt of what went, to keep.

import { html, useEffect, useSignal } from "../core/ui.js";
import { bytes, moment, number, t } from "../core/i18n.js";
import { del } from "../core/api.js";
import { complain } from "../core/state.js";
import { Button, Copy, Dialog, Icon } from "../parts/index.js";
import { asked, nameOf, reload, show } from "./shelf.js";

const SHOWN = 8;

/** @typedef {{paths?: string[], filter?: Record<string, any>, name: string}} Chosen */

/** @param {{chosen: Chosen, onClose: () => void}} props */
export function Forgetting({ chosen, onClose }) {
  const found = useSignal(/** @type {{documents: number, sources: string[], collections: string[]} | null} */ (null));
  const receipt = useSignal(/** @type {any} */ (null));
  const isBusy = useSignal(false);
  const { name, ...what } = chosen;
  useEffect(() => {
    del("/ondol/v1/documents", { ...what, dry_run: true }).then(
      (told) => {
        found.value = told;
      },
      (error) => {
        complain(error);
        onClose();
      },
    );
  }, []);
  const forget = async () => {
    isBusy.value = true;
    try {
      receipt.value = await del("/ondol/v1/documents", what);
      if (receipt.value.collections.includes(asked.value.collection)) show("");
      await reload();
    } catch (error) {
      complain(error);
      onClose();
    } finally {
      isBusy.value = false;
    }
  };
  if (receipt.value) return html`<${Receipt} name=${name} receipt=${receipt.value} onClose=${onClose} />`;
  const footer = html`<${Button} onClick=${onClose}>${t("shell.cancel")}<//>
    <${Button} kind="danger" icon="trash" busy=${isBusy.value} disabled=${!found.value} onClick=${forget}>${t("documents.forget_action")}<//>`;
  return html`<${Dialog} title=${t("documents.forget_ask", { name })} onClose=${isBusy.value ? null : onClose} footer=${footer}>
    <div class="stack">
      ${found.value ? html`<${Preview} found=${found.value} />` : html`<p class="muted" role="status">${t("shell.loading")}</p>`}
    </div>
  <//>`;
}

/** @param {{found: {documents: number, sources: string[], collections: string[]}}} props */
function Preview({ found }) {
  const rest = found.documents - Math.min(SHOWN, found.sources.length);
  return html`<p><strong>${found.documents === 1 ? t("documents.will_go_one") : t("documents.will_go", { count: number(found.documents) })}</strong></p>
    <ul class="going">
      ${found.sources.slice(0, SHOWN).map((one) => html`<li key=${one} title=${one}>${nameOf(one)}</li>`)}
      ${rest > 0 && html`<li class="muted">${t("documents.and_more", { count: number(rest) })}</li>`}
    </ul>
    <ul class="consequences">
      <li><${Icon} name="trash" size=${16} />${t("documents.goes_text")}</li>
      <li><${Icon} name="trash" size=${16} />${t("documents.goes_elsewhere")}</li>
      ${found.collections.length > 0 && html`<li><${Icon} name="trash" size=${16} />${t("documents.goes_collection")}</li>`}
      <li><${Icon} name="check" size=${16} />${t("documents.stays")}</li>
    </ul>`;
}

/** @param {any} receipt @returns {[string, string][]} what went, for people */
function rows(receipt) {
  /** @type {[string, any, (value: any) => string][]} */
  const all = [
    ["documents", receipt.documents, number],
    ["chunks", receipt.chunks, number],
    ["text_bytes", receipt.text_bytes, bytes],
    ["vector_bytes", receipt.vector_bytes, bytes],
    ["uploads", receipt.uploads, number],
    ["quotes", receipt.quotes, number],
    ["collections", receipt.collections.length, () => receipt.collections.join(", ")],
    ["places", receipt.places, number],
    ["failures", receipt.failures, number],
    ["engines", receipt.engines.length, () => receipt.engines.join(", ")],
    ["logs", receipt.logs, number],
    ["trainings", receipt.trainings, number],
    ["adapters", receipt.adapters.length, () => receipt.adapters.join(", ")],
  ];
  return all.filter(([, count]) => count).map(([name, count, write]) => [t(`documents.went_${name}`), write(count)]);
}

/** @param {string} name @param {any} receipt */
function written(name, receipt) {
  const lines = [
    `${t("documents.receipt")}: ${name}`,
    moment(receipt.at),
    ...rows(receipt).map(([what, how]) => `${what}: ${how}`),
    ...receipt.remaining.map((/** @type {string} */ one) => `${t("documents.remaining")} ${one}`),
    ...receipt.not_reached.map((/** @type {string} */ one) => t(`documents.beyond_${one}`)),
  ];
  return `${lines.join("\n")}\n`;
}

/** @param {{name: string, receipt: any, onClose: () => void}} props */
function Receipt({ name, receipt, onClose }) {
  const save = () => {
    const address = URL.createObjectURL(new Blob([JSON.stringify(receipt, null, 2)], { type: "application/json" }));
    const link = Object.assign(document.createElement("a"), { href: address, download: `ondol-receipt-${receipt.at.slice(0, 10)}.json` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  };
  const footer = html`<${Button} icon="download" onClick=${save}>${t("documents.download")}<//>
    <${Button} kind="primary" onClick=${onClose}>${t("documents.done")}<//>`;
  return html`<${Dialog} title=${t("documents.receipt")} onClose=${onClose} footer=${footer}>
    <div class="stack receipt">
      <p class="receipt-head">
        <span class="receipt-mark"><${Icon} name="check" /></span>
        <span><strong>${t("documents.forgotten", { name })}</strong><small class="muted">${moment(receipt.at)}</small></span>
        <${Copy} text=${() => written(name, receipt)} label=${t("documents.copy_receipt")} />
      </p>
      <dl class="facts">
        ${rows(receipt).map(([what, how]) => html`<dt key=${what}>${what}</dt><dd>${how}</dd>`)}
      </dl>
      <p class="small-text">${receipt.is_erased ? t("documents.erased") : t("documents.not_erased")}</p>
      ${receipt.remaining.length > 0 &&
      html`<div class="notice warn">
        <p>${t("documents.remaining")}</p>
        <ul>${receipt.remaining.slice(0, SHOWN).map((/** @type {string} */ one) => html`<li key=${one} title=${one}>${nameOf(one)}</li>`)}</ul>
      </div>`}
      <details>
        <summary>${t("documents.not_reached")}</summary>
        <ul class="small-text">${receipt.not_reached.map((/** @type {string} */ one) => html`<li key=${one}>${t(`documents.beyond_${one}`)}</li>`)}</ul>
      </details>
    </div>
  <//>`;
}
