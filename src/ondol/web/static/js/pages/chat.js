// @ts-check
/** The chat page: conversations at the side, the thread, the composer. The parts are in `js/chat/`. */
import { announcements } from "../chat/announcing.js";
import { commandsOf } from "../chat/commands.js";
import { Composer } from "../chat/composer.js";
import { ConversationList, ListToggle } from "../chat/conversation_list.js";
import { copyText } from "../chat/copying.js";
import { draftOf, keepDraft } from "../chat/drafts.js";
import { dropTarget } from "../chat/dropping.js";
import { EmptyChat } from "../chat/empty.js";
import { HelpSheet, shortcut } from "../chat/help.js";
import { download, relist } from "../chat/listing.js";
import { lookAround, nameDocuments, nameModel } from "../chat/offering.js";
import { PromptLibrary, prompts, readPrompts } from "../chat/prompts.js";
import * as thread from "../chat/thread.js";
import { composer, editing, insert, typed } from "../chat/typing.js";
import { t } from "../core/i18n.js";
import { lazy } from "../core/lazy.js";
import { go, route } from "../core/router.js";
import { recall, remember, toast } from "../core/state.js";
import { html, useEffect, useMemo, useRef, useState } from "../core/ui.js";
import { Drawer, Icon, IconButton } from "../parts/index.js";
import { PrivacyStrip } from "../trust/strip.js";

export const catalogues = ["chat", "strip"];

/** Fetched when somebody begins to type, or opens a conversation: a new chat needs none of it. */
const Talk = lazy(() => import("../chat/talk.js"), "Talk");
const SystemDialog = lazy(() => import("../chat/system.js"), "SystemDialog");

const NARROW = "(max-width: 1023px)";

/**
 * Follow the address: a conversation, or a new chat.
 * @param {string|null} id
 * @param {boolean} isFirst the page was just entered: what was open in it still is
 */
async function show(id, isFirst) {
  const made = thread.conversation.value?.id;
  if (id === null) {
    if (isFirst && made && !route.value.query.text) return go(`chat/${made}`, { replace: true });
    thread.begin();
    typed.value = draftOf(null);
    return undefined;
  }
  // Made a moment ago by the first message or file: what is typed belongs to it, unless it is on its way.
  if (made === id) return typed.value && !thread.sending.value ? keepDraft(id, typed.value) : undefined;
  const here = draftOf(id);
  typed.value = here;
  if (!(await thread.open(id))) return go("chat", { replace: true });
  const { id: open, draft } = thread.conversation.value ?? {};
  if (open === id && !here && !typed.value) typed.value = draft;
  return undefined;
}

/** @param {"model"|"documents"} kind */
function openPicker(kind) {
  const button = kind === "model" ? ".picker.model" : ".picker:not(.model, .place)";
  /** @type {HTMLElement|null} */ (document.querySelector(button))?.click();
}

export default function Chat() {
  const [sheet, setSheet] = useState(/** @type {"help"|"prompts"|"system"|"list"|null} */ (null));
  const [listed, setListed] = useState(recall("chat.list", true));
  const [atEnd, setAtEnd] = useState(true);
  const [isOver, setIsOver] = useState(false);
  const list = useRef(/** @type {{toEnd: (smooth?: boolean) => void}|null} */ (null));
  // While another page is on its way this one still stands: addresses of others are not its own.
  const address = useRef(route.value);
  if (route.value.page === "chat") address.current = route.value;
  const id = address.current.path[0] ?? null;
  const isNarrow = matchMedia(NARROW).matches;

  useEffect(() => {
    readPrompts();
    lookAround();
  }, []);
  useEffect(() => { relist(); }, [thread.changed.value]);
  const isFirst = useRef(true);
  useEffect(() => {
    show(id, isFirst.current);
    isFirst.current = false;
  }, [id]);
  useEffect(() => {
    // The first message makes the conversation: from then on the address is its own.
    const made = thread.conversation.value?.id;
    if (made && !id && route.value.page === "chat" && !thread.opening.value) go(`chat/${made}`, { replace: true });
  }, [thread.conversation.value?.id]);
  useEffect(() => {
    const wanted = address.current.query.text;
    if (wanted) insert(wanted);
  }, [address.current.query.text]);

  const isSoon = id !== null || typed.value !== "";
  useEffect(() => {
    if (isSoon) Talk.ready().catch(() => {});
  }, [isSoon]);

  const toggleList = () => {
    if (matchMedia(NARROW).matches) return setSheet(sheet === "list" ? null : "list");
    remember("chat.list", !listed);
    return setListed(!listed);
  };
  const editLast = () => {
    const last = thread.shown.value.findLast((one) => one.role === "user");
    if (last && !thread.running.value) editing.value = last.id;
  };
  const commands = useMemo(() => commandsOf({
    begin: () => go("chat"), clear: () => go("chat"), insert, help: () => setSheet("help"),
    model: (name) => { if (name) nameModel(name); else openPicker("model"); },
    documents: (names) => { if (names) nameDocuments(names); else openPicker("documents"); },
    system: (text) => { if (text) thread.change({ system: text }).then(() => toast(t("chat.system_set"))); else setSheet("system"); },
    exportAs: (format) => { if (thread.conversation.value) download(thread.conversation.value, format); },
  }, prompts.value), [prompts.value]);

  const deeds = /** @type {Record<string, () => void>} */ ({
    new: () => { go("chat"); composer()?.focus(); },
    search: () => {
      if (matchMedia(NARROW).matches) setSheet("list");
      else setListed(true);
      requestAnimationFrame(() => /** @type {HTMLElement|null} */ (document.querySelector(".chats-search input"))?.focus());
    },
    list: toggleList, focus: () => composer()?.focus(), stop: () => { if (thread.running.value) thread.stop(); },
    copy: () => {
      const last = thread.shown.value.findLast((one) => one.role === "assistant");
      if (last) copyText(last.content).then(() => toast(t("chat.copied")));
    },
    help: () => setSheet("help"),
  });
  useEffect(() => {
    const pressed = (/** @type {KeyboardEvent} */ event) => {
      const name = shortcut(event);
      if (!name || (name === "stop" && !thread.running.value)) return;
      event.preventDefault();
      deeds[name]();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  });

  const dragged = dropTarget(setIsOver);
  const items = thread.shown.value;
  const isEmpty = !items.length && !thread.opening.value;
  return html`<div class=${`chat${listed && !isNarrow ? " with-list" : ""}`} ...${dragged}>
    ${listed && !isNarrow && html`<aside class="chat-side"><${ConversationList} onChosen=${() => composer()?.focus()} /></aside>`}
    ${sheet === "list" && html`<${Drawer} class="list-drawer" title=${t("chat.chats")} onClose=${() => setSheet(null)}>
      <${ConversationList} onChosen=${() => setSheet(null)} /><//>`}
    <section class="chat-main">
      <header class="chat-head">
        <${ListToggle} isShown=${isNarrow ? sheet === "list" : listed} onClick=${toggleList} />
        <h1 class="chat-title">${thread.conversation.value?.title || t("chat.new_chat")}</h1>
        <div class="chat-strip"><${PrivacyStrip} /></div>
        <${IconButton} icon="sliders" label=${t("chat.system")} pressed=${thread.choices.value.system !== ""} onClick=${() => setSheet("system")} />
        <${IconButton} icon="help" label=${t("chat.help")} onClick=${() => setSheet("help")} />
        ${(isNarrow || !listed) && html`<${IconButton} icon="add" label=${t("chat.new_chat")}
          onClick=${() => { go("chat"); composer()?.focus(); }} />`}
      </header>
      ${thread.opening.value && html`<p class="waiting chat-loading" role="status"><span class="ember"></span>${t("chat.loading")}</p>`}
      ${isEmpty && html`<div class="thread"><${EmptyChat} onAsk=${(/** @type {string} */ content) => thread.start({ content })} /></div>`}
      ${items.length > 0 && html`<${Talk} onEnd=${setAtEnd} handle=${list} />`}
      <div class="chat-foot">
        ${!atEnd && items.length > 0 && html`<${IconButton} class="to-end" icon="down" label=${t("chat.to_end")}
          onClick=${() => list.current?.toEnd(true)} />`}
        <${Composer} commands=${commands} onPrompts=${() => setSheet("prompts")} onEditLast=${editLast}
          onSent=${() => list.current?.toEnd()} />
      </div>
    </section>
    ${isOver && html`<div class="chat-drop" aria-hidden="true"><${Icon} name="upload" size=${36} /><span>${t("chat.drop")}</span></div>`}
    ${sheet === "help" && html`<${HelpSheet} commands=${commands} onClose=${() => setSheet(null)} />`}
    ${sheet === "prompts" && html`<${PromptLibrary} onClose=${() => setSheet(null)} />`}
    ${sheet === "system" && html`<${SystemDialog} onClose=${() => setSheet(null)} />`}
    <div class="hidden" role="status" aria-atomic="false" aria-relevant="additions" data-announcement>
      ${announcements.value.map(({ id: number, text }) => html`<p key=${number}>${text}</p>`)}</div>
  </div>`;
}
