// @ts-check
/** The instructions of a chat: what the model reads before every message of it, and whose profile. */
import { get } from "../core/api.js";
import { t } from "../core/i18n.js";
import { toast } from "../core/state.js";
import { html, useEffect, useState } from "../core/ui.js";
import { Button, Dialog, Field, Select } from "../parts/index.js";
import { change, choices } from "./thread.js";

/** @param {{onClose: () => void}} props */
export function SystemDialog({ onClose }) {
  const [text, setText] = useState(choices.value.system);
  const [persona, setPersona] = useState(choices.value.persona);
  const [personas, setPersonas] = useState(/** @type {{name: string, is_chosen: boolean}[]} */ ([]));
  useEffect(() => {
    // A chat has its instructions where personas cannot be read, too.
    get("/ondol/v1/personas").then((told) => setPersonas(told.personas), () => {});
  }, []);
  const save = async () => {
    await change({ system: text.trim(), ...(persona === choices.value.persona ? {} : { persona }) });
    toast(t(text.trim() ? "chat.system_set" : "chat.system_off"));
    onClose();
  };
  const footer = html`<${Button} onClick=${onClose}>${t("chat.cancel")}<//>
    <${Button} kind="primary" onClick=${save}>${t("chat.save")}<//>`;
  const chosen = personas.find((one) => one.is_chosen)?.name;
  const usual = chosen ? t("chat.persona_usual", { name: chosen }) : t("chat.persona_usual_none");
  const options = [{ value: "", text: usual }, ...personas.map(({ name }) => ({ value: name, text: name })), { value: "none", text: t("chat.persona_none") }];
  return html`<${Dialog} title=${t("chat.system_title")} onClose=${onClose} footer=${footer}>
    <div class="stack">${personas.length > 0 && html`<${Field} label=${t("chat.persona")} hint=${t("chat.persona_text")}>
      ${() => html`<${Select} label=${t("chat.persona")} value=${persona} options=${options} onChange=${setPersona} />`}
    <//>`}
    <${Field} label=${t("chat.system")} hint=${t("chat.system_text")}>
      ${(/** @type {any} */ field) => html`<textarea rows="6" autofocus placeholder=${t("chat.system_placeholder")}
        value=${text} ...${field} onInput=${(/** @type {any} */ event) => setText(event.target.value)}></textarea>`}
    <//></div>
  <//>`;
}
