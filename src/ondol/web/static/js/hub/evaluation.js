// @ts-check
// What was measured of a release, as its publisher wrote it on the card: any table of measures, one
// row each, with what was before where somebody says.

import { html } from "../core/ui.js";
import { number, percent, t } from "../core/i18n.js";
import { inWords, plainName } from "./words.js";

/** @typedef {{name: string, before: number | string | null, after: number | string | null, n: number | null, isShare: boolean}} Row */

const MOST = 40;
const DEPTH = 4;
/** About the measuring, not of what was measured, or shown elsewhere; and folders of the table that have no name. */
const ASIDE = new Set(["questions", "seconds", "at", "is_worse", "n", "low", "high", "unit", "canary"]);
const NAMELESS = new Set(["rows", "gate", "measures"]);
/** Shares between 0 and 1. */
const SHARES = new Set(["accuracy", "f1", "citation_correctness", "abstention_recall", "wrongly_abstains", "right", "auroc", "written", "choices"]);

/** @param {{evaluation: Record<string, any> | null | undefined, label?: string}} props */
export function Evaluation({ evaluation, label = t("hub.evaluation") }) {
  const rows = rowsOf(evaluation ?? {}).slice(0, MOST);
  if (!rows.length) return html`<p class="muted">${t("hub.not_measured")}</p>`;
  const compares = rows.some((one) => one.before !== null);
  return html`<div class="table-holder" tabindex="0" role="group" aria-label=${label}>
    <table class="table hub-evaluation">
      <caption class="hidden">${label}</caption>
      <thead>
        <tr>
          <th scope="col">${t("hub.measure")}</th>
          ${compares && html`<th scope="col" class="number">${t("hub.before")}</th>`}
          <th scope="col" class="number">${t(compares ? "hub.after" : "hub.value")}</th>
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) => html`<tr key=${row.name}>
            <th scope="row">${row.name}${row.n !== null && html`<small class="muted"> ${t("hub.of_n", { n: number(row.n) })}</small>`}</th>
            ${compares && html`<td class="number">${figure(row.before, row.isShare)}</td>`}
            <td class="number"><strong>${figure(row.after, row.isShare)}</strong></td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/**
 * @param {any} found @param {string[]} path @returns {Row[]}
 */
function rowsOf(found, path = []) {
  if (path.length > DEPTH || found === null || found === undefined) return [];
  if (typeof found !== "object") return scalar(found) ? [row(path, null, found)] : [];
  if (Array.isArray(found)) return found.every(isMeasured) ? found.map((one) => ({ ...row([...path, one.name], one.before, one.after, one.n), ...(one.unit === "share" && { isShare: true }) })) : [];
  const [first, second] = pair(found);
  if (second !== undefined) return compared(path, first, second, found);
  if ("value" in found) return found.value === null ? [] : [row(path, null, found.value, found.n)];
  return Object.entries(found)
    .filter(([name]) => !ASIDE.has(name))
    .flatMap(([name, value]) => rowsOf(value, NAMELESS.has(name) ? path : [...path, name]));
}

/** What was before and what is after, whatever it is called. @param {any} found @returns {[any, any]} */
function pair(found) {
  if ("before" in found && "after" in found) return [found.before, found.after];
  if ("off" in found && "on" in found) return [found.off, found.on];
  return [undefined, undefined];
}

/** @param {string[]} path @param {any} before @param {any} after @param {any} found @returns {Row[]} */
function compared(path, before, after, found) {
  const n = found.n ?? found.questions ?? null;
  if (scalar(after)) return [row(path, before, after, n)];
  if (after === null || typeof after !== "object") return [];
  if ("value" in after) return after.value === null ? [] : [row(path, before?.value ?? null, after.value, after.n ?? n)];
  return Object.entries(after)
    .filter(([name]) => !ASIDE.has(name))
    .flatMap(([name, value]) => compared([...path, name], before?.[name] ?? null, value, { n }));
}

/** @param {any} one */
const isMeasured = (one) => one && typeof one === "object" && typeof one.name === "string" && "after" in one;
/** @param {any} value */
const scalar = (value) => typeof value === "number" || (typeof value === "string" && value.length <= 60) || typeof value === "boolean";

/** @param {string[]} path @param {any} before @param {any} after @param {any} [n] @returns {Row} */
const row = (path, before, after, n) => ({
  name: path.map((one) => inWords(`hub.measure_${one.toLowerCase().replace(/\W/g, "_")}`, plainName(one))).join(" · "),
  before: scalar(before) ? before : null,
  after: scalar(after) ? after : null,
  n: typeof n === "number" ? n : null,
  isShare: SHARES.has(path.at(-1) ?? ""),
});

/** @param {any} value @param {boolean} isShare */
function figure(value, isShare) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return t(value ? "hub.yes" : "hub.no");
  if (typeof value === "string") return value;
  return isShare && value >= 0 && value <= 1 ? percent(value) : number(Math.round(value * 1000) / 1000);
}
