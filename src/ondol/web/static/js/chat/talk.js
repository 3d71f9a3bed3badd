// @ts-check
/** The thread as it is shown: questions and answers, of which only what is near the window is drawn. */
import { t } from "../core/i18n.js";
import { html } from "../core/ui.js";
import { Answer } from "./answer.js";
import { Question } from "./question.js";
import { conversation, shown } from "./thread.js";
import { VirtualList } from "./virtual.js";

/** @param {{onEnd: (atEnd: boolean) => void, handle: {current: {toEnd: (smooth?: boolean) => void}|null}}} props */
export function Talk({ onEnd, handle }) {
  const items = shown.value;
  return html`<${VirtualList} key=${conversation.value?.id} items=${items} label=${t("chat.thread")} onEnd=${onEnd} handle=${handle}
    draw=${(/** @type {any} */ message, /** @type {number} */ i) => (message.role === "user"
      ? html`<${Question} message=${message} />`
      : html`<${Answer} message=${message} question=${items[i - 1]?.content ?? ""} isLast=${i === items.length - 1} />`)} />`;
}
