// @ts-check
// A memory's fields: its text, whether it is a fact or a preference, how far it may travel.

import { html, useSignal } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { Button, Choice, Dialog, Field, Select } from "../parts/index.js";

/** @typedef {{id: string, kind: "fact" | "preference", text: string, sensitivity: string, source: string, created_at: string, updated_at: string, versions: number}} Memory */
/** @typedef {{text: string, kind: string, sensitivity: string}} Fields */

export const KINDS = ["fact", "preference"];
export const LEVELS = ["private", "trusted", "public"];
const LONGEST = 2000;

/**
 * Says something new, in one line with its two choices under it.
 * @param {{onAdd: (fields: Fields) => Promise<boolean>}} props `onAdd`: whether it was taken
 */
export function AddForm({ onAdd }) {
  const fields = useSignal({ text: "", kind: "fact", sensitivity: "private" });
  const isBusy = useSignal(false);
  const text = fields.value.text.trim();
  /** @param {Event} event */
  const submit = async (event) => {
    event.preventDefault();
    if (!text || isBusy.value) return;
    isBusy.value = true;
    if (await onAdd(fields.value)) fields.value = { ...fields.value, text: "" };
    isBusy.value = false;
  };
  return html`<form class="card stack memory-add" onSubmit=${submit}>
    <${Text} label=${t("memory.add_label")} placeholder=${t(`memory.placeholder_${fields.value.kind}`)} fields=${fields} onSubmit=${submit} />
    <div class="row spread">
      <${Choices} fields=${fields} />
      <${Button} kind="primary" icon="add" type="submit" busy=${isBusy.value} disabled=${!text}>${t("memory.add")}<//>
    </div>
  </form>`;
}

/** @param {{memory: Memory, onSave: (fields: Fields) => Promise<boolean>, onClose: () => void}} props */
export function EditDialog({ memory, onSave, onClose }) {
  const fields = useSignal({ text: memory.text, kind: /** @type {string} */ (memory.kind), sensitivity: memory.sensitivity });
  const isBusy = useSignal(false);
  const save = async () => {
    isBusy.value = true;
    if (await onSave(fields.value)) onClose();
    isBusy.value = false;
  };
  const footer = html`<${Button} onClick=${onClose}>${t("shell.cancel")}<//>
    <${Button} kind="primary" busy=${isBusy.value} disabled=${!fields.value.text.trim()} onClick=${save}>${t("memory.save")}<//>`;
  return html`<${Dialog} title=${t("memory.edit")} onClose=${onClose} footer=${footer}>
    <div class="stack">
      <${Text} label=${t("memory.text")} fields=${fields} />
      <${Choices} fields=${fields} />
      <p class="muted small-text">${t("memory.edit_about")}</p>
    </div>
  <//>`;
}

/** @param {{label: string, placeholder?: string, fields: any, onSubmit?: (event: Event) => void}} props */
function Text({ label, placeholder = "", fields, onSubmit }) {
  return html`<${Field} label=${label}>
    ${(/** @type {any} */ id) =>
      html`<textarea
        ...${id}
        rows="2"
        maxlength=${LONGEST}
        placeholder=${placeholder}
        value=${fields.value.text}
        onInput=${(/** @type {any} */ event) => {
          fields.value = { ...fields.value, text: event.currentTarget.value };
        }}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
          if (event.key === "Enter" && !event.shiftKey && !event.isComposing && onSubmit) onSubmit(event);
        }}
      ></textarea>`}
  <//>`;
}

/** @param {{fields: any}} props */
function Choices({ fields }) {
  return html`<div class="row">
    <${Choice}
      label=${t("memory.kind")}
      value=${fields.value.kind}
      options=${KINDS.map((value) => ({ value, text: t(`memory.${value}`) }))}
      onChange=${(/** @type {string} */ kind) => {
        fields.value = { ...fields.value, kind };
      }}
    />
    <${Select}
      label=${t("memory.sensitivity")}
      value=${fields.value.sensitivity}
      options=${LEVELS.map((value) => ({ value, text: t(`memory.${value}`) }))}
      onChange=${(/** @type {string} */ sensitivity) => {
        fields.value = { ...fields.value, sensitivity };
      }}
    />
  </div>`;
}
