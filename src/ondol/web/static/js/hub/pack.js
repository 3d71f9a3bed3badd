// @ts-check
// A pack on this machine: what it brought, what it measured here, measured again, and its removal.

import { html, useSignal } from "../core/ui.js";
import { number, t } from "../core/i18n.js";
import { Button, Confirm } from "../parts/index.js";
import { Evaluation } from "./evaluation.js";
import { evaluatePack, removePack, usePack } from "./state.js";
import { isActive, updates } from "./updates.js";

/** @param {{pack: import("./state.js").Pack}} props */
export function Pack({ pack }) {
  const isLeaving = useSignal(false);
  const isBusy = useSignal(false);
  const measuring = updates.value.some((one) => one.deed === "evaluate" && one.name === pack.name && isActive(one));
  const remove = async () => {
    isBusy.value = true;
    await removePack(pack.name);
    isBusy.value = isLeaving.value = false;
  };
  const brought = [
    pack.model,
    pack.has_adapter ? t("hub.pack_adapter") : "",
    pack.prompts ? t("hub.pack_prompts", { count: number(pack.prompts) }) : "",
    pack.terms ? t("hub.pack_terms", { count: number(pack.terms) }) : "",
    pack.questions ? t("hub.pack_questions", { count: number(pack.questions) }) : "",
  ];
  return html`<div class="stack hub-pack">
    ${pack.description && html`<p>${pack.description}</p>`}
    ${pack.not_for && html`<p class="notice warn">${pack.not_for}</p>`}
    <p class="muted small-text">${brought.filter(Boolean).join(" · ")}</p>
    <${Measured} evaluation=${pack.evaluation} />
    <div class="row">
      <${Button} small icon="chat" onClick=${() => usePack(pack.name)}>${t("hub.pack_use")}<//>
      ${pack.questions > 0 && html`<${Button} small icon="refresh" busy=${measuring} onClick=${() => evaluatePack(pack.name)}>${t(measuring ? "hub.pack_measuring" : "hub.pack_measure")}<//>`}
      <${Button}
        small
        kind="danger"
        icon="trash"
        onClick=${() => {
          isLeaving.value = true;
        }}
      >${t("hub.pack_remove")}<//>
    </div>
    ${isLeaving.value &&
    html`<${Confirm}
      title=${t("hub.pack_remove_ask", { name: pack.name })}
      action=${t("hub.pack_remove")}
      busy=${isBusy.value}
      onConfirm=${remove}
      onClose=${() => {
        isLeaving.value = false;
      }}
    >
      <p>${t("hub.pack_remove_about")}</p>
    <//>`}
  </div>`;
}

/** What was measured on this machine, without and with it. @param {{evaluation: any}} props */
function Measured({ evaluation }) {
  const measures = evaluation?.measures ?? [];
  if (!measures.length) return html`<p class="muted small-text">${t("hub.pack_not_measured")}</p>`;
  const how = evaluation.is_worse ? "worse" : measures.some((/** @type {any} */ one) => one.low > 0) ? "better" : "same";
  return html`<p class=${`notice ${how === "better" ? "good" : "warn"}`}>${t(`hub.pack_${how}`, { count: number(evaluation.questions) })}</p>
    <${Evaluation} evaluation=${evaluation} label=${t("hub.pack_evaluation")} />`;
}
