// @ts-check
// The folders that were added: followed or not, synced, let go, forgotten.

import { html, useSignal } from "../core/ui.js";
import { number, t } from "../core/i18n.js";
import { del, patch } from "../core/api.js";
import { route } from "../core/router.js";
import { complain, toast } from "../core/state.js";
import { Badge, Confirm, Icon, Menu, Switch } from "../parts/index.js";
import { folderOf, folders, nameOf, reload } from "./shelf.js";
import { sync } from "./reading.js";

/** @param {{onForget: (what: any) => void}} props */
export function Folders({ onForget }) {
  const leaving = useSignal(/** @type {import("./shelf.js").Folder | null} */ (null));
  const collection = route.value.path[0] ?? "";
  const shown = folders.value.filter((one) => !collection || one.collection === collection);
  if (!shown.length) return null;
  const leave = async () => {
    const folder = /** @type {import("./shelf.js").Folder} */ (leaving.value);
    leaving.value = null;
    try {
      await del("/ondol/v1/folders", { path: folder.path });
      toast(t("documents.left_folder", { name: nameOf(folder.path) }), { kind: "good" });
    } catch (error) {
      complain(error);
    }
    await reload();
  };
  return html`<section class="folders" aria-labelledby="folders-title">
    <h2 id="folders-title">${t("documents.folders")}</h2>
    <ul class="folder-list">
      ${shown.map(
        (one) => html`<${Row}
          key=${one.path}
          folder=${one}
          onForget=${onForget}
          onLeave=${() => {
            leaving.value = one;
          }}
        />`,
      )}
    </ul>
    ${leaving.value &&
    html`<${Confirm}
      title=${t("documents.leave_folder")}
      action=${t("documents.leave_action")}
      danger=${false}
      onConfirm=${leave}
      onClose=${() => {
        leaving.value = null;
      }}
    >
      <p>${t("documents.leave_ask", { name: nameOf(leaving.value.path) })}</p>
    <//>`}
  </section>`;
}

/** @param {{folder: import("./shelf.js").Folder, onForget: (what: any) => void, onLeave: () => void}} props */
function Row({ folder, onForget, onLeave }) {
  /** @param {boolean} watch */
  const follow = async (watch) => {
    try {
      await patch("/ondol/v1/folders", { path: folder.path, watch });
    } catch (error) {
      complain(error);
    }
    await reload();
  };
  const name = nameOf(folder.path);
  const counts = [
    folder.documents === 1 ? t("documents.document_one") : t("documents.document_many", { count: number(folder.documents) }),
    folder.failed ? t("documents.failed_count", { count: number(folder.failed) }) : "",
  ];
  return html`<li class="folder">
    <span class="folder-icon"><${Icon} name=${folder.is_file ? "documents" : "folder"} size=${22} /></span>
    <div class="folder-text">
      <strong>${name}</strong>
      <span class="muted small-text path" title=${folder.path}><bdi>${folderOf(folder.path) || "/"}</bdi></span>
      <span class="muted small-text">${counts.filter(Boolean).join(" · ")}</span>
      ${folder.is_missing && html`<${Badge} tone="warn" title=${t("documents.missing_why")}><${Icon} name="alert" size=${13} />${t("documents.missing")}<//>`}
    </div>
    <${Switch} label=${t("documents.follow")} checked=${folder.watch} onChange=${follow} />
    <${Menu}
      label=${t("documents.folder_menu", { name })}
      items=${[
        { text: t("documents.sync_this"), icon: "refresh", run: () => sync([folder.path]) },
        { text: t("documents.retry"), icon: "refresh", disabled: !folder.failed, run: () => sync([folder.path], true) },
        null,
        { text: t("documents.leave_folder"), icon: "close", run: onLeave },
        { text: t("documents.forget_folder"), icon: "trash", danger: true, run: () => onForget({ paths: [folder.path], name }) },
      ]}
    />
  </li>`;
}
