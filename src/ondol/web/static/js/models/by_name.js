// @ts-check
// Pulling what is not in the catalogue: a name, a Hugging Face repository, an address of a file.

import { html, useSignal } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { Button, Dialog, Field } from "../parts/index.js";
import { start } from "./pulls.js";

const EXAMPLE = "hf:owner/model-GGUF:Q4_K_M";

/** @param {{onClose: () => void}} props */
export function ByName({ onClose }) {
  const name = useSignal("");
  const error = useSignal("");
  const isBusy = useSignal(false);
  /** @param {Event} event */
  const submit = async (event) => {
    event.preventDefault();
    isBusy.value = true;
    try {
      await start(name.value.trim());
      onClose();
    } catch (failed) {
      const told = /** @type {any} */ (failed);
      error.value = [told.message, told.hint].filter(Boolean).join(" ");
    }
    isBusy.value = false;
  };
  return html`<${Dialog} title=${t("models.by_name")} onClose=${onClose}>
    <form class="stack" onSubmit=${submit}>
      <${Field} label=${t("models.reference")} hint=${t("models.reference_about")} error=${error.value}>
        ${(/** @type {any} */ field) => html`<input
          ...${field}
          type="text"
          required
          autofocus
          autocapitalize="off"
          spellcheck=${false}
          placeholder=${EXAMPLE}
          value=${name.value}
          onInput=${(/** @type {any} */ event) => {
            name.value = event.currentTarget.value;
            error.value = "";
          }}
        />`}
      <//>
      <div class="row form-end">
        <${Button} onClick=${onClose}>${t("shell.cancel")}<//>
        <${Button} kind="primary" type="submit" icon="download" busy=${isBusy.value}>${t("models.get")}<//>
      </div>
    </form>
  <//>`;
}
