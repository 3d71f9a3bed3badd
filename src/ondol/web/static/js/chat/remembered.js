// @ts-check
/** What a message added to the memory, and what it suggests: taken back, said yes or no to, where it was said. */
import { del, post } from "../core/api.js";
import { t } from "../core/i18n.js";
import { href } from "../core/router.js";
import { complain } from "../core/state.js";
import { html, useEffect, useSignal } from "../core/ui.js";
import { accept, decline, waiting } from "../memory/suggestions.js";
import { Button, Icon } from "../parts/index.js";

const ALL = "/ondol/v1/memories";

/** @typedef {{memory: string, deed: "added" | "replaced" | "known", version: number | null}} Remembered */

/** @param {{answer: {remembered?: Remembered, suggestions?: string[]}}} props */
export function Noted({ answer }) {
  return html`${answer.remembered && html`<${Kept} remembered=${answer.remembered} />`}
    ${answer.suggestions && html`<${Asking} ids=${answer.suggestions} />`}`;
}

/** @param {{remembered: Remembered}} props */
function Kept({ remembered }) {
  const { memory, deed, version } = remembered;
  const state = useSignal(/** @type {"" | "busy" | "undone"} */ (""));
  const undo = async () => {
    state.value = "busy";
    try {
      await (version === null ? del(`${ALL}/${memory}`) : post(`${ALL}/${memory}/restore`, { number: version }));
      state.value = "undone";
    } catch (error) {
      state.value = "";
      complain(error);
    }
  };
  return html`<p class="answer-note noted" role="status"><${Icon} name="bookmark" size=${16} />
    <span>${t(state.value === "undone" ? "chat.noted_undone" : `chat.noted_${deed}`)}</span>
    <a href=${href("memory")}>${t("chat.noted_see")}</a>
    ${deed !== "known" && state.value !== "undone" &&
    html`<${Button} small kind="quiet" busy=${state.value === "busy"} onClick=${undo}>${t("chat.noted_undo")}<//>`}</p>`;
}

/** Those of the suggestions that still wait. @param {{ids: string[]}} props */
function Asking({ ids }) {
  const found = useSignal(/** @type {import("../memory/suggestions.js").Suggestion[]} */ ([]));
  const load = () => waiting().then((all) => { found.value = all.filter((one) => ids.includes(one.id)); }, () => {});
  useEffect(() => { load(); }, []);
  /** @param {Promise<any>} said */
  const settle = (said) => said.catch(complain).then(load);
  return found.value.map((one) => html`<p key=${one.id} class="answer-note noted"><${Icon} name="bookmark" size=${16} />
    <span>${t("chat.suggested", { text: one.text })}</span>
    <${Button} small onClick=${() => settle(accept(one))} aria-label=${t("chat.suggested_yes_to", { text: one.text })}>${t("chat.suggested_yes")}<//>
    <${Button} small kind="quiet" onClick=${() => settle(decline(one))} aria-label=${t("chat.suggested_no_to", { text: one.text })}>${t("chat.suggested_no")}<//></p>`);
}

