// @ts-check
// What was just said: politely announced, errors at once.

import { html } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { dismiss, toasts } from "../core/state.js";
import { Button, IconButton } from "./button.js";

export function Toasts() {
  return html`<div class="toasts" aria-live="polite">
    ${toasts.value.map(
      (one) => html`<div key=${one.id} class=${`toast ${one.kind}`} role=${one.kind === "bad" ? "alert" : undefined}>
        <span>${one.text}</span>
        ${one.action &&
        html`<${Button}
          small
          onClick=${() => {
            dismiss(one.id);
            one.action?.run();
          }}
          >${one.action.text}<//
        >`}
        <${IconButton} icon="close" size=${16} label=${t("shell.dismiss")} onClick=${() => dismiss(one.id)} />
      </div>`,
    )}
  </div>`;
}
