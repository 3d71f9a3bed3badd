// @ts-check
// What trainings made, which of it answers, and the way back; and all trainings so far.

import { html, useSignal } from "../core/ui.js";
import { bytes, moment, number, t, when } from "../core/i18n.js";
import { Badge, Button, Confirm, IconButton } from "../parts/index.js";
import { Merging, mergeable } from "./merging.js";
import { activate, activations, erase, measureCommand, remove, rollback } from "./state.js";

/** @typedef {import("./state.js").Adapter} Adapter */
/** @typedef {import("./state.js").Training} Training */

/** @param {{model: string, adapters: Adapter[]}} props */
export function Made({ model, adapters }) {
  const isBusy = useSignal("");
  const erasing = useSignal(/** @type {Adapter | null} */ (null));
  const isMerging = useSignal(false);
  if (!adapters.length) return null;
  const parts = mergeable(adapters);
  /** @param {string} name @param {() => Promise<any>} work */
  const doing = async (name, work) => {
    isBusy.value = name;
    await work();
    isBusy.value = "";
  };
  const own = activations.value.filter((one) => one.model === adapters[0].model);
  return html`<section class="card stack" aria-labelledby="personal-made">
    <div class="row spread">
      <h2 id="personal-made">${t("personal.made")}</h2>
      <div class="row">
        ${parts.length > 0 &&
        html`<${Button}
          small
          icon="branch"
          onClick=${() => {
            isMerging.value = true;
          }}
        >${t("personal.merge")}<//>`}
        ${own.length > 0 &&
        adapters.some((one) => one.is_active) &&
        html`<${Button} small icon="back" busy=${isBusy.value === "rollback"} onClick=${() => doing("rollback", () => rollback(adapters[0].model))}>${t("personal.rollback")}<//>`}
      </div>
    </div>
    <ul class="personal-list">
      ${adapters.map(
        (one) => html`<li key=${one.name}>
          <div class="personal-source">
            <span class="row"><strong>${one.adapter}</strong><${Standing} adapter=${one} /></span>
            <span class="muted small-text">
              ${origin(one)} · ${bytes(one.size_bytes)} ·
              ${" "}<time datetime=${one.created_at} title=${moment(one.created_at)}>${when(one.created_at)}</time>
            </span>
            ${isUnmeasured(one) && html`<span class="muted small-text">${t("personal.measure_it")} <code>${measureCommand(one.name)}</code></span>`}
          </div>
          ${!one.is_active &&
          !one.stale &&
          !one.is_candidate &&
          html`<${Button} small busy=${isBusy.value === one.name} onClick=${() => doing(one.name, () => activate(one.name))}>${t("personal.activate")}<//>`}
          <${IconButton}
            icon="trash"
            label=${t("personal.erase_adapter", { name: one.adapter })}
            onClick=${() => {
              erasing.value = one;
            }}
          />
        </li>`,
      )}
    </ul>
    ${own.length > 0 &&
    html`<details>
      <summary>${t("personal.history")}</summary>
      <ol class="personal-history">
        ${own.map(
          (one) => html`<li key=${one.number}>
            <time datetime=${one.at}>${moment(one.at)}</time>
            <span>${Object.keys(one.adapters).length ? Object.keys(one.adapters).join(" + ") : t("personal.model_alone")}</span>
          </li>`,
        )}
      </ol>
    </details>`}
    ${isMerging.value &&
    html`<${Merging}
      adapters=${parts}
      onClose=${() => {
        isMerging.value = false;
      }}
    />`}
    ${erasing.value &&
    html`<${Confirm}
      title=${t("personal.erase_adapter_ask", { name: erasing.value.adapter })}
      action=${t("personal.erase_yes")}
      busy=${isBusy.value === "erase"}
      onConfirm=${() =>
        doing("erase", async () => {
          if (erasing.value && (await erase(erasing.value.name))) erasing.value = null;
        })}
      onClose=${() => {
        erasing.value = null;
      }}
    >
      <p>${t("personal.erase_adapter_about", { model })}</p>
    <//>`}
  </section>`;
}

/** Merged, and not through the gate yet. @param {Adapter} adapter */
const isUnmeasured = (adapter) => adapter.is_candidate && Boolean(adapter.trained_on?.merged_from) && !adapter.evaluation?.gate;

/** What it learned from, or what it was merged from. @param {Adapter} adapter */
function origin({ trained_on: from }) {
  if (!from?.merged_from) return t("personal.made_from", { count: number(from?.num_examples ?? 0) });
  const names = from.merged_from.map((/** @type {{name: string}} */ one) => one.name.slice(one.name.lastIndexOf(":") + 1));
  return t("personal.merged_from", { names: names.join(" + ") });
}

/** @param {{adapter: Adapter}} props */
function Standing({ adapter }) {
  if (adapter.is_active) return html`<${Badge} tone="good">${t("personal.answers")}<//>`;
  if (adapter.stale) return html`<${Badge} tone="warn" title=${t("personal.stale_about")}>${t("personal.stale")}<//>`;
  if (isUnmeasured(adapter)) return html`<${Badge}>${t("personal.unmeasured")}<//>`;
  if (adapter.is_candidate) return html`<${Badge} tone="warn">${t("personal.candidate")}<//>`;
  return null;
}

/** @type {Record<string, "good" | "warn" | "bad" | "accent" | "muted">} */
const TONES = { done: "good", refused: "warn", failed: "bad", running: "accent", waiting: "accent", paused: "muted" };

/** Trainings before the latest one. @param {{trainings: Training[]}} props */
export function Past({ trainings }) {
  if (!trainings.length) return null;
  return html`<section class="card stack" aria-labelledby="personal-past">
    <h2 id="personal-past">${t("personal.past")}</h2>
    <ul class="personal-list">
      ${trainings.map(
        (one) => html`<li key=${one.id}>
          <div class="personal-source">
            <span class="row"><strong>${one.name}</strong><${Badge} tone=${TONES[one.state]}>${t(`personal.state_${one.state}`)}<//></span>
            <span class="muted small-text">
              ${t("personal.from", { count: number(one.num_examples) })} · <time datetime=${one.started_at} title=${moment(one.started_at)}>${when(one.started_at)}</time>
            </span>
          </div>
          <${IconButton} icon="trash" label=${t("personal.erase_training", { when: moment(one.started_at) })} onClick=${() => remove(one.id)} />
        </li>`,
      )}
    </ul>
  </section>`;
}
