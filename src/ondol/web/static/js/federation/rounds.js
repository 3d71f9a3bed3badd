// @ts-check
// The rounds there were: who took part, what travelled, what it cost in privacy, how good it was.

import { html, useSignal } from "../core/ui.js";
import { bytes, moment, number, t, when } from "../core/i18n.js";
import { Badge, Button } from "../parts/index.js";
import { upwards } from "./price.js";
import { Quality, measured } from "./quality.js";

/** @typedef {import("./state.js").Federation} Federation */
/** @typedef {import("./state.js").Round} Round */

const SHOWN = 10;

/** @param {{federation: Federation | import("./state.js").Coordinated}} props */
export function Rounds({ federation }) {
  const isWhole = useSignal(false);
  const rounds = [...federation.rounds].sort((a, b) => a.number - b.number);
  const latest = rounds.toReversed();
  const losses = measured(rounds).map((one) => ({ name: one.name, points: new Map(one.points) }));
  const shown = isWhole.value ? latest : latest.slice(0, SHOWN);
  // One that came to nothing has a number, and is held again.
  const done = rounds.filter((one) => one.clients?.length);
  const isHome = "is_running" in federation;
  /** @type {Map<string, string>} */
  const names = new Map();
  for (const one of federation.members) names.set(String(one.node), "is_me" in one ? (one.is_me ? t("federation.you") : one.pseudonym) : one.device || one.pseudonym);
  /** @param {string | number} node */
  const name = (node) => names.get(String(node)) ?? t("federation.former");
  return html`<section class="card stack" aria-labelledby="federation-rounds">
    <div class="row spread">
      <h2 id="federation-rounds">${t("federation.rounds")}</h2>
      <span class="muted">${t("federation.rounds_of", { done: number(done.length), all: number(federation.plan.rounds) })}</span>
    </div>
    ${rounds.length === 0 && html`<p class="muted">${t(isHome || federation.under_way ? "federation.home_no_rounds" : "federation.no_rounds")}</p>`}
    <${Quality} rounds=${rounds} />
    ${rounds.length > 0 &&
    html`<div class="table-holder" tabindex="0" role="group" aria-label=${t("federation.rounds")}>
      <table class="table federation-rounds">
        <caption class="hidden">${t("federation.rounds")}</caption>
        <thead>
          <tr>
            <th scope="col">${t("federation.round")}</th>
            <th scope="col">${t("federation.took_part")}</th>
            <th scope="col" class="number">${t("federation.traffic")}</th>
            <th scope="col" class="number">${t("federation.epsilon_so_far")}</th>
            ${losses.map(({ name: which }) => html`<th key=${which} scope="col" class="number">${t(`federation.quality_${which}`)}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${shown.map(
            (one) => html`<tr key=${one.number}>
              <th scope="row">${number(one.number)}<time class="muted small-text" datetime=${one.at} title=${moment(one.at)}>${when(one.at)}</time></th>
              <td><${Part} round=${one} name=${name} isNow=${federation.under_way?.number === one.number} /></td>
              <td class="number">${one.clients ? bytes((one.bytes_up ?? 0) + (one.bytes_down ?? 0)) : "–"}</td>
              <td class="number">${one.epsilon ? upwards(one.epsilon) : "–"}</td>
              ${losses.map(({ name: which, points }) => html`<td key=${which} class="number">${loss(points.get(one.number))}</td>`)}
            </tr>`,
          )}
        </tbody>
      </table>
    </div>`}
    ${latest.length > shown.length &&
    html`<div><${Button}
      small
      kind="quiet"
      onClick=${() => {
        isWhole.value = true;
      }}
    >${t("federation.all_rounds", { count: number(latest.length) })}<//></div>`}
  </section>`;
}

/** This device first. @param {string[]} names */
const inOrder = (names) => {
  const isMe = (/** @type {string} */ one) => Number(one === t("federation.you"));
  return names.toSorted((a, b) => isMe(b) - isMe(a) || a.localeCompare(b));
};

/** @param {number | null | undefined} value */
const loss = (value) => (value === null || value === undefined ? "–" : number(value));

/** @param {{round: Round, name: (node: string | number) => string, isNow: boolean}} props */
function Part({ round, name, isNow }) {
  const { clients, dropped = {}, refused = {}, mine } = round;
  // Home tells of a round when it is over.
  if (!clients && !mine?.reason) return html`<span class="muted">${t(isNow ? "federation.now" : "federation.not_told")}</span>`;
  return html`<div class="federation-part">
    <span class="row">
      ${inOrder((clients ?? []).map(name)).map((one, place) => html`<code key=${place} class="pseudonym">${one}</code>`)}
      ${!clients?.length && html`<span class="muted">${t("federation.nobody")}</span>`}
      ${round.rolled_back && html`<${Badge} tone="warn" title=${t("federation.rolled_back_about")}>${t("federation.rolled_back")}<//>`}
      ${round.failed && html`<${Badge} tone="bad">${t("federation.failed")}<//>`}
    </span>
    ${round.failed && html`<span class="muted small-text">${round.failed}</span>`}
    ${Object.keys(dropped).length > 0 && html`<span class="muted small-text">${t("federation.dropped", { names: inOrder(Object.keys(dropped).map(name)).join(", ") })}</span>`}
    ${Object.entries(refused).map(([node, reason]) => html`<span key=${node} class="muted small-text">${name(node)}: ${reason}</span>`)}
    ${mine && !mine.took_part && mine.reason && html`<span class="muted small-text">${t("federation.not_me", { reason: mine.reason })}</span>`}
  </div>`;
}
