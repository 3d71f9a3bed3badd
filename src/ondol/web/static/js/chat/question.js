// @ts-check
/** What the person said; it can be changed and asked again beside what was said first. */
import { t } from "../core/i18n.js";
import { html, useEffect, useRef, useState } from "../core/ui.js";
import { Button, IconButton } from "../parts/index.js";
import { CopyButton } from "./copying.js";
import { editing, fit, isComposing } from "./typing.js";
import { running, sending, start } from "./thread.js";
import { Versions } from "./versions.js";

/** @param {{message: import("./tree.js").Message}} props */
export function Question({ message }) {
  if (editing.value === message.id) return html`<${Editor} message=${message} />`;
  const held = running.value !== null;
  return html`<div class="question">
    <h2 class="hidden">${t("chat.message_from_you")}</h2>
    <div class="bubble">${message.content}</div>
    <div class="message-actions">
      <${Versions} message=${message} />
      <${CopyButton} text=${message.content} />
      <${IconButton} icon="edit" size=${16} label=${t("chat.edit")} disabled=${held}
        onClick=${() => { editing.value = message.id; }} />
    </div>
  </div>`;
}

/** @param {{message: import("./tree.js").Message}} props */
function Editor({ message }) {
  const [text, setText] = useState(message.content);
  const area = useRef(/** @type {HTMLTextAreaElement|null} */ (null));
  useEffect(() => {
    area.current?.focus();
    area.current?.setSelectionRange(text.length, text.length);
  }, []);
  useEffect(() => fit(area.current, 320), [text]);
  const close = () => { editing.value = null; };
  const send = async () => {
    const content = text.trim();
    if (content && (await start({ edit: message.id, content }))) close();
  };
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape") close();
    if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return;
    event.preventDefault();
    send();
  };
  return html`<form class="question-editor" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); send(); }}>
    <textarea ref=${area} rows="1" aria-label=${t("chat.edit_label")} value=${text} onKeyDown=${pressed}
      onInput=${(/** @type {any} */ event) => setText(event.target.value)}></textarea>
    <div class="question-editor-foot">
      <span class="muted small-text">${t("chat.edit_note")}</span>
      <${Button} small kind="quiet" onClick=${close}>${t("chat.cancel")}<//>
      <${Button} small kind="primary" type="submit" busy=${sending.value} disabled=${!text.trim()}>${t("chat.edit_send")}<//>
    </div>
  </form>`;
}
