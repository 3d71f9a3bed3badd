// @ts-check
// What goes on just now: the round that is held, and this device's own gate at its work.

import { html } from "../core/ui.js";
import { number, t } from "../core/i18n.js";
import { Progress } from "../parts/index.js";

/** @typedef {import("./state.js").UnderWay} Round */

/** @param {{round: Round, isHome?: boolean}} props */
export function UnderWay({ round: { number: round, doing, clients = [] }, isHome = false }) {
  const told = t(`federation.${isHome ? "home" : "under_way"}_${doing}`, { round: number(round), count: number(clients.length) });
  return html`<div class="notice stack federation-now" role="status">
    <p>${told}</p>
    <${Progress} label=${told} value=${null} />
  </div>`;
}

/** @param {{gate: NonNullable<import("./state.js").Federation["gate"]>}} props */
export function AtTheGate({ gate: { state, done, total } }) {
  // It asks more than it had thought where weaker scales have to be tried.
  const isKnown = total > done;
  return html`<div class="notice stack federation-now" role="status">
    <p>${t(`federation.gate_${state}`)}</p>
    ${state === "judging" &&
    html`<${Progress} label=${t("federation.gate_progress")} value=${isKnown ? done / total : null} text=${isKnown ? t("federation.gate_of", { done: number(done), total: number(total) }) : number(done)} />`}
  </div>`;
}
