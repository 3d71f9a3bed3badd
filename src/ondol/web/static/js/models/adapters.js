// @ts-check
// The adapters of a model: what each does, how it was measured, and which one answers.

import { html, useSignal } from "../core/ui.js";
import { bytes, moment, number, percent, t } from "../core/i18n.js";
import { del } from "../core/api.js";
import { complain, toast } from "../core/state.js";
import { Badge, Button, Confirm, Drawer, Icon, Switch } from "../parts/index.js";
import { adapters, choose, chosen, isSame, reload } from "./shelf.js";

/** @typedef {import("./shelf.js").Adapter} Adapter */

const METRICS = ["accuracy", "f1", "citation_correctness", "abstention_recall", "wrongly_abstains"];

/** @param {{model: import("./shelf.js").Model}} props */
export function Adapters({ model }) {
  const shown = useSignal(/** @type {Adapter | null} */ (null));
  const here = adapters.value.filter((one) => one.model === model.name);
  if (!here.length) return null;
  return html`<div class="adapters">
    <h4>${t("models.adapters")}</h4>
    <ul>
      ${here.map(
        (one) => html`<li key=${one.digest}>
          <${Icon} name="sliders" size=${18} />
          <div class="adapter-text">
            <strong>${one.adapter}</strong>
            ${one.description && html`<span class="muted small-text">${about(one)}</span>`}
            ${one.stale && html`<${Badge} tone="warn">${t("models.stale")}<//>`}
          </div>
          <${Button}
            small
            kind="quiet"
            onClick=${() => {
              shown.value = one;
            }}
          >${t("models.measured")}<//>
          ${!one.stale && isSame(chosen.value.chat, model.name) && html`<${Answers} adapter=${one} />`}
        </li>`,
      )}
    </ul>
    ${shown.value &&
    html`<${Details}
      adapter=${shown.value}
      onClose=${() => {
        shown.value = null;
      }}
    />`}
  </div>`;
}

/** Whether it answers questions about documents. @param {{adapter: Adapter}} props */
function Answers({ adapter }) {
  const isOn = chosen.value.adapter === adapter.adapter;
  return html`<${Switch}
    label=${t("models.answers")}
    checked=${isOn}
    onChange=${(/** @type {boolean} */ on) => choose({ "answer.adapter": on ? adapter.adapter : "" })}
  />`;
}

/** @param {{adapter: Adapter, onClose: () => void}} props */
function Details({ adapter, onClose }) {
  const isLeaving = useSignal(false);
  const groups = Object.entries(adapter.evaluation ?? {})
    .filter(([, value]) => value?.on && value?.off)
    .sort(([, a], [, b]) => (b.on.accuracy?.n ?? 0) - (a.on.accuracy?.n ?? 0));
  const remove = async () => {
    try {
      const { freed_bytes: freed } = await del(`/ondol/v1/adapters/${adapter.name}`);
      toast(t("models.deleted", { name: adapter.name, size: bytes(freed) }), { kind: "good" });
      await reload();
    } catch (error) {
      complain(error);
    }
    onClose();
  };
  const facts = [
    [t("models.size"), bytes(adapter.size_bytes)],
    [t("models.trained"), moment(adapter.created_at)],
    [t("models.examples"), adapter.trained_on?.num_examples ? number(adapter.trained_on.num_examples) : ""],
    [t("models.rank"), adapter.r ? number(adapter.r) : ""],
  ];
  return html`<${Drawer} title=${adapter.name} onClose=${onClose}>
    <div class="stack">
      ${adapter.description && html`<p>${about(adapter)}</p>`}
      <dl class="facts">${facts.filter(([, value]) => value).map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}</dl>
      <h3>${t("models.evaluation")}</h3>
      ${groups.length
        ? html`<p class="muted small-text">${t("models.evaluation_about")}</p>
            ${groups.map(([name, value]) => html`<${Group} key=${name} name=${name} value=${value} />`)}`
        : html`<p class="muted">${t("models.not_measured")}</p>`}
      ${!adapter.shipped &&
      html`<div>
        <${Button}
          kind="danger"
          icon="trash"
          onClick=${() => {
            isLeaving.value = true;
          }}
        >${t("models.delete_adapter")}<//>
      </div>`}
      ${isLeaving.value &&
      html`<${Confirm}
        title=${t("models.delete_ask", { name: adapter.name })}
        action=${t("models.delete")}
        onConfirm=${remove}
        onClose=${() => {
          isLeaving.value = false;
        }}
      >
        <p>${t("models.delete_adapter_about")}</p>
      <//>`}
    </div>
  <//>`;
}

/** What an adapter is for; of one that came with Ondol in the language of the page. @param {Adapter} adapter */
const about = (adapter) => (adapter.shipped ? inWords(`models.about_${adapter.adapter}`, adapter.description) : adapter.description);

/** The sentence of a key that may not be there. @param {string} key @param {string} otherwise */
function inWords(key, otherwise) {
  const text = t(key);
  return text === key ? otherwise : text;
}

/** What a model does without and with the adapter, on one set of questions. @param {{name: string, value: any}} props */
function Group({ name, value }) {
  const known = METRICS.filter((metric) => value.on[metric]?.n && value.on[metric].value !== null);
  if (!known.length) return null;
  return html`<div class="card evaluation">
    <h4>${inWords(`models.set_${name.toLowerCase().replace(/\W/g, "_")}`, name)}</h4>
    <table>
      <thead>
        <tr><th scope="col">${t("models.metric")}</th><th scope="col">${t("models.without")}</th><th scope="col">${t("models.with")}</th></tr>
      </thead>
      <tbody>
        ${known.map(
          (metric) => html`<tr key=${metric}>
            <th scope="row">${t(`models.metric_${metric}`)}</th>
            <td>${value.off[metric]?.value === null || value.off[metric] === undefined ? "–" : percent(value.off[metric].value)}</td>
            <td><strong>${percent(value.on[metric].value)}</strong><small class="muted"> ${t("models.of_questions", { count: number(value.on[metric].n) })}</small></td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
