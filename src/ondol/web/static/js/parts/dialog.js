// @ts-check
// Dialogs and drawers on the browser's own <dialog>: focus stays inside, Esc closes, the page behind
// is inert; except where a drawer stands beside the page.

import { html, useId, useLayoutEffect, useRef, useState } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { Button, IconButton } from "./button.js";

// Less wide, and neither the page nor the drawer could be read.
const BESIDE = "(min-width: 1180px)";

/** @type {(() => void) | null} closes the drawer that stands beside the page: there is one at most. */
let closeBeside = null;

/**
 * Open while it is rendered. `onClose` null: it cannot be closed by hand. With `beside` it leaves the
 * page to be read and used where the window is wide enough for both.
 * @param {{title: string, onClose: (() => void) | null, children?: any, footer?: any, side?: boolean, wide?: boolean, beside?: boolean, class?: string}} props
 */
export function Dialog({ title, onClose, children, footer, side = false, wide = false, beside = false, class: extra = "" }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const id = useId();
  const [stands] = useState(() => beside && matchMedia(BESIDE).matches);
  const close = useRef(onClose);
  close.current = onClose;
  // Not useEffect: its cleanup waits for the next paint, and until then what is typed goes nowhere.
  useLayoutEffect(() => {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    if (!stands) {
      dialog.current?.showModal();
    } else {
      const mine = () => close.current?.();
      closeBeside?.();
      closeBeside = mine;
      dialog.current?.show();
      /** @param {KeyboardEvent} event */
      const escape = (event) => {
        // A dialog or a menu above it is closed first.
        if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog:modal, [popover]:popover-open")) return;
        mine();
      };
      addEventListener("keydown", escape);
      const gone = dialog.current;
      return () => {
        removeEventListener("keydown", escape);
        if (closeBeside === mine) closeBeside = null;
        const at = document.activeElement;
        const isInside = !at || at === document.body || gone?.contains(at);
        gone?.close();
        if (isInside && before?.isConnected) before.focus();
      };
    }
    return () => {
      dialog.current?.close();
      if (before?.isConnected) before.focus();
    };
  }, []);
  /** @param {Event} event */
  const cancel = (event) => {
    event.preventDefault();
    onClose?.();
  };
  /** @param {MouseEvent} event */
  const outside = (event) => {
    if (event.target === dialog.current) onClose?.();
  };
  return html`<dialog
    ref=${dialog}
    class=${`${side ? "drawer" : "dialog"}${wide ? " wide" : ""}${stands ? " beside" : ""} ${extra}`}
    aria-labelledby=${id}
    onCancel=${cancel}
    onMouseDown=${outside}
  >
    <div class="dialog-frame">
      <header class="dialog-head">
        <h2 id=${id}>${title}</h2>
        ${onClose && html`<${IconButton} icon="close" label=${t("shell.close")} onClick=${onClose} />`}
      </header>
      <div class="dialog-body">${children}</div>
      ${footer && html`<footer class="dialog-foot">${footer}</footer>`}
    </div>
  </dialog>`;
}

/** A dialog at the side, the whole screen on a phone. @param {Parameters<typeof Dialog>[0]} props */
export function Drawer(props) {
  return html`<${Dialog} side ...${props} />`;
}

/**
 * Asks before something that cannot be undone.
 * @param {{title: string, action: string, danger?: boolean, busy?: boolean, onConfirm: () => void, onClose: () => void, children?: any}} props
 */
export function Confirm({ title, action, danger = true, busy = false, onConfirm, onClose, children }) {
  const footer = html`<${Button} onClick=${onClose}>${t("shell.cancel")}<//>
    <${Button} kind=${danger ? "danger" : "primary"} busy=${busy} onClick=${onConfirm}>${action}<//>`;
  return html`<${Dialog} title=${title} onClose=${onClose} footer=${footer}>${children}<//>`;
}
