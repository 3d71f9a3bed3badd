// @ts-check
// Adding a folder: of the server's machine, by going through it; from another device, by sending it.

import { html, useEffect, useRef, useSignal } from "../core/ui.js";
import { number, t } from "../core/i18n.js";
import { get } from "../core/api.js";
import { Button, Dialog, Icon, IconButton, Select, Switch } from "../parts/index.js";
import { addFolder, send } from "./reading.js";
import { nameOf as collectionName } from "./collections.js";
import { collections, nameOf } from "./shelf.js";

/** @typedef {{path: string, parent: string | null, folders: {name: string, path: string}[], files: number, places: string[]}} Place */

/** @param {{collection: string, onClose: () => void}} props */
export function AddFolder({ collection, onClose }) {
  const place = useSignal(/** @type {Place | null} */ (null));
  const error = useSignal("");
  const isElsewhere = useSignal(false);
  const watch = useSignal(true);
  const into = useSignal(collection || "default");
  const list = useRef(/** @type {HTMLElement | null} */ (null));

  /** @param {string} path */
  const open = async (path) => {
    try {
      place.value = await get(`/ondol/v1/browse?${new URLSearchParams(path ? { path } : {})}`);
      error.value = "";
      list.current?.scrollTo(0, 0);
    } catch (failed) {
      const told = /** @type {any} */ (failed);
      isElsewhere.value = told.status === 403 && !place.value;
      error.value = [told.message, told.hint].filter(Boolean).join(" ");
    }
  };
  useEffect(() => {
    open("");
  }, []);

  const add = () => {
    addFolder({ path: /** @type {Place} */ (place.value).path, collection: into.value, watch: watch.value });
    onClose();
  };
  if (isElsewhere.value) return html`<${Elsewhere} into=${into} onClose=${onClose} />`;
  const footer = html`<${Button} onClick=${onClose}>${t("shell.cancel")}<//>
    <${Button} kind="primary" icon="add" disabled=${!place.value} onClick=${add}>
      ${place.value ? t("documents.add_this", { name: nameOf(place.value.path) }) : t("documents.add_folder")}
    <//>`;
  return html`<${Dialog} wide title=${t("documents.add_folder")} onClose=${onClose} footer=${footer}>
    <div class="browse">
      ${place.value && html`<${Crumbs} place=${place.value} open=${open} />`}
      ${error.value && html`<p class="notice warn" role="alert">${error.value}</p>`}
      <div class="browse-list" ref=${list}>
        ${place.value?.folders.map(
          (one) => html`<button key=${one.path} type="button" class="browse-folder" onClick=${() => open(one.path)}>
            <${Icon} name="folder" /><span>${one.name}</span><${Icon} name="next" size=${16} />
          </button>`,
        )}
        ${place.value && !place.value.folders.length && html`<p class="muted browse-none">${t("documents.no_folders")}</p>`}
      </div>
      ${place.value && html`<p class="muted small-text">${place.value.files === 1 ? t("documents.files_here_one") : t("documents.files_here", { count: number(place.value.files) })}</p>`}
      <div class="browse-how">
        <${Into} into=${into} />
        <${Switch}
          label=${t("documents.follow_it")}
          checked=${watch.value}
          onChange=${(/** @type {boolean} */ one) => {
            watch.value = one;
          }}
        />
      </div>
    </div>
  <//>`;
}

/** @param {{place: Place, open: (path: string) => void}} props */
function Crumbs({ place, open }) {
  return html`<div class="browse-top">
    <${IconButton} icon="up" label=${t("documents.folder_up")} disabled=${!place.parent} onClick=${() => open(place.parent ?? "")} />
    <form
      class="browse-path"
      onSubmit=${(/** @type {any} */ event) => {
        event.preventDefault();
        open(event.target.elements.path.value.trim());
      }}
    >
      <input type="text" name="path" key=${place.path} defaultValue=${place.path} aria-label=${t("documents.folder_path")}
        spellcheck=${false} autocapitalize="off" autocomplete="off" enterkeyhint="go" />
    </form>
    <${Select}
      label=${t("documents.places")}
      value=${place.places.includes(place.path) ? place.path : ""}
      options=${[{ value: "", text: t("documents.places") }, ...place.places.map((one) => ({ value: one, text: nameOf(one) }))]}
      onChange=${(/** @type {string} */ path) => path && open(path)}
    />
  </div>`;
}

/** Which collection it goes to. @param {{into: any}} props */
export function Into({ into }) {
  const options = (collections.value ?? []).map((one) => ({ value: one.name, text: collectionName(one) }));
  if (!options.some((one) => one.value === "default")) options.unshift({ value: "default", text: t("documents.default_collection") });
  return html`<label class="row"><span>${t("documents.into")}</span>
    <${Select}
      label=${t("documents.into")}
      value=${into.value}
      options=${options}
      onChange=${(/** @type {string} */ name) => {
        into.value = name;
      }}
    />
  </label>`;
}

/** @param {{into: any, onClose: () => void}} props */
function Elsewhere({ into, onClose }) {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => {
    // No property of it is standard, and every browser has it.
    input.current?.setAttribute("webkitdirectory", "");
  }, []);
  /** @param {any} event */
  const picked = (event) => {
    const chosen = [.../** @type {FileList} */ (event.currentTarget.files)]
      .map((file) => ({ file, name: file.webkitRelativePath || file.name }))
      .filter(({ name }) => !name.split("/").some((part) => part.startsWith(".")));
    send(chosen, into.value);
    onClose();
  };
  return html`<${Dialog} title=${t("documents.add_folder")} onClose=${onClose}>
    <div class="stack">
      <p>${t("documents.elsewhere")}</p>
      <${Into} into=${into} />
      <input ref=${input} class="hidden" type="file" multiple tabindex="-1" aria-hidden="true" onChange=${picked} />
      <${Button} kind="primary" icon="upload" onClick=${() => input.current?.click()}>${t("documents.send_folder")}<//>
    </div>
  <//>`;
}
