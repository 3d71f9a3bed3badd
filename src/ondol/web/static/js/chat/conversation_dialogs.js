// @ts-check
/** What is asked before a conversation gets another name, another folder, or is erased. */
import { t } from "../core/i18n.js";
import { lazy } from "../core/lazy.js";
import { go } from "../core/router.js";
import { toast } from "../core/state.js";
import { html, useState } from "../core/ui.js";
import { Button, Confirm, Dialog, Field, Icon } from "../parts/index.js";
import { alter, erase, folders } from "./listing.js";
import { begin, conversation } from "./thread.js";
import { isComposing } from "./typing.js";

const Learned = lazy(() => import("../personal/receipt.js"), "Learned");

/** @typedef {{entry: import("./listing.js").Entry, onClose: () => void}} Props */

/** One line of text to be kept or left. @param {{title: string, label: string, value: string, onSave: (text: string) => void, onClose: () => void}} props */
function OneLine({ title, label, value, onSave, onClose }) {
  const [text, setText] = useState(value);
  const save = () => {
    onSave(text.trim());
    onClose();
  };
  const footer = html`<${Button} onClick=${onClose}>${t("chat.cancel")}<//>
    <${Button} kind="primary" disabled=${!text.trim()} onClick=${save}>${t("chat.save")}<//>`;
  return html`<${Dialog} title=${title} onClose=${onClose} footer=${footer}><${Field} label=${label}>
    ${(/** @type {any} */ field) => html`<input type="text" maxlength="200" autofocus value=${text} ...${field}
      onInput=${(/** @type {any} */ event) => setText(event.target.value)}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter" && !isComposing(event) && text.trim()) save(); }} />`}
  <//><//>`;
}

/** @param {Props} props */
export function RenameDialog({ entry, onClose }) {
  return html`<${OneLine} title=${t("chat.rename")} label=${t("chat.title")} value=${entry.title}
    onSave=${(/** @type {string} */ title) => alter(entry.id, { title })} onClose=${onClose} />`;
}

/** @param {Props} props */
export function FolderDialog({ entry, onClose }) {
  const [isNew, setIsNew] = useState(!folders.value.length);
  const move = (/** @type {string} */ folder) => alter(entry.id, { folder });
  if (isNew) {
    return html`<${OneLine} title=${t("chat.new_folder")} label=${t("chat.new_folder_name")} value="" onSave=${move} onClose=${onClose} />`;
  }
  const choose = (/** @type {string} */ folder) => () => {
    move(folder);
    onClose();
  };
  const line = (/** @type {string} */ folder, /** @type {string} */ icon, /** @type {string} */ text) => html`<button type="button"
    key=${folder} class="menu-item" onClick=${choose(folder)}><${Icon} name=${icon} size=${18} /><span>${text}</span>
    ${entry.folder === folder && html`<${Icon} name="check" size=${16} />`}</button>`;
  return html`<${Dialog} title=${t("chat.move")} onClose=${onClose}>
    ${line("", "chat", t("chat.no_folder"))}
    ${folders.value.map((folder) => line(String(folder), "folder", String(folder)))}
    <button type="button" class="menu-item" onClick=${() => setIsNew(true)}>
      <${Icon} name="add" size=${18} /><span>${t("chat.new_folder")}</span></button>
  <//>`;
}

/** @param {Props} props */
export function DeleteDialog({ entry, onClose }) {
  const [busy, setBusy] = useState(false);
  const [learned, setLearned] = useState(/** @type {any} */ (null));
  const title = entry.title || t("chat.untitled");
  const confirm = async () => {
    setBusy(true);
    const told = await erase(entry.id);
    if (told && conversation.value?.id === entry.id) {
      begin();
      go("chat", { replace: true });
    }
    if (told?.learned) return setLearned(told.learned);
    if (told) toast(t("chat.deleted"));
    onClose();
  };
  if (learned) return html`<${Learned} title=${t("chat.deleted")} of="conversation" receipt=${learned} onClose=${onClose} />`;
  return html`<${Confirm} title=${t("chat.delete_title")} action=${t("chat.delete")} busy=${busy} onConfirm=${confirm}
    onClose=${onClose}><p>${t("chat.delete_text", { title })}</p><//>`;
}
