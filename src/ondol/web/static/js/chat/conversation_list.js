// @ts-check
/** The conversations beside the chat: found, opened, pinned, put into folders, saved and erased. */
import { t, when } from "../core/i18n.js";
import { lazy } from "../core/lazy.js";
import { go, href } from "../core/router.js";
import { recall, remember } from "../core/state.js";
import { html, useRef, useState } from "../core/ui.js";
import { Button, Icon, IconButton, Menu } from "../parts/index.js";
import { alter, download, entries, grouped, loaded, more, next, query, relist } from "./listing.js";
import { conversation } from "./thread.js";

const dialogs = () => import("./conversation_dialogs.js");
const DeleteDialog = lazy(dialogs, "DeleteDialog");
const FolderDialog = lazy(dialogs, "FolderDialog");
const RenameDialog = lazy(dialogs, "RenameDialog");

const PAUSE_MS = 200;

/** @typedef {import("./listing.js").Entry} Entry */

/** @param {{onChosen: () => void}} props */
export function ConversationList({ onChosen }) {
  const [asked, setAsked] = useState(/** @type {{what: "rename"|"move"|"delete", entry: Entry}|null} */ (null));
  const close = () => setAsked(null);
  const isSearch = query.value.trim() !== "";
  const groups = isSearch ? [{ key: "found", title: "", folder: false, entries: entries.value }] : grouped(entries.value);
  return html`<nav class="chats" aria-label=${t("chat.chats")}>
    <div class="chats-head">
      <${Button} kind="primary" icon="add" class="new-chat" onClick=${() => { go("chat"); onChosen(); }}>${t("chat.new_chat")}<//>
      <${Search} />
    </div>
    <div class="chats-body">
      ${loaded.value && !entries.value.length && html`<p class="muted small-text chats-none">${
        t(isSearch ? "chat.none_found" : "chat.no_chats")}</p>`}
      ${groups.map((group) => html`<${Group} key=${group.key} group=${group} onChosen=${onChosen} onAsk=${setAsked} />`)}
      ${next.value && html`<${Button} small kind="quiet" onClick=${more}>${t("chat.more_chats")}<//>`}
    </div>
    ${asked?.what === "rename" && html`<${RenameDialog} entry=${asked.entry} onClose=${close} />`}
    ${asked?.what === "move" && html`<${FolderDialog} entry=${asked.entry} onClose=${close} />`}
    ${asked?.what === "delete" && html`<${DeleteDialog} entry=${asked.entry} onClose=${close} />`}
  </nav>`;
}

function Search() {
  const timer = useRef(/** @type {any} */ (0));
  const typed = (/** @type {any} */ event) => {
    query.value = event.target.value;
    clearTimeout(timer.current);
    timer.current = setTimeout(relist, PAUSE_MS);
  };
  return html`<div class="chats-search" role="search"><${Icon} name="search" size=${16} />
    <input type="search" aria-label=${t("chat.search_chats")} placeholder=${t("chat.search_chats")}
      value=${query.value} onInput=${typed} /></div>`;
}

/** @param {any} props */
function Group({ group, onChosen, onAsk }) {
  const name = `chat.closed.${group.key}`;
  const [closed, setClosed] = useState(group.folder && recall(name, false));
  const toggle = () => {
    remember(name, closed ? undefined : true);
    setClosed(!closed);
  };
  return html`<section class="chats-group">
    ${group.title && (group.folder
      ? html`<h2><button type="button" aria-expanded=${String(!closed)} onClick=${toggle}>
          <${Icon} name=${closed ? "next" : "down"} size=${14} /><${Icon} name="folder" size=${14} />${group.title}</button></h2>`
      : html`<h2>${group.title}</h2>`)}
    ${!closed && html`<ul>${group.entries.map((/** @type {Entry} */ entry) => html`<${Line} key=${entry.id}
      entry=${entry} onChosen=${onChosen} onAsk=${onAsk} />`)}</ul>`}
  </section>`;
}

/** @param {any} props */
function Line({ entry, onChosen, onAsk }) {
  const title = entry.title || t("chat.untitled");
  const isOpen = conversation.value?.id === entry.id;
  const items = [
    { text: t(entry.pinned ? "chat.unpin" : "chat.pin"), icon: "pin", run: () => alter(entry.id, { pinned: !entry.pinned }) },
    { text: t("chat.rename"), icon: "edit", run: () => onAsk({ what: "rename", entry }) },
    { text: t("chat.move"), icon: "folder", run: () => onAsk({ what: "move", entry }) },
    null,
    { text: t("chat.export_md"), icon: "download", run: () => download(entry, "md") },
    { text: t("chat.export_json"), icon: "download", run: () => download(entry, "json") },
    null,
    { text: t("chat.delete"), icon: "trash", danger: true, run: () => onAsk({ what: "delete", entry }) },
  ];
  return html`<li class=${`chats-line${isOpen ? " open" : ""}`}>
    <a href=${href(`chat/${entry.id}`)} aria-current=${isOpen ? "page" : undefined} title=${`${title} · ${when(entry.updated_at)}`}
      onClick=${onChosen}><span class="chats-title">${title}</span>
      ${entry.running && html`<span class="ember" role="img" aria-label=${t("chat.is_running")}></span>`}</a>
    <${Menu} label=${t("chat.actions", { title })} items=${items} />
  </li>`;
}

/** The button that shows or hides the list. @param {{isShown: boolean, onClick: () => void}} props */
export function ListToggle({ isShown, onClick }) {
  return html`<${IconButton} icon="sidebar" label=${t(isShown ? "chat.hide_chats" : "chat.show_chats")}
    aria-expanded=${String(isShown)} onClick=${onClick} />`;
}
