// @ts-check
/** An answer: what it rests on, its words, how sure it is and where it came from, and what can be done. */
import { t } from "../core/i18n.js";
import { lazy } from "../core/lazy.js";
import { html } from "../core/ui.js";
import { Button, Icon, IconButton } from "../parts/index.js";
import { ConfidenceBadge, DraftThenBetter, Quotes, RouteLine, SupportMarks } from "../trust/index.js";
import { CopyButton } from "./copying.js";
import { Reasons, Thumbs } from "./feedback.js";
import { Prose } from "./prose.js";
import { answering, running, start } from "./thread.js";
import { Versions } from "./versions.js";

const Calls = lazy(() => import("./calls.js"), "Calls");
const Noted = lazy(() => import("./remembered.js"), "Noted");

/** @typedef {import("./tree.js").Message} Message */

/** The numbers that the words may cite. @param {Message} message @param {any[]} events */
function numbersOf(message, events) {
  const evidence = events.find((one) => one.event === "evidence")?.data;
  return (message.answer?.quotes ?? evidence?.quotes ?? []).map((/** @type {any} */ one) => one.number);
}

/** @param {{message: Message, question: string, isLast: boolean}} props */
export function Answer({ message, question, isLast }) {
  const live = answering.value.get(message.id);
  const isRunning = message.status === "running";
  const text = live ? live.text.value : message.content;
  const events = live ? live.events.value : [];
  // While it runs the server keeps what is known by then; the events say more.
  const answer = isRunning ? null : message.answer;
  const isAsked = events.findLast((one) => one.event === "tool_call")?.data.status === "asked";
  const hasCalls = message.answer?.tool_calls || events.some((one) => one.event === "tool_call");
  return html`<div class=${`answer${isRunning ? " growing" : ""}`} aria-busy=${String(isRunning)}>
    <h2 class="hidden">${t("chat.message_from_ondol")}</h2>
    <${Quotes} answer=${answer} events=${events} question=${question} />
    <${DraftThenBetter} answer=${answer} events=${events} />
    ${hasCalls && html`<${Calls} answer=${message.answer} events=${events} run=${isRunning && live ? live.run : ""} />`}
    <${Thoughts} text=${live ? live.reasoning.value : ""} isRunning=${isRunning && !text} />
    ${text ? html`<${Prose} text=${text} growing=${isRunning} quotes=${numbersOf(message, events)} />` : isRunning && !isAsked && html`<${Waiting} events=${events} />`}
    ${live?.lost.value && html`<p class="answer-note warn" role="status"><${Icon} name="offline" size=${16} />${t("chat.line_lost")}</p>`}
    <${Ending} message=${message} />
    ${(answer?.remembered || answer?.suggestions) && html`<${Noted} answer=${answer} />`}
    ${answer?.quotes.length > 0 && html`<${SupportMarks} answer=${answer} events=${events} />`}
    ${answer && !answer.reasons.includes("remembered") && html`<div class="answer-trust"><${ConfidenceBadge} answer=${answer} events=${events} />
        <${RouteLine} answer=${answer} events=${events} /></div>`}
    ${!isRunning && html`<${Deeds} message=${message} isLast=${isLast} /><${Reasons} message=${message} />`}
  </div>`;
}

/** Before the first word. @param {{events: any[]}} props */
function Waiting({ events }) {
  const hasEvidence = events.some((one) => one.event === "evidence" || one.event === "tool_call");
  return html`<p class="waiting" role="status"><span class="ember" aria-hidden="true"></span>
    ${t(hasEvidence ? "chat.thinking" : "chat.reading_documents")}</p>`;
}

/** @param {{text: string, isRunning: boolean}} props */
function Thoughts({ text, isRunning }) {
  if (!text) return null;
  return html`<details class="thoughts" open=${isRunning}>
    <summary>${t(isRunning ? "chat.thinking" : "chat.thoughts")}</summary>
    <${Prose} text=${text} growing=${isRunning} />
  </details>`;
}

/** Why an answer ends where it does, when it was not finished. @param {{message: Message}} props */
function Ending({ message }) {
  const isCut = message.status === "done" && message.answer?.finish_reason === "length";
  if (message.status === "stopped" || isCut) {
    return html`<p class="answer-note"><${Icon} name="stop" size=${16} />${t(isCut ? "chat.cut" : "chat.stopped")}
      ${message.content && html`<${Button} small disabled=${running.value !== null}
        onClick=${() => start({ continue: message.id })}>${t("chat.continue")}<//>`}</p>`;
  }
  if (message.status !== "failed") return null;
  const { message: reason, hint } = message.error ?? {};
  return html`<div class="answer-note bad" role="alert"><${Icon} name="alert" size=${16} />
    <span>${t("chat.failed")} ${reason ?? t("chat.failed_plain")} ${hint}</span>
    <${Button} small icon="refresh" disabled=${running.value !== null}
      onClick=${() => start({ regenerate: message.id })}>${t("chat.regenerate")}<//></div>`;
}

/** @param {{message: Message, isLast: boolean}} props */
function Deeds({ message, isLast }) {
  return html`<div class=${`message-actions${isLast ? " stay" : ""}`}>
    <${Versions} message=${message} />
    ${message.content && html`<${CopyButton} text=${message.content} />`}
    <${IconButton} icon="refresh" size=${16} label=${t("chat.regenerate")} disabled=${running.value !== null}
      onClick=${() => start({ regenerate: message.id })} />
    ${message.content && html`<${Thumbs} message=${message} />`}
  </div>`;
}
