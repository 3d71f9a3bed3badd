// @ts-check
/** Keyboard shortcuts: what they do, and the sheet that lists them. */
import { t } from "../core/i18n.js";
import { html } from "../core/ui.js";
import { Dialog } from "../parts/index.js";

const CONTROL = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";

/** @type {{name: string, keys: string[], fits: (event: KeyboardEvent, isControl: boolean) => boolean}[]} */
const GLOBAL = [
  { name: "new", keys: [CONTROL, "Shift", "O"], fits: (event, isControl) => isControl && event.shiftKey && event.code === "KeyO" },
  { name: "search", keys: [CONTROL, "K"], fits: (event, isControl) => isControl && !event.shiftKey && event.code === "KeyK" },
  { name: "list", keys: [CONTROL, "Shift", "S"], fits: (event, isControl) => isControl && event.shiftKey && event.code === "KeyS" },
  { name: "focus", keys: ["Shift", "Esc"], fits: (event) => event.shiftKey && event.key === "Escape" },
  { name: "stop", keys: ["Esc"], fits: (event) => !event.shiftKey && event.key === "Escape" },
  { name: "copy", keys: [CONTROL, "Shift", ";"], fits: (event, isControl) => isControl && event.shiftKey && event.code === "Semicolon" },
  { name: "help", keys: ["?"], fits: (event, isControl) => (event.key === "?" && !isField(event)) || (isControl && event.code === "Slash") },
];
const IN_FIELD = [
  { name: "send", keys: ["Enter"] }, { name: "line", keys: ["Shift", "Enter"] }, { name: "edit", keys: ["↑"] },
];

/** @param {KeyboardEvent} event */
function isField(event) {
  return /** @type {HTMLElement} */ (event.target).closest?.("input, textarea, select, [contenteditable]") !== null;
}

/**
 * @param {KeyboardEvent} event
 * @returns {string|null} the shortcut's name; null where there is none, or a dialog has the keyboard
 */
export function shortcut(event) {
  if (event.isComposing || event.altKey || event.defaultPrevented) return null;
  if (document.querySelector("dialog[open], :popover-open")) return null;
  const isControl = event.ctrlKey || event.metaKey;
  return GLOBAL.find((one) => one.fits(event, isControl))?.name ?? null;
}

/** @param {{commands: import("./commands.js").Command[], onClose: () => void}} props */
export function HelpSheet({ commands, onClose }) {
  return html`<${Dialog} wide title=${t("chat.help_title")} onClose=${onClose}>
    <div class="help-columns">
      <section><h3>${t("chat.help_keys")}</h3><dl>
        ${[...IN_FIELD, ...GLOBAL].map(({ name, keys }) => html`<div key=${name}><dt>${keys.map((key) => html`<kbd>${key}</kbd>`)}</dt>
          <dd>${t(`chat.key_${name}`)}</dd></div>`)}</dl></section>
      <section><h3>${t("chat.commands")}</h3><dl>
        ${commands.map(({ name, about }) => html`<div key=${name}><dt><code>/${name}</code></dt><dd>${about}</dd></div>`)}</dl></section>
    </div>
  <//>`;
}
