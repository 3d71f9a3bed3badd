// @ts-check
// A federation that this machine is the home of: how it goes, who is in it, what the rounds gave. It is
// run from a terminal; here it is looked at.

import { Fragment, html } from "../core/ui.js";
import { bytes, number, t } from "../core/i18n.js";
import { Badge, Copy } from "../parts/index.js";
import { Agreement } from "./agreement.js";
import { upwards } from "./price.js";
import { Rounds } from "./rounds.js";
import { When } from "./standing.js";
import { UnderWay } from "./under_way.js";

/** @typedef {import("./state.js").Coordinated} Coordinated */

/** @type {Record<string, "good" | "warn" | "muted">} */
const TONES = { running: "good", held: "warn" };

/** @param {{federation: Coordinated}} props */
export function Home({ federation }) {
  const { id, name, plan, rounds, members, under_way: now, safety_number: safety } = federation;
  const state = federation.state === "running" && !federation.is_running ? "held" : federation.state;
  const taken = rounds.filter((one) => one.clients?.length);
  /** @param {"bytes_up" | "bytes_down"} way */
  const sum = (way) => bytes(rounds.reduce((all, one) => all + (one[way] ?? 0), 0));
  return html`<${Fragment}>
    <section class="card stack" aria-labelledby=${`home-${id}`}>
      <h2 id=${`home-${id}`} class="row">${name}<${Badge} tone=${TONES[state] ?? "muted"}>${t(`federation.home_${state}`)}<//></h2>
      <p class="muted">${t("federation.home_here")} ${t(`federation.task_${plan.task}`, { model: plan.model })} ${t(`federation.home_sees_${plan.aggregation}`)}</p>
      ${now && html`<${UnderWay} round=${now} isHome=${true} />`}
      ${(state === "open" || state === "held") && html`<${Next} state=${state} name=${name} />`}
      <ul class="counts">
        <li><b>${number(members.filter((one) => !one.left_at).length)}</b><span>${t("federation.home_members")}</span></li>
        <li><b>${number(taken.length)}</b><span>${t("federation.home_rounds")}</span></li>
        <li><b>${sum("bytes_up")}</b><span>${t("federation.home_received")}</span></li>
        <li><b>${sum("bytes_down")}</b><span>${t("federation.home_sent")}</span></li>
      </ul>
      <${Spent} federation=${federation} />
    </section>
    <${Rounds} federation=${federation} />
    <section class="card stack" aria-labelledby=${`members-${id}`}>
      <h2 id=${`members-${id}`}>${t("federation.members")}</h2>
      <ul class="federation-list">
        ${members.map(
          (one) => html`<li key=${one.node}>
            <span class="row"><code class="pseudonym">${one.pseudonym}</code><span>${one.device}</span>${one.left_at && html`<${Badge} tone="muted">${t("federation.home_left")}<//>`}</span>
            <span class="muted small-text"><${When} at=${one.joined_at} /></span>
          </li>`,
        )}
      </ul>
      <div class="federation-safety">
        <h3>${t("federation.safety")}</h3>
        <p class="row federation-copied"><code>${safety}</code><${Copy} text=${safety} label=${t("federation.copy_safety")} /></p>
        <p class="muted small-text">${t("federation.home_safety_about")}</p>
      </div>
      <${Agreement} plan=${plan} />
    </section>
  <//>`;
}

/** What its owner does next, in a terminal. @param {{state: "open" | "held", name: string}} props */
function Next({ state, name }) {
  const quoted = /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", `'\\''`)}'`;
  const commands = [`ondol home federation start ${quoted}`];
  if (state === "open") commands.unshift(`ondol home federation invite ${quoted}`);
  return html`<div class="notice stack">
    <p>${t(`federation.home_next_${state}`)}</p>
    ${commands.map((one) => html`<p key=${one} class="row federation-copied"><code>${one}</code><${Copy} text=${one} /></p>`)}
  </div>`;
}

/** @param {{federation: Coordinated}} props */
function Spent({ federation: { plan, epsilon } }) {
  if (!plan.noise_multiplier) return html`<p class="muted small-text">${t("federation.no_epsilon")}</p>`;
  return html`<p class="muted small-text">${t("federation.home_epsilon", { epsilon: upwards(epsilon.spent), delta: epsilon.delta.toExponential(0) })}</p>`;
}
