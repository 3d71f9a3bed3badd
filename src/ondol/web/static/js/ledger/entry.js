// @ts-check
// One entry in words, what left for it, and every field as it is written down.

import { html, useEffect, useSignal } from "../core/ui.js";
import { get } from "../core/api.js";
import { bytes, moment, t } from "../core/i18n.js";
import { Copy, Drawer, Icon } from "../parts/index.js";
import { purpose } from "./charts.js";

/** The server tells the time of its own place; the table beside tells the reader's. */
const SERVER_TIME = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/;

/** @param {{id: string, onClose: () => void}} props */
export function EntryDrawer({ id, onClose }) {
  const told = useSignal(/** @type {any} */ (null));
  const failure = useSignal(/** @type {any} */ (null));
  useEffect(() => {
    get(`/ondol/v1/ledger/${encodeURIComponent(id)}`).then(
      (found) => {
        told.value = found;
      },
      (error) => {
        failure.value = error;
      },
    );
  }, [id]);
  return html`<${Drawer} title=${t("ledger.entry")} onClose=${onClose} class="ledger-drawer">
    ${failure.value && html`<p class="notice bad" role="alert">${failure.value.message} ${failure.value.hint}</p>`}
    ${told.value ? html`<${Entry} ...${told.value} />` : !failure.value && html`<p class="muted" role="status">${t("ledger.reading")}</p>`}
  <//>`;
}

/** @param {{entry: any, passages: any[], explanation: string}} props */
function Entry({ entry, passages, explanation }) {
  const [first, ...rest] = explanation.split("\n");
  return html`<div class="ledger-words">
      <p class="ledger-first">${first.replace(SERVER_TIME, moment(entry.time))}</p>
      ${rest.map((line, index) => (line.startsWith("- ") ? html`<p key=${index} class="ledger-reason">${line.slice(2)}</p>` : html`<p key=${index}>${line}</p>`))}
    </div>
    ${passages.length > 0 &&
    html`<h3>${t("ledger.departures")}</h3>
      <ul class="ledger-departures">
        ${passages.map(
          (one) => html`<li key=${one.id} class=${one.kind}>
            <${Icon} name=${one.kind === "refused" ? "lock" : "upload"} size=${16} />
            <span>${one.destination ?? t("ledger.nowhere")} · ${purpose(one.purpose ?? "other")}</span>
            <b>${one.kind === "refused" ? t("ledger.kept_back") : bytes(one.bytes_out ?? 0)}</b>
          </li>`,
        )}
      </ul>`}
    <details class="ledger-fields">
      <summary>${t("ledger.fields")}</summary>
      <dl>
        ${Object.entries(entry).map(
          ([name, value]) => html`<div key=${name}>
            <dt><code>${name}</code></dt>
            <dd>${Array.isArray(value) ? value.join(" ") : name === "time" ? `${value} (${moment(/** @type {string} */ (value))})` : String(value)}</dd>
          </div>`,
        )}
      </dl>
    </details>
    <p class="ledger-id"><code>${entry.id.slice(0, 16)}…</code><${Copy} text=${entry.id} label=${t("ledger.copy_id")} /></p>`;
}
