// @ts-check
// A file to learn from: looked at, asked about, then taken. A folder comes by the command line.

import { html, useRef, useSignal } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { Button, Confirm } from "../parts/index.js";
import { STYLE_COMMAND, bring, change } from "./state.js";

export function Bringing() {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const asked = useSignal(/** @type {{file: File, question: string} | null} */ (null));
  const isBusy = useSignal(false);
  /** @param {File | undefined} file */
  const look = async (file) => {
    if (!file) return;
    isBusy.value = true;
    try {
      asked.value = { file, question: (await bring(file, false)).question ?? "" };
    } catch (error) {
      complain(error);
    }
    isBusy.value = false;
  };
  const take = async () => {
    const what = asked.value;
    isBusy.value = true;
    if (what && (await change(() => bring(what.file, true)))) asked.value = null;
    isBusy.value = false;
  };
  return html`<div class="personal-bring">
    <input
      ref=${input}
      type="file"
      hidden
      accept=".json,.jsonl,.zip,.mbox,.eml,.md,.txt"
      onChange=${(/** @type {any} */ event) => {
        look(event.currentTarget.files?.[0]);
        event.currentTarget.value = "";
      }}
    />
    <${Button} small icon="upload" busy=${isBusy.value && !asked.value} onClick=${() => input.current?.click()}>${t("personal.bring")}<//>
    <p class="muted small-text">${t("personal.more_ways")} <code>${STYLE_COMMAND}</code></p>
    ${asked.value &&
    html`<${Confirm}
      title=${t("personal.bring_ask", { name: asked.value.file.name })}
      action=${t("personal.agree")}
      danger=${false}
      busy=${isBusy.value}
      onConfirm=${take}
      onClose=${() => {
        asked.value = null;
      }}
    >
      <p>${asked.value.question}</p>
    <//>`}
  </div>`;
}
