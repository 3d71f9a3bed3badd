// @ts-check
// Installations under way: which step, how far; and what came of those that failed, with what can be
// chosen then.

import { html, useSignal } from "../core/ui.js";
import { bytes, number, t } from "../core/i18n.js";
import { Button, Confirm, Dialog, Field, Icon, IconButton, Progress } from "../parts/index.js";
import { install } from "./state.js";
import { dismiss, isActive, nameOf, stop, updates } from "./updates.js";

const STEPS = ["fetch", "scan", "stage", "smoke", "gate", "switch"];
const COUNTED = ["fetch", "gate", "evaluate"];

/** @typedef {import("./updates.js").Update} Update */

export function Running() {
  const shown = updates.value.filter((one) => one.state !== "done");
  if (!shown.length) return null;
  return html`<section class="stack" aria-labelledby="hub-running">
    <h2 id="hub-running">${t("hub.running")}</h2>
    ${shown.map((one) => html`<${Card} key=${one.id} update=${one} />`)}
  </section>`;
}

/** @param {{update: Update}} props */
function Card({ update }) {
  const { state, step, completed: done, total, error } = update;
  const asked = useSignal("");
  const name = nameOf(update);
  const share = COUNTED.includes(step) && total ? done / total : null;
  /** @param {Record<string, any>} [agreed] */
  const again = async (agreed = {}) => {
    const { hub = "", publisher = "", item = "", version, channel, name: as } = update;
    asked.value = "";
    await install({ hub, publisher, item, version, channel: channel || undefined, name: as, ...agreed });
  };
  /** What has to be said before it can go on. @param {string} param */
  const ask = (param) => () => {
    asked.value = param;
  };
  const close = ask("");
  const param = error?.param ?? "";
  return html`<article class=${`card hub-update ${state}`}>
    <div class="row spread">
      <h3>${name}</h3>
      <div class="row">
        ${isActive(update)
          ? html`<${Button} small icon="stop" onClick=${() => stop(update)}>${t("hub.stop")}<//>`
          : update.deed === "install" && html`<${Again} param=${param} onAsk=${ask(param)} onAgain=${() => again()} />`}
        ${!isActive(update) && html`<${IconButton} icon="close" label=${t("hub.dismiss", { name })} onClick=${() => dismiss(update)} />`}
      </div>
    </div>
    ${isActive(update) && html`<${Progress} label=${name} value=${state === "waiting" ? 0 : share} text=${share === null ? "" : `${number(Math.floor(share * 100))} %`} />`}
    ${update.deed === "install" && state === "running" && html`<${Steps} step=${step} />`}
    <p class="muted small-text" role="status">${told(update)}</p>
    ${error && html`<p class=${`notice ${param ? "warn" : "bad"}`}>${[error.message, param ? "" : error.hint].filter(Boolean).join(" ")}</p>`}
    ${asked.value === "allow_stale" &&
    html`<${Confirm} title=${t("hub.stale_ask", { name })} action=${t("hub.stale_yes")} onConfirm=${() => again({ allow_stale: true })} onClose=${close}>
      <div class="stack">
        <p>${error?.message}</p>
        <p class="muted">${t("hub.stale_back")}</p>
      </div>
    <//>`}
    ${(asked.value === "replace" || asked.value === "name") &&
    html`<${Naming} update=${update} mayReplace=${asked.value === "replace"} onYes=${again} onClose=${close} />`}
  </article>`;
}

/** @param {{param: string, onAsk: () => void, onAgain: () => void}} props */
function Again({ param, onAsk, onAgain }) {
  if (param === "allow_stale") return html`<${Button} small onClick=${onAsk}>${t("hub.stale_choose")}<//>`;
  if (param === "replace" || param === "name") return html`<${Button} small onClick=${onAsk}>${t("hub.replace_choose")}<//>`;
  return html`<${Button} small icon="refresh" onClick=${onAgain}>${t("hub.try_again")}<//>`;
}

/** The name is taken: another one, or its place. @param {{update: Update, mayReplace: boolean, onYes: (agreed: Record<string, any>) => void, onClose: () => void}} props */
function Naming({ update, mayReplace, onYes, onClose }) {
  const name = useSignal("");
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    onYes({ name: name.value.trim() });
  };
  return html`<${Dialog} title=${t("hub.replace_ask")} onClose=${onClose}>
    <form class="stack" onSubmit=${submit}>
      <p>${update.error?.message}</p>
      ${mayReplace && html`<p class="muted">${t("hub.replace_about")}</p>`}
      <${Field} label=${t("hub.as_name")}>
        ${(/** @type {any} */ field) => html`<input
          ...${field}
          type="text"
          autocapitalize="off"
          spellcheck=${false}
          value=${name.value}
          onInput=${(/** @type {any} */ event) => {
            name.value = event.currentTarget.value;
          }}
        />`}
      <//>
      <div class="row hub-end">
        ${mayReplace && html`<${Button} onClick=${() => onYes({ replace: true })}>${t("hub.replace_yes")}<//>`}
        <${Button} kind="primary" type="submit" disabled=${!name.value.trim()}>${t("hub.as_yes")}<//>
      </div>
    </form>
  <//>`;
}

/** @param {{step: string}} props */
function Steps({ step }) {
  const at = STEPS.indexOf(step);
  return html`<ol class="hub-steps">
    ${STEPS.map(
      (one, index) => html`<li key=${one} class=${index < at ? "over" : index === at ? "now" : ""} aria-current=${index === at ? "step" : undefined}>
        ${index < at && html`<${Icon} name="check" size=${13} />`}${t(`hub.step_${one}`)}
      </li>`,
    )}
  </ol>`;
}

/** @param {Update} update */
function told({ deed, state, step, completed: done, total, bytes_per_second: speed }) {
  if (state === "waiting") return t("hub.waits");
  if (state === "stopped") return t("hub.stopped");
  if (state === "failed") return t(deed === "evaluate" ? "hub.failed_evaluation" : "hub.failed");
  if (step === "fetch" && done) {
    const size = total ? t("hub.of_bytes", { done: bytes(done), total: bytes(total) }) : bytes(done);
    return [size, speed ? t("hub.speed", { size: bytes(speed) }) : ""].filter(Boolean).join(" · ");
  }
  return t(`hub.doing_${step || "fetch"}`);
}
