// @ts-check
// This month in one look: how many answers never left, what did, and what it took.

import { html } from "../core/ui.js";
import { bytes, number, t } from "../core/i18n.js";
import { Icon, StackedBar } from "../parts/index.js";
import { energy, won } from "../trust/route.js";
import { stayed } from "../trust/strip.js";

const ROUTES = [
  ["local", "good"],
  ["home", "info"],
  ["abstain", "muted"],
];

/** @param {{month: any}} props undefined while it is not known */
export function Month({ month }) {
  if (!month) return html`<section class="card ledger-month waiting" aria-busy="true"></section>`;
  const parts = ROUTES.map(([name, tone]) => ({
    value: month.answers[name] ?? 0,
    tone,
    text: t(`ledger.count_${name}`, { count: number(month.answers[name] ?? 0) }),
  }));
  const out = Object.values(month.bytes_out).reduce((sum, one) => sum + one, 0);
  const { measured = 0, estimated = 0 } = month.energy_joules;
  return html`<section class="card ledger-month" aria-label=${t("ledger.this_month")}>
    <p class="ledger-told"><${Icon} name="shield" size=${24} /><span>${stayed(month)}</span></p>
    <${StackedBar} label=${t("ledger.by_route")} parts=${parts} total=${month.num_answers} />
    <p class="legend">${parts.filter((one) => one.value).map((one) => html`<span key=${one.tone}><i class=${`tone-${one.tone}`}></i>${one.text}</span>`)}</p>
    <dl class="ledger-figures">
      <${Figure} name=${t("ledger.bytes_out")} value=${bytes(out)} about=${t("ledger.refused", { count: number(month.refused) })} />
      <${Figure}
        name=${t("ledger.energy")}
        value=${measured ? energy(measured) : energy(estimated)}
        about=${measured && estimated ? t("ledger.measured_and", { energy: energy(estimated) }) : t(measured ? "ledger.measured" : "ledger.estimated")}
      />
      <${Figure} name=${t("ledger.cost_here")} value=${won(month.cost_here.krw)} about=${t("ledger.electricity")} />
      <${Figure} name=${t("ledger.cost_cloud")} value=${won(month.cost_cloud.krw)} about=${t("ledger.prices", { date: month.cost_cloud.prices })} />
    </dl>
  </section>`;
}

/** @param {{name: string, value: string, about: string}} props */
function Figure({ name, value, about }) {
  return html`<div><dt>${name}</dt><dd><b>${value}</b><span>${about}</span></dd></div>`;
}
