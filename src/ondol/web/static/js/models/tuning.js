// @ts-check
// How fast this machine runs a model, in which format of its weights: measured, applied, taken back.

import { html, useEffect, useSignal } from "../core/ui.js";
import { del, get, post } from "../core/api.js";
import { bytes, moment, number, seconds, t } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { Button } from "../parts/index.js";

/**
 * @typedef {{format: string, is_original: boolean, size_bytes: number, resident_bytes: number, seconds: number | null, loss: {value: number} | null, refused: string}} Row
 * @typedef {{rows: Row[], chosen: Row, gain: number | null, prompt_tokens: number, answer_tokens: number, applied: boolean}} Report
 * @typedef {{model: string, tuned: {format: string, applied_at: string, in_force: boolean, measured: Report} | null, running: {model: string, state: "running" | "done" | "failed" | "stopped", step: string, report: Report | null, error: {message: string} | null} | null}} Known
 */

const LOOK_MS = 1500;

/** @param {{model: string}} props */
export function Tuning({ model }) {
  const known = useSignal(/** @type {Known | null} */ (null));
  const isSending = useSignal(false);
  const look = async () => {
    try {
      known.value = await get(`/ondol/v1/tuning?model=${encodeURIComponent(model)}`);
    } catch {
      known.value = null; // it cannot be tuned: nothing to say
    }
  };
  const send = async (/** @type {() => Promise<unknown>} */ deed) => {
    isSending.value = true;
    try {
      await deed();
    } catch (error) {
      complain(error);
    }
    await look();
    isSending.value = false;
  };
  const own = known.value?.running?.model === model ? known.value.running : null;
  const isRunning = own?.state === "running";
  useEffect(() => {
    look();
  }, [model]);
  useEffect(() => {
    if (!isRunning) return undefined;
    const timer = setInterval(look, LOOK_MS);
    return () => clearInterval(timer);
  }, [isRunning]);

  if (!known.value) return null;
  const tuned = known.value.tuned?.in_force ? known.value.tuned : null;
  const report = own?.report ?? tuned?.measured;
  return html`<section class="stack tuning" aria-label=${t("tuning.title")}>
    <h3>${t("tuning.title")}</h3>
    <p role="status">${isRunning ? t("tuning.measuring", { step: own.step }) : told(tuned, own)}</p>
    <div class="row">
      ${isRunning
        ? html`<${Button} small busy=${isSending.value} onClick=${() => send(() => del("/ondol/v1/tuning/running"))}>${t("tuning.stop")}<//>`
        : html`<${Button} small busy=${isSending.value} onClick=${() => send(() => post("/ondol/v1/tuning", { model }))}>${t(tuned ? "tuning.again" : "tuning.start")}<//>`}
      ${tuned &&
      !isRunning &&
      html`<${Button} small kind="quiet" busy=${isSending.value} onClick=${() => send(() => del("/ondol/v1/tuning", { model }))}>${t("tuning.undo")}<//>`}
    </div>
    ${!isRunning && report && html`<${Table} report=${report} />`}
  </section>`;
}

/** @param {Known["tuned"] | null} tuned @param {Known["running"]} own */
function told(tuned, own) {
  if (own?.state === "failed") return own.error?.message || t("tuning.failed");
  if (tuned) {
    const { chosen, rows } = tuned.measured;
    const values = { format: tuned.format, date: moment(tuned.applied_at), after: seconds(chosen.seconds ?? 0), before: seconds(rows[0].seconds ?? 0) };
    return t("tuning.tuned", values);
  }
  return t(own?.state === "done" ? "tuning.stays" : "tuning.about");
}

/** @param {{report: Report}} props */
function Table({ report }) {
  const label = t("tuning.table", { prompt: number(report.prompt_tokens), answer: number(report.answer_tokens) });
  return html`<div class="table-holder" tabindex="0" role="group" aria-label=${label}>
    <table class="table">
      <caption class="small-text muted">${label}</caption>
      <thead>
        <tr>
          <th scope="col">${t("tuning.format")}</th>
          <th scope="col" class="number">${t("tuning.request")}</th>
          <th scope="col" class="number">${t("tuning.memory")}</th>
          <th scope="col" class="number">${t("tuning.loss")}</th>
          <th scope="col">${t("tuning.verdict")}</th>
        </tr>
      </thead>
      <tbody>
        ${report.rows.map(
          (row) => html`<tr key=${row.format}>
            <th scope="row">${row.format}</th>
            <td class="number">${row.seconds === null ? "–" : seconds(row.seconds)}</td>
            <td class="number">${row.resident_bytes ? bytes(row.resident_bytes) : "–"}</td>
            <td class="number">${row.loss ? `${number(Math.round(row.loss.value * 1e4) / 100)} %` : "–"}</td>
            <td>${verdict(row, report)}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** @param {Row} row @param {Report} report */
function verdict(row, report) {
  if (row.format === report.chosen.format) return html`<strong>${t("tuning.chosen")}</strong>`;
  if (row.is_original) return t("tuning.came");
  return row.refused ? t(`tuning.refused_${row.refused}`) : "";
}
