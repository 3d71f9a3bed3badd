// @ts-check
/** What the person thinks of an answer: a thumb, reasons, and the answer they wanted. Kept on this device. */
import { t } from "../core/i18n.js";
import { toast } from "../core/state.js";
import { html, useState } from "../core/ui.js";
import { Button, Dialog, Field, Icon, IconButton } from "../parts/index.js";
import { judge } from "./thread.js";

/** @typedef {import("./tree.js").Message} Message */

const REASONS = ["wrong", "not_in_documents", "incomplete", "too_long", "wrong_language", "style", "other"];

/** @param {Message} message */
function kept(message) {
  const { right = null, reasons = [], edited = null } = message.feedback ?? {};
  return { right, reasons, edited };
}

/** @param {Message} message @param {Partial<{right: boolean|null, reasons: string[], edited: string|null}>} fields */
async function say(message, fields) {
  const feedback = { ...kept(message), ...fields };
  const isEmpty = feedback.right === null && !feedback.reasons.length && feedback.edited === null;
  await judge(message, isEmpty ? null : feedback);
}

/** The two thumbs. @param {{message: Message}} props */
export function Thumbs({ message }) {
  const { right } = kept(message);
  const thumb = (/** @type {boolean} */ meaning, /** @type {string} */ icon, /** @type {string} */ label) =>
    html`<${IconButton} icon=${icon} size=${16} label=${label} pressed=${right === meaning}
      onClick=${() => say(message, { right: right === meaning ? null : meaning, reasons: [] })} />`;
  return html`${thumb(true, "thumb_up", t("chat.good"))}${thumb(false, "thumb_down", t("chat.bad"))}`;
}

/** What follows a thumb down: why, and how it should have been. @param {{message: Message}} props */
export function Reasons({ message }) {
  const [writing, setWriting] = useState(false);
  const { right, reasons, edited } = kept(message);
  const toggle = (/** @type {string} */ code) => {
    const others = reasons.filter((one) => one !== code);
    say(message, { reasons: others.length === reasons.length ? [...reasons, code] : others });
  };
  if (right !== false && edited === null) return null;
  return html`<div class="reasons" role="group" aria-label=${t("chat.why_bad")}>
    ${right === false && html`<p class="muted small-text">${t("chat.why_bad")}</p>
      <div class="chips">
        ${REASONS.map((code) => html`<button key=${code} type="button" class="chip"
          aria-pressed=${String(reasons.includes(code))} onClick=${() => toggle(code)}>${t(`chat.reason_${code}`)}</button>`)}
      </div>`}
    ${edited !== null && html`<blockquote class="wanted-answer">
      <span class="muted small-text">${t("chat.wanted_shown")}</span><p>${edited}</p></blockquote>`}
    <div><button type="button" class="link-button" onClick=${() => setWriting(true)}>
      <${Icon} name="edit" size=${16} />${t("chat.wanted_answer")}</button></div>
    ${writing && html`<${WantedAnswer} message=${message} onClose=${() => setWriting(false)} />`}
  </div>`;
}

/** @param {{message: Message, onClose: () => void}} props */
function WantedAnswer({ message, onClose }) {
  const { edited } = kept(message);
  const [text, setText] = useState(edited ?? message.content);
  const save = async () => {
    await say(message, { edited: text.trim() });
    toast(t("chat.wanted_kept"), { kind: "good" });
    onClose();
  };
  const erase = async () => {
    await say(message, { edited: null });
    onClose();
  };
  const footer = html`${edited !== null && html`<${Button} kind="danger" onClick=${erase}>${t("chat.delete")}<//>`}
    <${Button} onClick=${onClose}>${t("chat.cancel")}<//>
    <${Button} kind="primary" disabled=${!text.trim()} onClick=${save}>${t("chat.save")}<//>`;
  return html`<${Dialog} wide title=${t("chat.wanted_title")} onClose=${onClose} footer=${footer}>
    <${Field} label=${t("chat.wanted_title")} hint=${t("chat.wanted_text")}>
      ${(/** @type {any} */ field) => html`<textarea rows="10" value=${text} ...${field}
        onInput=${(/** @type {any} */ event) => setText(event.target.value)}></textarea>`}
    <//>
  <//>`;
}
