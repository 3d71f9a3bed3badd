// @ts-check
// A stricter label for one file, or the one of its collection again.

import { html } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { post } from "../core/api.js";
import { LabelDialog } from "./label.js";
import { nameOf } from "./shelf.js";

/** @param {{file: import("./shelf.js").File, onClose: () => void}} props */
export function LimitDialog({ file, onClose }) {
  return html`<${LabelDialog}
    name=${nameOf(file.source)}
    now=${file.limit}
    save=${(/** @type {string} */ sensitivity) => post("/ondol/v1/limits", { path: file.source, sensitivity })}
    ask=${t("documents.limit_loosen")}
    about=${t("documents.limit_about")}
    words=${{ public: t("documents.no_limit") }}
    onClose=${onClose}
  />`;
}
