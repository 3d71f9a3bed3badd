// @ts-check
// How the texts that stand side by side differ and agree; asked of the server once they are all there.

import { html, useEffect, useSignal } from "../core/ui.js";
import { post } from "../core/api.js";
import { number, percent, t } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { bitsText } from "./tokens.js";

/** @typedef {import("./generation.js").Generation} Generation */

/** @param {{columns: Generation[]}} props */
export function Agreement({ columns }) {
  const found = useSignal(/** @type {any} */ (null));
  const isOver = columns.every((one) => !one.isRunning.value);
  const texts = columns.map((one) => one.text);
  const key = isOver && texts.every(Boolean) ? texts.join("\0") : "";

  useEffect(() => {
    found.value = null;
    if (!key) return undefined;
    let isCurrent = true;
    post("/ondol/v1/explore/agreement", { texts }).then((answer) => {
      if (isCurrent) found.value = answer;
    }, complain);
    return () => {
      isCurrent = false;
    };
  }, [key]);

  const told = found.value;
  if (!told) return null;
  const seeds = told.clusters[0].map((/** @type {number} */ place) => columns[place].seed).join(", ");
  return html`<section class="card stack lab-agreement" aria-label=${t("lab.agreement")}>
    <h2>${t("lab.agreement")}</h2>
    <p>
      ${told.clusters[0].length > 1
        ? t("lab.agree", { count: number(told.clusters[0].length), texts: number(told.texts), seeds })
        : t("lab.agree_none", { texts: number(told.texts) })}
    </p>
    <dl>
      ${[
        ["meanings", `${number(told.clusters.length)} · ${t("lab.bits", { bits: bitsText(told.entropy_bits) })}`],
        ["distinct", `${percent(told.distinct_1)} · ${percent(told.distinct_2)}`],
        ["self_bleu", number(Math.round(told.self_bleu * 100) / 100)],
      ].map(([name, value]) => html`<div key=${name}><dt>${t(`lab.${name}`)}</dt><dd class="lab-value">${value}</dd><dd class="muted small-text">${t(`lab.${name}_about`)}</dd></div>`)}
    </dl>
  </section>`;
}
