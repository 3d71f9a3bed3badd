// @ts-check
/** The calls of tools in an answer: what the model wants to call, and the person's yes or no to it. */
import { post } from "../core/api.js";
import { t } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { html, useState } from "../core/ui.js";
import { Button, Icon } from "../parts/index.js";

/**
 * @typedef {{id: string, server: string, tool: string, arguments: string, status: string, text: string, leaves: string}} Call
 */

/** The calls as they are now, by the events of a run and what the answer kept of them.
 * @param {any} answer @param {any[]} events @returns {Call[]} */
function callsOf(answer, events) {
  const found = new Map((answer?.tool_calls ?? []).map((/** @type {Call} */ one) => [one.id, one]));
  for (const { event, data } of events) if (event === "tool_call") found.set(data.id, data);
  return [...found.values()];
}

/** @param {{answer: any, events: any[], run: string}} props `run` is "" where nobody waits any more */
export function Calls({ answer, events, run }) {
  const calls = callsOf(answer, events);
  return html`<ul class="calls" aria-label=${t("chat.calls")}>
    ${calls.map((call) => html`<li key=${call.id}><${OneCall} call=${call} run=${run} /></li>`)}
  </ul>`;
}

/** @param {{call: Call, run: string}} props */
function OneCall({ call, run }) {
  const [said, setSaid] = useState(false);
  // A server that does not work at all has no tool.
  const name = [call.server, call.tool].filter(Boolean).join(" · ");
  if (call.status !== "asked") {
    return html`<details class="call">
      <summary><${Icon} name="plug" size=${16} />${t(`chat.call_${call.status}`, { name })}</summary>
      <pre>${call.arguments}</pre>
      ${call.text && html`<pre>${call.text}</pre>`}
    </details>`;
  }
  const answer = async (/** @type {{allow: boolean, always?: boolean}} */ what) => {
    setSaid(true);
    try {
      await post(`/ondol/v1/runs/${encodeURIComponent(run)}/calls/${encodeURIComponent(call.id)}`, what);
    } catch (error) {
      setSaid(false);
      complain(error);
    }
  };
  return html`<div class="call asked" role="group" aria-label=${t("chat.call_asked", { name })}>
    <p><${Icon} name="plug" size=${16} /><strong>${t("chat.call_asked", { name })}</strong></p>
    <pre>${call.arguments}</pre>
    ${call.leaves && html`<p class="answer-note warn"><${Icon} name="globe" size=${16} />${t("chat.call_leaves", { place: call.leaves })}</p>`}
    ${run && html`<p class="call-deeds">
      <${Button} small kind="primary" disabled=${said} onClick=${() => answer({ allow: true })}>${t("chat.call_allow")}<//>
      <${Button} small disabled=${said} onClick=${() => answer({ allow: true, always: true })}>${t("chat.call_always")}<//>
      <${Button} small disabled=${said} onClick=${() => answer({ allow: false })}>${t("chat.call_refuse")}<//>
    </p>`}
  </div>`;
}
