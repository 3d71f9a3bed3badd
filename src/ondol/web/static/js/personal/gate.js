// @ts-check
// What the gate measured, a row a measure, in plain words.

import { html } from "../core/ui.js";
import { number, percent, t } from "../core/i18n.js";
import { Badge } from "../parts/index.js";

/** @typedef {import("./state.js").Verdict} Verdict */
/** @typedef {import("./state.js").Row} Row */

/** @param {{verdict: Verdict}} props */
export function Gate({ verdict }) {
  const { rows = [], reasons = [], notes = [] } = verdict ?? {};
  if (!rows.length && !reasons.length) return null;
  return html`<div class="stack">
    ${reasons.length > 0 && html`<ul class="personal-reasons">${reasons.map((one) => html`<li key=${one}>${one}</li>`)}</ul>`}
    ${rows.length > 0 &&
    html`<div class="table-holder" tabindex="0" role="group" aria-label=${t("personal.gate")}>
      <table class="table personal-gate">
        <caption class="hidden">${t("personal.gate")}</caption>
        <thead>
          <tr>
            <th scope="col">${t("personal.measure")}</th>
            <th scope="col" class="number">${t("personal.before")}</th>
            <th scope="col" class="number">${t("personal.after")}</th>
            <th scope="col" class="number">${t("personal.difference")}</th>
            <td></td>
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            (row) => html`<tr key=${row.name}>
              <th scope="row">${measure(row)}</th>
              <td class="number">${figure(row.before, row.unit)}</td>
              <td class="number">${figure(row.after, row.unit)}</td>
              <td class="number">${difference(row)}</td>
              <td><${Badge} tone=${row.is_ok === false ? "bad" : "good"}>${t(row.is_ok === false ? "personal.row_bad" : "personal.row_good")}<//></td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>`}
    ${notes.map((one) => html`<p key=${one} class="muted small-text">${one}</p>`)}
  </div>`;
}

/** What is measured, in plain words. @param {Row} row */
function measure(row) {
  const key = `personal.measure_${row.name}`;
  const text = t(key);
  return text === key ? (row.label ?? row.name) : text;
}

/** @param {number | null | undefined} value @param {string} [unit] */
function figure(value, unit = "") {
  if (value === null || value === undefined) return "–";
  return unit === "share" ? percent(value) : number(Math.round(value * 100) / 100);
}

/** @param {Row} row */
function difference({ difference: found, unit }) {
  if (!found || found.value === null) return "–";
  const sign = found.value > 0 ? "+" : "";
  const about = found.low === null || found.high === null ? "" : ` [${figure(found.low, unit)}, ${figure(found.high, unit)}]`;
  return `${sign}${figure(found.value, unit)}${about}`;
}
