// @ts-check
// The models on this machine: what each is for, whether it is in memory, and what can be done with it.

import { html, useSignal } from "../core/ui.js";
import { bytes, t, when } from "../core/i18n.js";
import { del } from "../core/api.js";
import { complain, toast } from "../core/state.js";
import { Badge, Button, Confirm, Icon, Menu } from "../parts/index.js";
import { Adapters } from "./adapters.js";
import { adapters, choose, chosen, isSame, loaded, lookAtMachine, models, move, moving, reload } from "./shelf.js";
import { context, memory, parameters } from "./words.js";

const ICONS = { chat: "chat", embedding: "search", reranker: "filter" };

/** @param {{onDetails: (model: import("./shelf.js").Model) => void}} props */
export function Installed({ onDetails }) {
  const leaving = useSignal(/** @type {import("./shelf.js").Model | null} */ (null));
  const isBusy = useSignal(false);
  const remove = async () => {
    const model = /** @type {import("./shelf.js").Model} */ (leaving.value);
    isBusy.value = true;
    try {
      const { freed_bytes: freed } = await del("/ondol/v1/models", { model: model.name });
      toast(t("models.deleted", { name: model.name, size: bytes(freed) }), { kind: "good" });
    } catch (error) {
      complain(error);
    }
    isBusy.value = false;
    leaving.value = null;
    await Promise.all([reload(), lookAtMachine()]);
  };
  const order = { chat: 0, embedding: 1, reranker: 2 };
  const shown = [...(models.value ?? [])].sort((a, b) => order[a.kind] - order[b.kind] || b.size_bytes - a.size_bytes);
  return html`<div class="installed">
    ${shown.map(
      (one) => html`<${Card}
        key=${one.name}
        model=${one}
        onDetails=${onDetails}
        onDelete=${() => {
          leaving.value = one;
        }}
      />`,
    )}
    ${leaving.value &&
    html`<${Confirm}
      title=${t("models.delete_ask", { name: leaving.value.name })}
      action=${t("models.delete")}
      busy=${isBusy.value}
      onConfirm=${remove}
      onClose=${() => {
        leaving.value = null;
      }}
    >
      <div class="stack">
        <p>${t("models.delete_about", { size: bytes(leaving.value.size_bytes) })}</p>
        ${isUsed(leaving.value) && html`<p class="notice warn">${t("models.delete_used")}</p>`}
        ${adapters.value.some((one) => one.model === leaving.value?.name && !one.shipped) && html`<p class="notice warn">${t("models.delete_adapters")}</p>`}
      </div>
    <//>`}
  </div>`;
}

/** Whether the settings name it. @param {import("./shelf.js").Model} model */
export const isUsed = (model) =>
  [chosen.value.chat, chosen.value.embedding, chosen.value.rerank].some((name) => isSame(name, model.name));

/** @param {{model: import("./shelf.js").Model, onDetails: (model: import("./shelf.js").Model) => void, onDelete: () => void}} props */
function Card({ model, onDetails, onDelete }) {
  const inside = loaded.value.find((one) => one.model === model.name);
  const isMoving = moving.value.has(model.name);
  const canLoad = model.format === "gguf";
  const used = isUsed(model);
  const facts = [parameters(model.parameters), model.quantization, bytes(model.size_bytes), context(model.context_length)];
  const items = [
    { text: t("models.details"), icon: "eye", run: () => onDetails(model) },
    ...(model.kind === "chat" && !used ? [{ text: t("models.use"), icon: "check", run: () => choose({ "models.chat": model.name }) }] : []),
    ...(model.kind === "reranker"
      ? [{ text: t(used ? "models.rerank_off" : "models.rerank_on"), icon: "filter", run: () => choose({ "models.rerank": used ? null : model.name }) }]
      : []),
    null,
    { text: t("models.delete"), icon: "trash", danger: true, run: onDelete },
  ];
  return html`<article class="card model">
    <div class="model-head">
      <span class=${`model-icon${inside ? " inside" : ""}`}><${Icon} name=${ICONS[model.kind]} /></span>
      <div class="model-text">
        <h3><button type="button" class="plain-link" onClick=${() => onDetails(model)}>${model.name}</button></h3>
        <p class="muted small-text">${facts.filter(Boolean).join(" · ")}</p>
        <p class="badges">
          <${Badge}>${t(`models.kind_${model.kind}`)}<//>
          ${used && html`<${Badge} tone="accent"><${Icon} name="check" size=${13} />${t(`models.used_${model.kind}`)}<//>`}
          ${inside &&
          html`<${Badge} tone="good">
            ${inside.in_use ? t("models.answering") : t("models.inside", { size: memory(inside.size_bytes) })}
          <//>`}
        </p>
      </div>
      <div class="model-deeds">
        ${canLoad &&
        html`<${Button} small busy=${isMoving} onClick=${() => move(model.name, !inside)}>
          ${isMoving ? t(inside ? "models.unloading" : "models.loading") : t(inside ? "models.unload" : "models.load")}
        <//>`}
        <${Menu} label=${t("models.menu", { name: model.name })} items=${items} />
      </div>
    </div>
    ${inside?.expires_at && !inside.in_use && html`<p class="muted small-text model-leaves">${t("models.leaves", { time: when(inside.expires_at) })}</p>`}
    <${Adapters} model=${model} />
  </article>`;
}
