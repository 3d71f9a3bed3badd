// @ts-check
// All that is known about one model.

import { html } from "../core/ui.js";
import { bytes, moment, number, t } from "../core/i18n.js";
import { Copy, Drawer } from "../parts/index.js";
import { loaded } from "./shelf.js";
import { Tuning } from "./tuning.js";
import { context, parameters } from "./words.js";

/** @param {{model: import("./shelf.js").Model, onClose: () => void}} props */
export function Details({ model, onClose }) {
  const inside = loaded.value.find((one) => one.model === model.name);
  /** @type {[string, string][]} */
  const facts = [
    [t("models.column_kind"), t(`models.kind_${model.kind}`)],
    [t("models.size"), bytes(model.size_bytes)],
    [t("models.parameters"), parameters(model.parameters)],
    [t("models.quantization"), model.quantization],
    [t("models.context"), context(model.context_length)],
    [t("models.context_now"), inside ? context(inside.num_ctx) : ""],
    [t("models.dimensions"), model.embedding_length && model.kind === "embedding" ? number(model.embedding_length) : ""],
    [t("models.family"), model.family],
    [t("models.format"), model.format.toUpperCase()],
    [t("models.licence"), model.licence],
    [t("models.here_since"), moment(model.modified_at)],
  ];
  return html`<${Drawer} title=${model.name} onClose=${onClose}>
    <div class="stack">
      <dl class="facts">${facts.filter(([, value]) => value).map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}</dl>
      ${model.kind === "chat" && html`<${Tuning} model=${model.name} />`}
      <${Code} name=${t("models.source")} text=${model.source} />
      <${Code} name=${t("models.digest")} text=${model.digest} />
      <p class="muted small-text">${t("models.digest_about")}</p>
      <${Code} name=${t("models.in_terminal")} text=${model.kind === "chat" ? `ondol run ${model.name}` : `ondol show ${model.name}`} />
    </div>
  <//>`;
}

/** @param {{name: string, text: string}} props */
function Code({ name, text }) {
  if (!text) return null;
  return html`<div class="code-line">
    <span class="small-text">${name}</span>
    <p><code>${text}</code><${Copy} text=${text} label=${t("models.copy", { name })} /></p>
  </div>`;
}
