// @ts-check
/** "2/3" between two arrows: which version of a message is shown. */
import { t } from "../core/i18n.js";
import { html } from "../core/ui.js";
import { IconButton } from "../parts/index.js";
import { messages, running, step } from "./thread.js";
import { versionsOf } from "./tree.js";

/** @param {{message: import("./tree.js").Message}} props */
export function Versions({ message }) {
  const { index, versions } = versionsOf(messages.value, message);
  if (versions.length < 2) return null;
  const values = { index: index + 1, count: versions.length };
  // A branch that is being answered stays in sight until it is finished.
  const held = running.value !== null;
  return html`<span class="versions" role="group" aria-label=${t("chat.version", values)}>
    <${IconButton} icon="back" size=${16} label=${t("chat.version_before")} disabled=${held || index === 0}
      onClick=${() => step(message, -1)} />
    <span class="versions-count" aria-hidden="true">${t("chat.version_short", values)}</span>
    <${IconButton} icon="next" size=${16} label=${t("chat.version_after")}
      disabled=${held || index === versions.length - 1} onClick=${() => step(message, 1)} />
  </span>`;
}
