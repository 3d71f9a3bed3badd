// @ts-check
/** The owner's own prompts: kept under a name, put into the composer with one click or a slash. */
import { del, get, patch, post } from "../core/api.js";
import { t } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { html, signal, useEffect, useState } from "../core/ui.js";
import { Button, Dialog, Field, IconButton } from "../parts/index.js";
import { word } from "./commands.js";
import { insert } from "./typing.js";

/** @typedef {{id: string, name: string, text: string}} Prompt */

export const prompts = signal(/** @type {Prompt[]} */ ([]));

export async function readPrompts() {
  const told = await get("/ondol/v1/prompts").catch(() => null);
  if (told) prompts.value = told.prompts;
}

/** @param {{onClose: () => void}} props */
export function PromptLibrary({ onClose }) {
  const [edited, setEdited] = useState(/** @type {Partial<Prompt>|null} */ (null));
  useEffect(() => { readPrompts(); }, []);
  if (edited) return html`<${Editor} prompt=${edited} onClose=${() => setEdited(null)} />`;
  const erase = async (/** @type {Prompt} */ prompt) => {
    await del(`/ondol/v1/prompts/${prompt.id}`).catch(complain);
    await readPrompts();
  };
  const footer = html`<${Button} icon="add" onClick=${() => setEdited({ name: "", text: "" })}>${t("chat.prompt_new")}<//>`;
  return html`<${Dialog} wide title=${t("chat.prompts")} onClose=${onClose} footer=${footer}>
    <p class="muted">${t("chat.prompts_text")}</p>
    ${!prompts.value.length && html`<p>${t("chat.prompts_none")}</p>`}
    <ul class="prompts">${prompts.value.map((one) => html`<li key=${one.id}>
      <div class="prompt-text"><span><strong>${one.name}</strong> <code>/${word(one.name)}</code></span>
        <span class="muted small-text">${one.text}</span></div>
      <${Button} small kind="primary" onClick=${() => { onClose(); insert(one.text); }}>${t("chat.prompt_insert")}<//>
      <${IconButton} icon="edit" label=${t("chat.prompt_edit", { name: one.name })} onClick=${() => setEdited(one)} />
      <${IconButton} icon="trash" label=${t("chat.prompt_delete", { name: one.name })} onClick=${() => erase(one)} />
    </li>`)}</ul>
  <//>`;
}

/** @param {{prompt: Partial<Prompt>, onClose: () => void}} props */
function Editor({ prompt, onClose }) {
  const [name, setName] = useState(prompt.name ?? "");
  const [text, setText] = useState(prompt.text ?? "");
  const [error, setError] = useState("");
  const save = async () => {
    const fields = { name: name.trim(), text };
    try {
      if (prompt.id) await patch(`/ondol/v1/prompts/${prompt.id}`, fields);
      else await post("/ondol/v1/prompts", fields);
      await readPrompts();
      onClose();
    } catch (failed) {
      setError(/** @type {any} */ (failed).message);
    }
  };
  const footer = html`<${Button} onClick=${onClose}>${t("chat.cancel")}<//>
    <${Button} kind="primary" disabled=${!name.trim() || !text.trim()} onClick=${save}>${t("chat.save")}<//>`;
  return html`<${Dialog} wide title=${prompt.id ? t("chat.prompt_edit", { name: prompt.name }) : t("chat.prompt_new")}
    onClose=${onClose} footer=${footer}><div class="stack">
    <${Field} label=${t("chat.prompt_name")} error=${error}>
      ${(/** @type {any} */ field) => html`<input type="text" maxlength="100" autofocus value=${name} ...${field}
        onInput=${(/** @type {any} */ event) => setName(event.target.value)} />`}<//>
    <${Field} label=${t("chat.prompt_body")} hint=${t("chat.prompt_body_hint")}>
      ${(/** @type {any} */ field) => html`<textarea rows="8" value=${text} ...${field}
        onInput=${(/** @type {any} */ event) => setText(event.target.value)}></textarea>`}<//>
  </div><//>`;
}
