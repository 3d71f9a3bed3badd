// @ts-check
/** A chat before its first message: three questions that fit what is in the library. */
import { language, t } from "../core/i18n.js";
import { href } from "../core/router.js";
import { html, useEffect } from "../core/ui.js";
import { Icon } from "../parts/index.js";
import { chosenCollections, documents, lookAtDocuments } from "./offering.js";
import { choices } from "./thread.js";
import { findTopics, topics } from "./topics.js";

const QUESTIONS = ["chat.example_about", "chat.example_know", "chat.example_say"];

/** @param {{onAsk: (text: string) => void}} props */
export function EmptyChat({ onAsk }) {
  const isChat = choices.value.mode === "chat";
  const chosen = chosenCollections();
  const library = (documents.value ?? []).filter((one) => !chosen.length || chosen.includes(one.collection));
  useEffect(() => { lookAtDocuments(); }, []);
  useEffect(() => { if (documents.value) findTopics(library); }, [documents.value, chosen.join(), language.value]);
  const known = topics.value ?? [];
  const examples = isChat
    ? [1, 2, 3].map((i) => t(`chat.example_chat_${i}`))
    : known.length ? QUESTIONS.map((key, i) => t(key, { topic: known[i % known.length] })) : [];
  const needsDocuments = !isChat && documents.value !== null && !library.length;
  return html`<div class="empty-chat">
    <div class="empty-mark" aria-hidden="true"><${Icon} name="flame" size=${30} /></div>
    <h2>${t("chat.empty_title")}</h2>
    <p class="muted">${t(isChat ? "chat.empty_chat_text" : "chat.empty_text")}</p>
    ${needsDocuments && html`<a class="button primary" href=${href("documents")}>
      <${Icon} name="add" size=${18} /><span>${t("chat.empty_library")}</span></a>`}
    ${examples.length > 0 && html`<ul class="examples" aria-label=${t("chat.examples")}>
      ${examples.map((one) => html`<li key=${one}><button type="button" onClick=${() => onAsk(one)}>
        <span>${one}</span><${Icon} name="up" size=${16} /></button></li>`)}</ul>`}
  </div>`;
}
