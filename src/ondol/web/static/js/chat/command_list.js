// @ts-check
/** The commands that fit what is typed, above the composer. The field keeps the focus. */
import { t } from "../core/i18n.js";
import { html, useEffect, useRef } from "../core/ui.js";

/**
 * @param {object} props
 * @param {import("./commands.js").Command[]} props.commands
 * @param {number} props.chosen
 * @param {(command: import("./commands.js").Command) => void} props.onTake
 */
export function CommandList({ commands, chosen, onTake }) {
  const list = useRef(/** @type {HTMLElement|null} */ (null));
  useEffect(() => {
    list.current?.children[chosen]?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  return html`<div class="commands" id="commands" role="listbox" tabindex="0" aria-label=${t("chat.commands")} ref=${list}>
    ${commands.map((one, i) => html`<div key=${one.name} id=${`command-${one.name}`} role="option" class="command"
      aria-selected=${String(i === chosen)} onMouseDown=${(/** @type {Event} */ event) => { event.preventDefault(); onTake(one); }}>
      <code>/${one.name}</code><span>${one.about}</span></div>`)}
  </div>`;
}
