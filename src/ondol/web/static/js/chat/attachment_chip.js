// @ts-check
/** One file of this chat: its name, whether it was read and, if not, why. */
import { bytes, t } from "../core/i18n.js";
import { html } from "../core/ui.js";
import { Icon, IconButton } from "../parts/index.js";
import { detach, isBeingRead } from "./attachments.js";

/** @param {{attachment: import("./attachments.js").Attachment}} props */
export function AttachmentChip({ attachment }) {
  const { name, size_bytes, status, reason } = attachment;
  const busy = isBeingRead(attachment);
  const icon = status === "failed" ? "alert" : "documents";
  return html`<li class=${`attachment ${status}`} title=${reason || undefined}>
    ${busy ? html`<span class="spinner" aria-hidden="true"></span>` : html`<${Icon} name=${icon} size=${18} />`}
    <span class="attachment-text"><span class="attachment-name">${name}</span>
      <span class="attachment-state" role="status">${t(`chat.attachment_${status}`)}${
        status === "failed" && reason ? ` · ${reason}` : ` · ${bytes(size_bytes)}`}</span></span>
    <${IconButton} icon="close" size=${14} label=${t("chat.attachment_remove", { name })}
      disabled=${status === "uploading"} onClick=${() => detach(attachment)} />
  </li>`;
}
