// @ts-check
// What there is to learn from: how much, where it is from, since when the owner agrees; and what is
// still missing before a training may begin.

import { html, useSignal } from "../core/ui.js";
import { moment, number, t, when } from "../core/i18n.js";
import { href } from "../core/router.js";
import { Button, Confirm, Icon, IconButton, Progress } from "../parts/index.js";
import { Bringing } from "./bringing.js";
import { agree, eraseSource } from "./state.js";

/** @typedef {import("./state.js").Overview} Overview */
/** @typedef {import("./state.js").Source} Source */

/** @type {Record<string, string>} */
const ICONS = { feedback: "thumb_up", chat_export: "chat", writing: "edit", file: "documents" };

/** @param {{found: Overview}} props */
export function Learning({ found }) {
  const erasing = useSignal(/** @type {Source | null} */ (null));
  const isBusy = useSignal(false);
  const erase = async () => {
    isBusy.value = true;
    if (erasing.value && (await eraseSource(erasing.value.id))) erasing.value = null;
    isBusy.value = false;
  };
  const { samples } = found;
  return html`<section class="card stack" aria-labelledby="personal-learning">
    <h2 id="personal-learning">${t("personal.learning")}</h2>
    <${Consent} found=${found} />
    <${Enough} found=${found} />
    <ul class="counts">
      ${["sft", "preference", "thumb", "held_out"].map(
        (kind) => html`<li key=${kind} title=${t(`personal.count_${kind}_about`)}>
          <b>${number(samples[kind])}</b><span>${t(`personal.count_${kind}`)}</span>
        </li>`,
      )}
    </ul>
    ${found.sources.length > 0 &&
    html`<ul class="personal-sources">
      ${found.sources.map(
        (one) => html`<li key=${one.id}>
          <${Icon} name=${ICONS[one.kind] ?? "documents"} size=${18} />
          <div class="personal-source">
            <strong>${one.kind === "feedback" ? t("personal.source_feedback") : one.name}</strong>
            <span class="muted small-text">
              ${one.kind !== "feedback" && `${t(`personal.source_${one.kind}`)} · `}${t("personal.source_count", { count: number(one.sft + one.preference + one.thumb) })}
              ${" · "}<time datetime=${one.consented_at} title=${moment(one.consented_at)}>${t("personal.agreed", { when: when(one.consented_at) })}</time>
            </span>
          </div>
          <${IconButton}
            icon="trash"
            label=${t("personal.erase_source", { name: one.kind === "feedback" ? t("personal.source_feedback") : one.name })}
            onClick=${() => {
              erasing.value = one;
            }}
          />
        </li>`,
      )}
    </ul>`}
    <${Bringing} />
    ${erasing.value &&
    html`<${Confirm}
      title=${t("personal.erase_source_ask")}
      action=${t("personal.erase_yes")}
      busy=${isBusy.value}
      onConfirm=${erase}
      onClose=${() => {
        erasing.value = null;
      }}
    >
      <p>${t("personal.erase_source_about")}</p>
    <//>`}
  </section>`;
}

/** Nothing is learned from feedback before the owner says so. @param {{found: Overview}} props */
export function Consent({ found }) {
  const isBusy = useSignal(false);
  if (found.feedback.is_agreed || !found.feedback.answers) return null;
  const say = async () => {
    isBusy.value = true;
    await agree();
    isBusy.value = false;
  };
  return html`<div class="notice stack">
    <p>${t("personal.agree_ask", { count: number(found.feedback.answers) })}</p>
    <div><${Button} kind="primary" icon="check" busy=${isBusy.value} onClick=${say}>${t("personal.agree")}<//></div>
  </div>`;
}

/** How far it is to a training, while it is not there. @param {{found: Overview}} props */
function Enough({ found }) {
  const { learned, held_out: heldOut, fewest } = found;
  if (learned >= fewest.learned && heldOut >= fewest.held_out) return null;
  const done = Math.min(1, learned / fewest.learned) * 0.8 + Math.min(1, heldOut / fewest.held_out) * 0.2;
  return html`<div class="stack">
    <${Progress}
      label=${t("personal.enough")}
      value=${done}
      text=${t("personal.of_needed", { learned: number(Math.min(learned, fewest.learned)), fewest: number(fewest.learned), held_out: number(Math.min(heldOut, fewest.held_out)), fewest_held_out: number(fewest.held_out) })}
    />
    <p>${t("personal.not_enough", { fewest: number(fewest.learned), held_out: number(fewest.held_out) })}</p>
    <p><a href=${href("chat")}>${t("personal.to_chat")}</a></p>
  </div>`;
}
