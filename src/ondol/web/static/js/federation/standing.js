// @ts-check
// How a federation stands on this device: whether it takes part, what it gave so far, what of the
// privacy budget is spent; to pause, to leave.

import { html, useSignal } from "../core/ui.js";
import { bytes, moment, number, t, when } from "../core/i18n.js";
import { Badge, Button, Confirm, Icon, Progress } from "../parts/index.js";
import { Preview } from "./preview.js";
import { upwards } from "./price.js";
import { leave, pause, resume } from "./state.js";
import { AtTheGate, UnderWay } from "./under_way.js";

/** @typedef {import("./state.js").Federation} Federation */

/** Above it an ε promises hardly anything, as the words before joining have it. */
const WEAK = 10;
/** @type {Record<string, "good" | "warn" | "muted">} */
const TONES = { active: "good", paused: "warn", ended: "muted" };

/** @param {{federation: Federation}} props */
export function Standing({ federation }) {
  const isBusy = useSignal(false);
  const isLeaving = useSignal(false);
  const isLooking = useSignal(false);
  const { state, readiness, contribution, plan, under_way: now, gate } = federation;
  /** @param {() => Promise<any>} work */
  const doing = async (work) => {
    isBusy.value = true;
    await work();
    isBusy.value = false;
  };
  return html`<section class="card stack" aria-labelledby="federation-standing">
    <div class="row spread">
      <h2 id="federation-standing" class="row">${federation.name}<${Badge} tone=${TONES[state]}>${t(`federation.state_${state}`)}<//></h2>
      <div class="row">
        ${state === "active" && html`<${Button} small icon="pause" busy=${isBusy.value} onClick=${() => doing(() => pause(federation.id))}>${t("federation.pause")}<//>`}
        ${state === "paused" && html`<${Button} small kind="primary" icon="play" busy=${isBusy.value} onClick=${() => doing(() => resume(federation.id))}>${t("federation.resume")}<//>`}
        <${Button}
          small
          kind="danger"
          icon="trash"
          onClick=${() => {
            isLeaving.value = true;
          }}
        >${t("federation.leave")}<//>
      </div>
    </div>
    <p class="muted">
      ${t(`federation.task_${plan.task}`, { model: plan.model })}${" "}
      ${t("federation.joined", { when: moment(federation.joined_at), home: federation.home.url })}
    </p>
    ${state === "ended" && html`<p class="notice">${t(`federation.ended_${federation.reason || "done"}`)}</p>`}
    ${gate && html`<${AtTheGate} gate=${gate} />`}
    ${now && html`<${UnderWay} round=${now} />`}
    ${state === "active" && !now && !gate && html`<${Ready} readiness=${readiness} />`}
    ${federation.standing?.failure && html`<p class="notice warn">${federation.standing.failure}</p>`}
    <ul class="counts">
      <li><b>${number(contribution.rounds)}</b><span>${t("federation.mine_rounds")}</span></li>
      <li><b>${number(contribution.num_examples)}</b><span>${t("federation.mine_examples")}</span></li>
      <li><b>${bytes(contribution.bytes_up)}</b><span>${t("federation.mine_up")}</span></li>
      <li><b>${bytes(contribution.bytes_down)}</b><span>${t("federation.mine_down")}</span></li>
    </ul>
    <${Spent} federation=${federation} />
    ${state !== "ended" &&
    html`<div>
      <${Button}
        icon="eye"
        onClick=${() => {
          isLooking.value = true;
        }}
      >${t("federation.look")}<//>
    </div>`}
    ${isLooking.value &&
    html`<${Preview}
      federation=${federation}
      onClose=${() => {
        isLooking.value = false;
      }}
    />`}
    ${isLeaving.value &&
    html`<${Confirm}
      title=${t("federation.leave_ask", { name: federation.name })}
      action=${t("federation.leave")}
      busy=${isBusy.value}
      onConfirm=${() =>
        doing(async () => {
          if (await leave(federation)) isLeaving.value = false;
        })}
      onClose=${() => {
        isLeaving.value = false;
      }}
    >
      <p>${t("federation.leave_about")}</p>
      <p class="muted">${t("federation.leave_stays")}</p>
    <//>`}
  </section>`;
}

/** Whether it would take part in a round now, or what it waits for. @param {{readiness: Federation["readiness"]}} props */
function Ready({ readiness: { is_ready: isReady, reasons } }) {
  if (isReady) return html`<p class="federation-ready"><${Icon} name="check" size=${18} />${reasons.join(" ")}</p>`;
  return html`<div class="notice">${reasons.map((one) => html`<p key=${one}>${one}</p>`)}</div>`;
}

/** @param {{federation: Federation}} props */
function Spent({ federation }) {
  const { spent, budget, delta } = federation.epsilon;
  // Without noise nothing is promised, before the first round and after it.
  if (!federation.plan.noise_multiplier) return html`<p class="muted small-text">${t("federation.no_epsilon")}</p>`;
  const value = upwards(spent);
  return html`<div class="stack federation-spent">
    <h3>${t("federation.privacy")}</h3>
    ${budget !== null &&
    html`<${Progress} label=${t("federation.budget")} value=${(spent ?? 0) / budget} text=${t("federation.epsilon_of", { spent: value, budget: number(budget) })} />`}
    <p class="muted small-text">${t("federation.epsilon_about", { epsilon: value, delta: delta.toExponential(0) })}${(spent ?? 0) > WEAK && ` ${t("federation.epsilon_weak")}`}</p>
  </div>`;
}

/** When something was, with the day in a title. @param {{at: string}} props */
export function When({ at }) {
  return html`<time datetime=${at} title=${moment(at)}>${when(at)}</time>`;
}
