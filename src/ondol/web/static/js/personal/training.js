// @ts-check
// One button; then how far it is, how it goes, and what may be done about it.

import { html, useSignal } from "../core/ui.js";
import { number, seconds, t } from "../core/i18n.js";
import { Button, Confirm, Icon, Progress, Switch } from "../parts/index.js";
import { Curve } from "./curve.js";
import { Gate } from "./gate.js";
import { isUnderWay, pause, remove, resume, start } from "./state.js";

/** @typedef {import("./state.js").Overview} Overview */
/** @typedef {import("./state.js").Training} Training */

/** What is missing then is said where it is counted. */
const TOO_FEW = "too_few_samples";

/** @param {{found: Overview, training: Training | null}} props `training`: the latest */
export function TrainingCard({ found, training }) {
  const isStarting = useSignal(false);
  const whenIdle = useSignal(true);
  const isOpen = training !== null && (isUnderWay(training) || training.state === "paused" || training.state === "failed");
  const begin = async () => {
    isStarting.value = true;
    await start(whenIdle.value);
    isStarting.value = false;
  };
  return html`<section class="card stack" aria-labelledby="personal-training">
    <h2 id="personal-training">${t("personal.training")}</h2>
    ${isOpen
      ? html`<${Going} training=${training} />`
      : html`<p>${t("personal.train_about")}</p>
          ${found.error && found.error.code !== TOO_FEW && html`<div class="notice"><p>${found.error.message}</p>${found.error.hint && html`<p class="muted small-text">${found.error.hint}</p>`}</div>`}
          <div class="row spread">
            <${Switch}
              label=${t("personal.when_idle")}
              checked=${whenIdle.value}
              onChange=${(/** @type {boolean} */ on) => {
                whenIdle.value = on;
              }}
            />
            <${Button} kind="primary" icon="flame" busy=${isStarting.value} disabled=${found.error !== null} onClick=${begin}>
              ${t(found.adapters.length ? "personal.train_again" : "personal.train")}
            <//>
          </div>`}
    ${training && (training.state === "done" || training.state === "refused") && html`<${Ended} training=${training} />`}
  </section>`;
}

/** @param {{training: Training}} props */
function Going({ training }) {
  const isBusy = useSignal(false);
  const isLeaving = useSignal(false);
  const runs = isUnderWay(training);
  const share = training.steps ? training.step / training.steps : null;
  /** @param {() => Promise<any>} work */
  const doing = async (work) => {
    isBusy.value = true;
    await work();
    isBusy.value = false;
  };
  const told = [
    training.steps ? t("personal.of_steps", { step: number(training.step), steps: number(training.steps) }) : "",
    runs && training.eta_seconds ? t("personal.left", { time: seconds(training.eta_seconds) }) : "",
  ].filter(Boolean);
  const points = (training.losses ?? []).filter((one) => one.stage === (training.stage === "preference" ? "preference" : "sft"));
  return html`<div class="stack">
    <p class="row" role="status">
      <${Icon} name=${runs ? "flame" : training.state === "failed" ? "alert" : "pause"} size=${18} />
      <strong>${runs ? t(`personal.stage_${training.stage}`) : t(`personal.state_${training.state}`)}</strong>
      <span class="muted">${t("personal.from", { count: number(training.num_examples) })}</span>
    </p>
    ${training.error && html`<div class="notice bad"><p>${training.error.message}</p><p class="small-text">${training.error.hint}</p></div>`}
    <${Progress} label=${t("personal.progress")} value=${runs ? share : (share ?? 0)} text=${told.join(" · ")} />
    <${Curve} points=${points} steps=${points.at(-1)?.stage === training.stage ? training.steps : 0} />
    <div class="row">
      ${runs
        ? html`<${Button} icon="pause" busy=${isBusy.value} onClick=${() => doing(() => pause(training.id))}>${t("personal.pause")}<//>`
        : html`<${Button} kind="primary" icon="play" busy=${isBusy.value} onClick=${() => doing(() => resume(training.id))}>${t("personal.resume")}<//>`}
      <${Button}
        kind="quiet"
        onClick=${() => {
          isLeaving.value = true;
        }}
      >${t("personal.cancel")}<//>
    </div>
    ${training.when_idle && runs && html`<p class="muted small-text">${t("personal.is_idle")}</p>`}
    ${isLeaving.value &&
    html`<${Confirm}
      title=${t("personal.cancel_ask")}
      action=${t("personal.cancel_yes")}
      busy=${isBusy.value}
      onConfirm=${() => doing(() => remove(training.id))}
      onClose=${() => {
        isLeaving.value = false;
      }}
    >
      <p>${t("personal.cancel_about")}</p>
    <//>`}
  </div>`;
}

/** How the latest one ended, with what the gate measured. @param {{training: Training}} props */
function Ended({ training }) {
  const isDone = training.state === "done";
  return html`<div class="stack">
    <div class=${`notice ${isDone ? "good" : "warn"}`}>
      <p><strong>${t(isDone ? "personal.passed" : "personal.refused", { name: training.adapter })}</strong></p>
      <p>${t(isDone ? "personal.passed_about" : "personal.refused_about")}</p>
    </div>
    <${Gate} verdict=${training.verdict} />
    <details>
      <summary>${t("personal.how_it_learned")}</summary>
      ${["sft", "preference"].map(
        (stage) => html`<${Curve} key=${stage} points=${(training.losses ?? []).filter((one) => one.stage === stage)} steps=${0} />`,
      )}
    </details>
  </div>`;
}
