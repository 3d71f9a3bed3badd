// @ts-check
// Documents: what Ondol may answer from, how far each may travel, how files come in and how they go.

import { html, useEffect, useRef, useSignal } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { route } from "../core/router.js";
import { Button, Empty, Icon, PageHead } from "../parts/index.js";
import { AddFolder } from "../documents/browse.js";
import { Collections, nameOf } from "../documents/collections.js";
import { Files } from "../documents/files.js";
import { Folders } from "../documents/folders.js";
import { Forgetting } from "../documents/forgetting.js";
import { LimitDialog } from "../documents/limit.js";
import { Readings } from "../documents/reading_card.js";
import { dropped, readings, send, sync } from "../documents/reading.js";
import { asked, collections, countAll, files, folders, reload } from "../documents/shelf.js";

export const catalogues = ["documents"];

export default function Documents() {
  const collection = route.value.path[0] ?? "";
  const forgetting = useSignal(/** @type {any} */ (null));
  const limited = useSignal(/** @type {any} */ (null));
  const isAdding = useSignal(false);
  const picker = useRef(/** @type {HTMLInputElement | null} */ (null));

  useEffect(() => {
    asked.value = { ...asked.value, collection };
    reload();
    // What a followed folder brought meanwhile.
    const look = () => document.visibilityState === "visible" && reload();
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [collection]);

  const pick = () => picker.current?.click();
  const browse = () => {
    isAdding.value = true;
  };
  /** @param {any} event */
  const picked = (event) => {
    const chosen = [.../** @type {FileList} */ (event.currentTarget.files)].map((file) => ({ file, name: file.name }));
    event.currentTarget.value = "";
    send(chosen, collection);
  };
  const known = collections.value;
  const isEmpty = known?.length === 1 && known.every((one) => !one.documents) && !countAll() && !asked.value.query && !folders.value.length;
  const current = known?.find((one) => one.name === collection);
  return html`<div class="page documents">
    <${PageHead} title=${t("documents.title")} about=${t("documents.about")}>
      ${folders.value.length > 0 && html`<${Button} icon="refresh" onClick=${() => sync()}>${t("documents.sync_now")}<//>`}
      <${Button} icon="folder" onClick=${browse}>${t("documents.add_folder")}<//>
      <${Button} kind="primary" icon="upload" onClick=${pick}>${t("documents.add_files")}<//>
    <//>
    <input ref=${picker} class="hidden" type="file" multiple tabindex="-1" aria-hidden="true" onChange=${picked} />
    <${Readings} />
    ${isEmpty
      ? !readings.value.some((one) => one.state === "running") && html`<${Nothing} pick=${pick} browse=${browse} />`
      : known &&
        html`<${Collections}
            onForget=${(/** @type {any} */ what) => {
              forgetting.value = what;
            }}
          />
          <${Folders}
            onForget=${(/** @type {any} */ what) => {
              forgetting.value = what;
            }}
          />
          ${files.value &&
          html`<${Files}
            onForget=${(/** @type {any} */ what) => {
              forgetting.value = what;
            }}
            onLimit=${(/** @type {any} */ file) => {
              limited.value = file;
            }}
          />`}`}
    <${DropZone} into=${current ? nameOf(current) : t("documents.default_collection")} collection=${collection} />
    ${forgetting.value &&
    html`<${Forgetting}
      chosen=${forgetting.value}
      onClose=${() => {
        forgetting.value = null;
      }}
    />`}
    ${limited.value &&
    html`<${LimitDialog}
      file=${limited.value}
      onClose=${() => {
        limited.value = null;
      }}
    />`}
    ${isAdding.value &&
    html`<${AddFolder}
      collection=${collection}
      onClose=${() => {
        isAdding.value = false;
      }}
    />`}
  </div>`;
}

/** @param {{pick: () => void, browse: () => void}} props */
function Nothing({ pick, browse }) {
  return html`<div class="documents-drop">
    <${Empty} icon=${html`<${Icon} name="documents" size=${26} />`} title=${t("documents.nothing")}>
      <p>${t("documents.nothing_about")}</p>
      <div class="row">
        <${Button} kind="primary" icon="upload" onClick=${pick}>${t("documents.add_files")}<//>
        <${Button} icon="folder" onClick=${browse}>${t("documents.add_folder")}<//>
      </div>
      <p class="small-text">${t("documents.kinds")}</p>
    <//>
  </div>`;
}

/** What is dropped anywhere on the page goes into the collection that is shown. @param {{into: string, collection: string}} props */
function DropZone({ into, collection }) {
  const isOver = useSignal(false);
  useEffect(() => {
    let depth = 0;
    /** @param {DragEvent} event */
    const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    /** @param {DragEvent} event */
    const enter = (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      depth += 1;
      isOver.value = true;
    };
    /** @param {DragEvent} event */
    const over = (event) => {
      if (hasFiles(event)) event.preventDefault();
    };
    const leave = () => {
      depth = Math.max(0, depth - 1);
      isOver.value = depth > 0;
    };
    /** @param {DragEvent} event */
    const drop = async (event) => {
      if (!hasFiles(event) || !event.dataTransfer) return;
      event.preventDefault();
      depth = 0;
      isOver.value = false;
      send(await dropped(event.dataTransfer), collection);
    };
    /** @type {[string, any][]} */
    const all = [["dragenter", enter], ["dragover", over], ["dragleave", leave], ["drop", drop]];
    for (const [name, handler] of all) addEventListener(name, handler);
    return () => {
      for (const [name, handler] of all) removeEventListener(name, handler);
    };
  }, [collection]);
  if (!isOver.value) return null;
  return html`<div class="drop-over" role="status">
    <${Icon} name="upload" size=${40} />
    <strong>${t("documents.drop_into", { name: into })}</strong>
  </div>`;
}
