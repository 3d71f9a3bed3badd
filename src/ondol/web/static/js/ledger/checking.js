// @ts-check
// Is every entry as it was signed? And the whole ledger as a file, for who wants to check it elsewhere.

import { html, useSignal } from "../core/ui.js";
import { blob, get } from "../core/api.js";
import { number, t } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { Button, Copy, Dialog, Icon, Menu } from "../parts/index.js";

export function Verify() {
  const isBusy = useSignal(false);
  const found = useSignal(/** @type {any} */ (null));
  const check = async () => {
    isBusy.value = true;
    try {
      found.value = await get("/ondol/v1/ledger/verify");
    } catch (error) {
      complain(error);
    } finally {
      isBusy.value = false;
    }
  };
  return html`<${Button} kind="primary" icon="shield" busy=${isBusy.value} onClick=${check}>${t("ledger.verify")}<//>
    ${found.value &&
    html`<${Dialog} title=${t("ledger.verify")} onClose=${() => {
      found.value = null;
    }}><${Result} found=${found.value} /><//>`}`;
}

/** @param {{found: any}} props */
function Result({ found }) {
  const count = number(found.entries);
  return html`<div class="stack ledger-result">
    ${found.intact
      ? html`<p class="notice good" role="status"><${Icon} name="check" /> ${t("ledger.intact", { count, heads: number(found.signed_heads) })}</p>`
      : html`<p class="notice bad" role="alert"><${Icon} name="alert" /> ${t("ledger.broken", { count, findings: number(found.num_findings) })}</p>`}
    ${found.findings.map(
      (/** @type {any} */ one, /** @type {number} */ index) => html`<div key=${index} class="ledger-finding"><p>${one.message}</p><p class="muted">${one.hint}</p></div>`,
    )}
    ${found.notes.map((/** @type {any} */ one, /** @type {number} */ index) => html`<p key=${index} class="muted">${t("ledger.noted", { message: one.message })}</p>`)}
    <p class="muted small-text">${t("ledger.verify_about")}</p>
    <p class="ledger-id"><span>${t("ledger.public_key")}</span><code>${found.public_key.slice(0, 24)}…</code><${Copy} text=${found.public_key} label=${t("ledger.copy_key")} /></p>
  </div>`;
}

export function ExportMenu() {
  const isBusy = useSignal(false);
  /** @param {string} form */
  const save = async (form) => {
    isBusy.value = true;
    try {
      const address = URL.createObjectURL(await blob(`/ondol/v1/ledger/export?format=${form}`));
      const link = Object.assign(document.createElement("a"), { href: address, download: `ondol-ledger.${form}` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch (error) {
      complain(error);
    } finally {
      isBusy.value = false;
    }
  };
  const button = html`<${Icon} name="download" size=${18} /><span>${t(isBusy.value ? "ledger.exporting" : "ledger.export")}</span>`;
  return html`<${Menu}
    label=${t("ledger.export")}
    button=${button}
    class="button"
    items=${[
      { text: t("ledger.export_jsonl"), icon: "documents", run: () => save("jsonl") },
      { text: t("ledger.export_csv"), icon: "documents", run: () => save("csv") },
    ]}
  />`;
}
