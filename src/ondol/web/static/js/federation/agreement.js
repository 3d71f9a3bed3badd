// @ts-check
// What everybody in a federation agreed to, field by field.

import { html } from "../core/ui.js";
import { number, t } from "../core/i18n.js";
import { Copy } from "../parts/index.js";

/** @typedef {import("./state.js").Plan} Plan */

const SHORT = 16;

/** @param {{plan: Plan}} props */
export function Agreement({ plan }) {
  /** @type {[string, any][]} */
  const facts = [
    ["model", plan.model],
    ["strategy", t(`federation.strategy_${plan.strategy}`, { r: number(plan.r) })],
    ["aggregation", t(`federation.aggregation_${plan.aggregation}`)],
    ["all", number(plan.rounds)],
    ["least", t("federation.least_of", { least: number(plan.min_clients), threshold: number(plan.threshold) })],
    ["clip_norm", number(plan.clip_norm)],
    ["noise_multiplier", plan.noise_multiplier ? number(plan.noise_multiplier) : t("federation.none")],
    ["example_noise", plan.example_noise ? number(plan.example_noise) : t("federation.none")],
  ];
  return html`<details class="federation-agreement">
    <summary>${t("federation.agreement")}</summary>
    <dl class="facts">
      ${facts.map(([name, value]) => html`<dt key=${name}>${t(`federation.plan_${name}`)}</dt><dd>${value}</dd>`)}
      <dt>${t("federation.plan_digest")}</dt>
      <dd><code title=${plan.digest}>${plan.digest.slice(0, SHORT)}…</code><${Copy} text=${plan.digest} /></dd>
    </dl>
  </details>`;
}
