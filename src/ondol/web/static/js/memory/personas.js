// @ts-check
// Personas: profiles under a name, one of them chosen; chats begin with its text.

import { html, useEffect, useSignal } from "../core/ui.js";
import { del, get, put } from "../core/api.js";
import { t } from "../core/i18n.js";
import { complain, toast } from "../core/state.js";
import { Button, Confirm, Dialog, Field, IconButton, Switch } from "../parts/index.js";

/** @typedef {{name: string, text: string, is_chosen: boolean}} Persona */

const ALL = "/ondol/v1/personas";
const LONGEST_NAME = 60;
const LONGEST_TEXT = 20000;

/** @param {string} name */
const pathOf = (name) => `${ALL}/${encodeURIComponent(name)}`;

export function Personas() {
  const personas = useSignal(/** @type {Persona[]} */ ([]));
  const editing = useSignal(/** @type {Persona | "new" | null} */ (null));
  const erasing = useSignal(/** @type {Persona | null} */ (null));
  const isBusy = useSignal(false);
  const load = () =>
    get(ALL).then((answer) => {
      personas.value = answer.personas;
    }, complain);
  useEffect(() => {
    load();
  }, []);
  /** Whether it was taken. @param {() => Promise<any>} work */
  const change = async (work) => {
    isBusy.value = true;
    try {
      await work();
      await load();
      return true;
    } catch (error) {
      complain(error);
      return false;
    } finally {
      isBusy.value = false;
    }
  };
  const erase = async () => {
    const gone = erasing.value;
    if (gone && (await change(() => del(pathOf(gone.name))))) {
      erasing.value = null;
      toast(t("memory.persona_erased", { name: gone.name }), { kind: "good" });
    }
  };
  return html`<section class="card stack" aria-labelledby="memory-personas">
    <div class="row spread">
      <h2 id="memory-personas">${t("memory.personas")}</h2>
      <${Button} small icon="add" onClick=${() => (editing.value = "new")}>${t("memory.persona_add")}<//>
    </div>
    <p class="muted small-text">${t("memory.personas_about")}</p>
    ${personas.value.length > 0 &&
    html`<ul class="memories">
      ${personas.value.map(
        (one) => html`<li key=${one.name} class="memory-waiting">
          <div class="memory-body">
            <h3 class="persona-name">${one.name}</h3>
            <p class="memory-text persona-text">${one.text}</p>
          </div>
          <div class="row">
            <${Switch} label=${t("memory.persona_used")} checked=${one.is_chosen} disabled=${isBusy.value}
              onChange=${(/** @type {boolean} */ chosen) => change(() => put(pathOf(one.name), { is_chosen: chosen }))} />
            <${IconButton} icon="edit" label=${t("memory.edit_this", { text: one.name })} onClick=${() => (editing.value = one)} />
            <${IconButton} icon="trash" label=${t("memory.erase_this", { text: one.name })} onClick=${() => (erasing.value = one)} />
          </div>
        </li>`,
      )}
    </ul>`}
    ${editing.value &&
    html`<${PersonaDialog}
      persona=${editing.value === "new" ? null : editing.value}
      onSave=${(/** @type {Persona} */ one) => change(() => put(pathOf(one.name), { text: one.text }))}
      onClose=${() => (editing.value = null)}
    />`}
    ${erasing.value &&
    html`<${Confirm} title=${t("memory.persona_erase")} action=${t("memory.erase_yes")} busy=${isBusy.value} onConfirm=${erase}
      onClose=${() => (erasing.value = null)}>
      <blockquote class="memory-gone">${erasing.value.name}</blockquote>
      <p>${t("memory.erase_about")}</p>
    <//>`}
  </section>`;
}

/** @param {{persona: Persona | null, onSave: (one: Persona) => Promise<boolean>, onClose: () => void}} props */
function PersonaDialog({ persona, onSave, onClose }) {
  const name = useSignal(persona?.name ?? "");
  const text = useSignal(persona?.text ?? "");
  const isBusy = useSignal(false);
  const save = async () => {
    isBusy.value = true;
    if (await onSave({ name: name.value.trim(), text: text.value, is_chosen: false })) onClose();
    isBusy.value = false;
  };
  const footer = html`<${Button} onClick=${onClose}>${t("shell.cancel")}<//>
    <${Button} kind="primary" busy=${isBusy.value} disabled=${!name.value.trim() || !text.value.trim()} onClick=${save}>${t("memory.save")}<//>`;
  return html`<${Dialog} title=${t(persona ? "memory.persona_edit" : "memory.persona_add")} onClose=${onClose} footer=${footer}>
    <div class="stack">
      <${Field} label=${t("memory.persona_name")}>
        ${(/** @type {any} */ field) => html`<input type="text" maxlength=${LONGEST_NAME} value=${name.value} readonly=${persona !== null}
          placeholder=${t("memory.persona_name_placeholder")} ...${field} onInput=${(/** @type {any} */ event) => (name.value = event.currentTarget.value)} />`}
      <//>
      <${Field} label=${t("memory.text")} hint=${t("memory.persona_hint")}>
        ${(/** @type {any} */ field) => html`<textarea rows="6" maxlength=${LONGEST_TEXT} value=${text.value}
          placeholder=${t("memory.persona_placeholder")} ...${field} onInput=${(/** @type {any} */ event) => (text.value = event.currentTarget.value)}></textarea>`}
      <//>
    </div>
  <//>`;
}
