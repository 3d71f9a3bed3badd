// @ts-check
// What taking part costs in privacy, in numbers and in plain words.

import { html } from "../core/ui.js";
import { number, t } from "../core/i18n.js";

/** An ε as it is said: less is never said than was spent. @param {number | null} epsilon */
export const upwards = (epsilon) => number((epsilon ?? 0) < 100 ? Math.ceil(10 * (epsilon ?? 0)) / 10 : Math.ceil(epsilon ?? 0));

/** @param {{epsilon: import("./state.js").Epsilon, words: string[]}} props `epsilon`: with what all rounds cost */
export function Price({ epsilon, words }) {
  return html`<div class=${`notice ${epsilon.whole === null ? "warn" : ""}`}>
    <p><strong>
      ${epsilon.whole === null ? t("federation.no_epsilon") : t("federation.epsilon_whole", { epsilon: upwards(epsilon.whole), delta: epsilon.delta.toExponential(0) })}
    </strong></p>
    ${epsilon.budget !== null && html`<p>${t("federation.budget_about", { budget: number(epsilon.budget) })}</p>`}
    ${words.map((one) => html`<p key=${one}>${one}</p>`)}
  </div>`;
}
