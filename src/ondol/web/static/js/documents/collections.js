// @ts-check
// The collections, as cards to choose from, and what can be done with one.

import { html, useSignal } from "../core/ui.js";
import { bytes, number, t } from "../core/i18n.js";
import { del, patch, post } from "../core/api.js";
import { route } from "../core/router.js";
import { complain } from "../core/state.js";
import { Button, Confirm, Dialog, Field, Icon, Menu } from "../parts/index.js";
import { LabelDialog } from "./label.js";
import { SensitivityBadge, SensitivityChoice } from "./sensitivity.js";
import { addressOf, collections, folders, reload, show } from "./shelf.js";

/** @typedef {import("./shelf.js").Collection} Collection */

/** @param {{onForget: (what: any) => void}} props */
export function Collections({ onForget }) {
  const known = collections.value ?? [];
  const current = route.value.path[0] ?? "";
  /** @type {import("../../vendor/signals.js").Signal<{kind: "new" | "rename" | "label" | "delete", collection: Collection | null} | null>} */
  const dialog = useSignal(/** @type {any} */ (null));
  const close = () => {
    dialog.value = null;
  };
  /** @param {"new" | "rename" | "label" | "delete"} kind @param {Collection | null} [collection] */
  const open = (kind, collection = null) => {
    dialog.value = { kind, collection };
  };
  const total = known.reduce((sum, one) => sum + one.documents, 0);
  return html`<section class="collections" aria-label=${t("documents.collections")}>
    <div class="collection-cards">
      <${All} total=${total} size=${known.reduce((sum, one) => sum + one.size_bytes, 0)} current=${!current} />
      ${known.map((one) => html`<${Card} key=${one.name} collection=${one} current=${current === one.name} open=${open} onForget=${onForget} />`)}
      <button type="button" class="collection-new" onClick=${() => open("new")}>
        <${Icon} name="add" /><span>${t("documents.new_collection")}</span>
      </button>
    </div>
    ${dialog.value?.kind === "new" && html`<${NewCollection} onClose=${close} />`}
    ${dialog.value?.kind === "rename" && html`<${Rename} collection=${dialog.value.collection} onClose=${close} />`}
    ${dialog.value?.kind === "label" && html`<${Relabel} collection=${dialog.value.collection} onClose=${close} />`}
    ${dialog.value?.kind === "delete" && html`<${Remove} collection=${dialog.value.collection} onClose=${close} />`}
  </section>`;
}

/** @param {number} count */
const countOf = (count) => (count === 1 ? t("documents.document_one") : t("documents.document_many", { count: number(count) }));

/** @param {{total: number, size: number, current: boolean}} props */
function All({ total, size, current }) {
  return html`<div class=${`collection${current ? " current" : ""}`}>
    <a href=${`#/${addressOf("")}`} aria-current=${current ? "true" : undefined}>
      <strong>${t("documents.everything")}</strong>
      <span class="muted small-text">${countOf(total)} · ${bytes(size)}</span>
    </a>
  </div>`;
}

/** @param {{collection: Collection, current: boolean, open: (kind: any, collection: Collection) => void, onForget: (what: any) => void}} props */
function Card({ collection, current, open, onForget }) {
  const isDefault = collection.name === "default";
  const isUsed = collection.documents > 0 || folders.value.some((one) => one.collection === collection.name);
  const items = [
    { text: t("documents.change_label"), icon: "shield", run: () => open("label", collection) },
    ...(isDefault ? [] : [{ text: t("documents.rename"), icon: "edit", run: () => open("rename", collection) }]),
    null,
    ...(isUsed
      ? [{ text: t("documents.forget_all"), icon: "trash", danger: true, run: () => onForget({ filter: { in: collection.name }, name: nameOf(collection) }) }]
      : []),
    ...(isDefault || isUsed ? [] : [{ text: t("documents.delete_collection"), icon: "trash", danger: true, run: () => open("delete", collection) }]),
  ];
  return html`<div class=${`collection${current ? " current" : ""}`}>
    <a href=${`#/${addressOf(collection.name)}`} aria-current=${current ? "true" : undefined}>
      <strong>${nameOf(collection)}</strong>
      <span class="muted small-text">${countOf(collection.documents)} · ${bytes(collection.size_bytes)}</span>
      <${SensitivityBadge} level=${collection.sensitivity} />
    </a>
    <${Menu} label=${t("documents.collection_menu", { name: nameOf(collection) })} items=${items.at(-1) === null ? items.slice(0, -1) : items} />
  </div>`;
}

/** What people read for a collection. @param {{name: string}} collection */
export const nameOf = (collection) => (collection.name === "default" ? t("documents.default_collection") : collection.name);

/** @param {{onClose: () => void}} props */
export function NewCollection({ onClose }) {
  const name = useSignal("");
  const level = useSignal("private");
  return html`<${Form}
    title=${t("documents.new_collection")}
    action=${t("documents.create")}
    name=${name}
    onClose=${onClose}
    save=${async () => {
      const made = await post("/ondol/v1/collections", { name: name.value, sensitivity: level.value });
      show(made.name);
      await reload();
    }}
  >
    <${SensitivityChoice}
      label=${t("documents.how_far")}
      value=${level.value}
      onChange=${(/** @type {string} */ one) => {
        level.value = one;
      }}
    />
  <//>`;
}

/** @param {{collection: Collection, onClose: () => void}} props */
function Rename({ collection, onClose }) {
  const name = useSignal(collection.name);
  return html`<${Form}
    title=${t("documents.rename")}
    action=${t("documents.save")}
    name=${name}
    onClose=${onClose}
    save=${async () => {
      const made = await patch(`/ondol/v1/collections/${encodeURIComponent(collection.name)}`, { name: name.value });
      if (route.value.path[0] === collection.name) show(made.name);
      await reload();
    }}
  />`;
}

/** @param {{title: string, action: string, name: any, save: () => Promise<void>, onClose: () => void, children?: any}} props */
function Form({ title, action, name, save, onClose, children }) {
  const error = useSignal("");
  const isBusy = useSignal(false);
  /** @param {Event} event */
  const submit = async (event) => {
    event.preventDefault();
    isBusy.value = true;
    try {
      await save();
      onClose();
    } catch (failed) {
      const told = /** @type {any} */ (failed);
      error.value = [told.message, told.hint].filter(Boolean).join(" ");
    } finally {
      isBusy.value = false;
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form class="stack" onSubmit=${submit}>
      <${Field} label=${t("documents.name")} error=${error.value}>
        ${(/** @type {any} */ field) => html`<input
          ...${field}
          type="text"
          required
          maxlength="100"
          autofocus
          value=${name.value}
          onInput=${(/** @type {any} */ event) => {
            name.value = event.currentTarget.value;
          }}
        />`}
      <//>
      ${children}
      <div class="row form-end">
        <${Button} onClick=${onClose}>${t("shell.cancel")}<//>
        <${Button} kind="primary" type="submit" busy=${isBusy.value}>${action}<//>
      </div>
    </form>
  <//>`;
}

/** @param {{collection: Collection, onClose: () => void}} props */
function Relabel({ collection, onClose }) {
  const count = collection.documents;
  return html`<${LabelDialog}
    name=${nameOf(collection)}
    now=${collection.sensitivity}
    save=${(/** @type {string} */ sensitivity) => patch(`/ondol/v1/collections/${encodeURIComponent(collection.name)}`, { sensitivity })}
    ask=${count === 1 ? t("documents.loosen_ask_one") : t("documents.loosen_ask", { count: number(count) })}
    onClose=${onClose}
  />`;
}

/** @param {{collection: Collection, onClose: () => void}} props */
function Remove({ collection, onClose }) {
  const remove = async () => {
    try {
      await del(`/ondol/v1/collections/${encodeURIComponent(collection.name)}`);
      if (route.value.path[0] === collection.name) show("");
      await reload();
    } catch (error) {
      complain(error);
    }
    onClose();
  };
  return html`<${Confirm} title=${t("documents.delete_collection")} action=${t("documents.delete")} onConfirm=${remove} onClose=${onClose}>
    <p>${t("documents.delete_collection_ask", { name: collection.name })}</p>
  <//>`;
}
