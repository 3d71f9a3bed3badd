// @ts-check
// A menu behind a button, and a popover that explains. Both on the browser's popover: light dismiss,
// Esc, no z-index; placed by hand, because anchors are not everywhere yet.

import { html, useEffect, useId, useRef, useSignal } from "../core/ui.js";
import { Icon } from "./icon.js";

/** @param {HTMLElement} panel @param {HTMLElement} anchor */
function place(panel, anchor) {
  const box = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = panel;
  const left = Math.max(8, Math.min(box.left, innerWidth - width - 8));
  const below = box.bottom + 6;
  const top = below + height > innerHeight - 8 && box.top - height - 6 > 8 ? box.top - height - 6 : below;
  panel.style.left = `${left}px`;
  panel.style.top = `${Math.max(8, top)}px`;
}

/**
 * @param {{label: string, button: any, class?: string, panelClass?: string, role?: string,
 *   children: (close: () => void) => any}} props `button` is what stands on the button
 */
export function Popover({ label, button, class: extra = "button quiet", panelClass = "", role = "dialog", children }) {
  const anchor = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const panel = useRef(/** @type {HTMLDivElement | null} */ (null));
  const isOpen = useSignal(false);
  const id = useId();
  useEffect(() => {
    if (!isOpen.value || !panel.current || !anchor.current) return undefined;
    panel.current.showPopover();
    place(panel.current, anchor.current);
    const first = /** @type {HTMLElement | null} */ (
      panel.current.querySelector("[autofocus], input, button, [role=menuitem], a")
    );
    if (role === "menu") first?.focus();
    return undefined;
  }, [isOpen.value]);
  const close = () => {
    panel.current?.hidePopover();
  };
  /** @param {any} event */
  const toggled = (event) => {
    if (event.newState === "closed") {
      isOpen.value = false;
      if (panel.current?.contains(document.activeElement)) anchor.current?.focus();
    }
  };
  return html`<span class="popover-holder">
    <button
      ref=${anchor}
      type="button"
      class=${extra}
      aria-label=${label}
      aria-haspopup=${role}
      aria-expanded=${String(isOpen.value)}
      aria-controls=${isOpen.value ? id : undefined}
      onClick=${() => {
        isOpen.value = !isOpen.value;
      }}
    >
      ${button}
    </button>
    ${isOpen.value &&
    html`<div ref=${panel} id=${id} popover="auto" class=${`popover ${panelClass}`} role=${role} aria-label=${label} onToggle=${toggled}>
      ${children(close)}
    </div>`}
  </span>`;
}

/**
 * @typedef {{text: string, icon?: string, danger?: boolean, disabled?: boolean, checked?: boolean, run: () => void}} Item
 * @param {{label: string, button?: any, class?: string, items: (Item | null)[]}} props null draws a line
 */
export function Menu({ label, button = html`<${Icon} name="more" />`, class: extra = "icon-button", items }) {
  /** @param {KeyboardEvent} event */
  const move = (event) => {
    const all = [.../** @type {HTMLElement} */ (event.currentTarget).querySelectorAll("[role^=menuitem]:not([disabled])")];
    const at = all.indexOf(/** @type {Element} */ (document.activeElement));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || !all.length) return;
    event.preventDefault();
    /** @type {HTMLElement} */ (all[(to + all.length) % all.length]).focus();
  };
  return html`<${Popover} label=${label} button=${button} class=${extra} role="menu" panelClass="menu">
    ${(/** @type {() => void} */ close) =>
      html`<div role="presentation" onKeyDown=${move}>
        ${items.map((item, index) =>
          item === null
            ? html`<hr key=${index} />`
            : html`<button
                key=${index}
                type="button"
                role=${item.checked === undefined ? "menuitem" : "menuitemradio"}
                aria-checked=${item.checked === undefined ? undefined : String(item.checked)}
                class=${`menu-item${item.danger ? " danger" : ""}`}
                disabled=${item.disabled}
                onClick=${() => {
                  close();
                  item.run();
                }}
              >
                <${Icon} name=${item.checked ? "check" : (item.icon ?? "blank")} size=${16} />
                <span>${item.text}</span>
              </button>`,
        )}
      </div>`}
  <//>`;
}
