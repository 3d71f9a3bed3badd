// @ts-check
// One file in the table: what it is, whether it could be read, how far it may travel, what can be done.

import { html } from "../core/ui.js";
import { bytes, moment, t, when } from "../core/i18n.js";
import { Badge, Menu } from "../parts/index.js";
import { kindOf, languageName } from "./kinds.js";
import { sync } from "./reading.js";
import { SensitivityBadge } from "./sensitivity.js";
import { folderOf, nameOf } from "./shelf.js";

const TONES = /** @type {const} */ ({ read: "good", copy: "muted", empty: "warn", failed: "bad" });

/** @param {{file: import("./shelf.js").File, onForget: (what: any) => void, onLimit: (file: import("./shelf.js").File) => void}} props */
export function FileRow({ file, onForget, onLimit }) {
  const name = nameOf(file.source);
  const isFailed = file.status === "failed";
  const items = [
    // A file that failed has no row that a limit could change.
    ...(isFailed ? [{ text: t("documents.retry_one"), icon: "refresh", run: () => sync([file.source], true) }] : []),
    ...(isFailed ? [] : [{ text: t("documents.limit"), icon: "shield", run: () => onLimit(file) }]),
    { text: t("documents.copy_path"), icon: "copy", run: () => navigator.clipboard?.writeText(file.source).catch(() => {}) },
    null,
    { text: t("documents.forget"), icon: "trash", danger: true, run: () => onForget({ paths: [file.source], name }) },
  ];
  return html`<tr>
    <td class="cell-name"><div class="file-cell">
      <span class=${`kind kind-${file.status}`} aria-hidden="true">${kindOf(file.media_type, file.source)}</span>
      <div class="file-text">
        <strong>${name}</strong>
        ${file.title && !name.startsWith(file.title) && html`<span class="small-text">${file.title}</span>`}
        <span class="muted small-text path" title=${file.source}><bdi>${file.is_upload ? t("documents.uploaded") : folderOf(file.source)}</bdi></span>
        ${file.reason && html`<span class="reason small-text">${file.reason}</span>`}
        ${file.copy_of && html`<span class="muted small-text">${t("documents.copy_of", { name: nameOf(file.copy_of) })}</span>`}
        ${file.status === "empty" && html`<span class="muted small-text">${t("documents.empty_why")}</span>`}
      </div>
    </div></td>
    <td class="cell-status"><${Badge} tone=${TONES[file.status]}>${t(`documents.status_${file.status}`)}<//></td>
    <td class="cell-label">${!isFailed && html`<${SensitivityBadge} level=${file.sensitivity} />`}</td>
    <td class="cell-language muted">${languageName(file.language)}</td>
    <td class="cell-size number muted">${bytes(file.size_bytes)}</td>
    <td class="cell-changed muted"><time datetime=${file.modified_at} title=${moment(file.modified_at)}>${when(file.modified_at)}</time></td>
    <td class="cell-menu"><${Menu} label=${t("documents.file_menu", { name })} items=${items} /></td>
  </tr>`;
}
