// @ts-check
// What chats suggest to remember: it waits for a yes, and nothing uses it before.

import { html, useSignal } from "../core/ui.js";
import { del, get, post } from "../core/api.js";
import { number, t, when } from "../core/i18n.js";
import { href } from "../core/router.js";
import { complain, toast } from "../core/state.js";
import { Button } from "../parts/index.js";

/** @typedef {{id: string, kind: string, text: string, sensitivity: string, conversation: string | null, replaces: string | null, created_at: string}} Suggestion */

const ALL = "/ondol/v1/memories/suggestions";

/** @returns {Promise<Suggestion[]>} */
export const waiting = () => get(ALL).then((answer) => answer.suggestions);

/** Yes: it is remembered from now on. @param {Suggestion} one */
export const accept = (one) => post(`${ALL}/${one.id}`, {});

/** No: it does not come again. @param {Suggestion} one */
export const decline = (one) => del(`${ALL}/${one.id}`);

/**
 * @param {{suggestions: Suggestion[], memories: import("./form.js").Memory[], onChange: () => Promise<void>}} props
 *   `memories` are all of them: one may be contradicted
 */
export function Suggestions({ suggestions, memories, onChange }) {
  if (!suggestions.length) return null;
  const declineAll = async () => {
    try {
      const { declined } = await del(ALL, { all: true });
      toast(t("memory.declined", { count: number(declined) }));
    } catch (error) {
      complain(error);
    }
    await onChange();
  };
  return html`<section class="card stack memory-suggestions" aria-labelledby="memory-suggestions">
    <div class="row spread">
      <h2 id="memory-suggestions">${t("memory.suggestions", { count: number(suggestions.length) })}</h2>
      ${suggestions.length > 1 && html`<${Button} small kind="quiet" onClick=${declineAll}>${t("memory.decline_all")}<//>`}
    </div>
    <p class="muted small-text">${t("memory.suggestions_about")}</p>
    <ul class="memories">
      ${suggestions.map(
        (one) => html`<${Waiting} key=${one.id} suggestion=${one} replaced=${memories.find((memory) => memory.id === one.replaces)} onChange=${onChange} />`,
      )}
    </ul>
  </section>`;
}

/** @param {{suggestion: Suggestion, replaced?: import("./form.js").Memory, onChange: () => Promise<void>}} props */
function Waiting({ suggestion, replaced, onChange }) {
  const isBusy = useSignal(false);
  /** @param {(one: Suggestion) => Promise<any>} say */
  const settle = async (say) => {
    isBusy.value = true;
    await say(suggestion).catch(complain);
    await onChange();
    isBusy.value = false;
  };
  return html`<li class="memory-waiting">
    <div class="memory-body">
      <p class="memory-text">${suggestion.text}</p>
      <p class="row small-text muted">
        <span>${t(`memory.${suggestion.kind}`)}</span>
        ${suggestion.conversation &&
        html`<a href=${href(`chat/${suggestion.conversation}`)}>${t("memory.from_chat", { when: when(suggestion.created_at) })}</a>`}
        ${replaced && html`<span>${t("memory.would_replace", { text: replaced.text })}</span>`}
      </p>
    </div>
    <div class="row memory-say">
      <${Button} small kind="primary" icon="check" busy=${isBusy.value} aria-label=${t("memory.yes_to", { text: suggestion.text })}
        onClick=${() => settle(accept)}>${t("memory.yes")}<//>
      <${Button} small disabled=${isBusy.value} aria-label=${t("memory.no_to", { text: suggestion.text })}
        onClick=${() => settle(decline)}>${t("memory.no")}<//>
    </div>
  </li>`;
}
