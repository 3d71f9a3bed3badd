// @ts-check
// Buttons. An icon alone always has a label.

import { html, useSignal } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { toast } from "../core/state.js";
import { Icon } from "./icon.js";

/**
 * @param {{kind?: "plain" | "primary" | "quiet" | "danger", small?: boolean, icon?: string, busy?: boolean,
 *   disabled?: boolean, type?: "button" | "submit", onClick?: (event: MouseEvent) => void, children?: any,
 *   class?: string, [attribute: string]: any}} props
 */
export function Button({ kind = "plain", small, icon, busy, disabled, type = "button", children, class: extra = "", ...rest }) {
  return html`<button
    type=${type}
    class=${`button ${kind}${small ? " small" : ""} ${extra}`}
    disabled=${disabled || busy}
    aria-busy=${busy ? "true" : undefined}
    ...${rest}
  >
    ${busy ? html`<span class="spinner" aria-hidden="true"></span>` : icon && html`<${Icon} name=${icon} size=${small ? 16 : 18} />`}
    <span>${children}</span>
  </button>`;
}

/**
 * @param {{icon: string, label: string, pressed?: boolean, size?: number, class?: string,
 *   onClick?: (event: MouseEvent) => void, [attribute: string]: any}} props
 */
export function IconButton({ icon, label, pressed, size = 18, class: extra = "", ...rest }) {
  return html`<button
    type="button"
    class=${`icon-button ${extra}`}
    aria-label=${label}
    title=${label}
    aria-pressed=${pressed === undefined ? undefined : String(pressed)}
    ...${rest}
  >
    <${Icon} name=${icon} size=${size} />
  </button>`;
}

/** Copies `text` (or what it returns). @param {{text: string | (() => string), label?: string, class?: string}} props */
export function Copy({ text, label, class: extra = "" }) {
  const isDone = useSignal(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "function" ? text() : text);
      isDone.value = true;
      setTimeout(() => {
        isDone.value = false;
      }, 1500);
    } catch {
      toast(t("shell.copy_failed"), { kind: "bad" });
    }
  };
  return html`<${IconButton}
    icon=${isDone.value ? "check" : "copy"}
    label=${isDone.value ? t("shell.copied") : (label ?? t("shell.copy"))}
    class=${extra}
    onClick=${copy}
  />`;
}
