// @ts-check
// Joining: a code is read, what it is for is shown in plain words with what it costs in privacy, and
// only a yes joins.

import { Fragment, html, useSignal } from "../core/ui.js";
import { number, t } from "../core/i18n.js";
import { href } from "../core/router.js";
import { complain } from "../core/state.js";
import { Button, Dialog, Field } from "../parts/index.js";
import { Agreement } from "./agreement.js";
import { Price } from "./price.js";
import { Sight } from "./preview.js";
import { Choices } from "./teaching.js";
import { allSources, join, read } from "./state.js";

/** @typedef {import("./state.js").Offer} Offer */

export function Joining() {
  const code = useSignal("");
  const offer = useSignal(/** @type {Offer | null} */ (null));
  const sources = useSignal(/** @type {import("./state.js").Source[]} */ ([]));
  const isBusy = useSignal(false);
  /** @param {Event} event */
  const ask = async (event) => {
    event.preventDefault();
    if (!code.value.trim()) return;
    isBusy.value = true;
    try {
      [offer.value, sources.value] = await Promise.all([read(code.value.trim()), allSources()]);
    } catch (error) {
      complain(error);
    }
    isBusy.value = false;
  };
  // The dialog stands beside the form: Enter in it sends no code.
  return html`<${Fragment}>
    <form class="federation-join" onSubmit=${ask}>
      <${Field} label=${t("federation.code")} hint=${t("federation.code_hint")}>
        ${(/** @type {any} */ field) => html`<input
          type="text"
          autocomplete="off"
          autocapitalize="characters"
          spellcheck="false"
          maxlength="2000"
          value=${code.value}
          ...${field}
          onInput=${(/** @type {any} */ event) => {
            code.value = event.currentTarget.value;
          }}
        />`}
      <//>
      <${Button} kind="primary" type="submit" busy=${isBusy.value && !offer.value} disabled=${!code.value.trim()}>${t("federation.read_code")}<//>
    </form>
    ${offer.value &&
    html`<${Asking}
      code=${code.value.trim()}
      offer=${offer.value}
      sources=${sources.value}
      onJoined=${() => {
        code.value = "";
      }}
      onClose=${() => {
        offer.value = null;
      }}
    />`}
  <//>`;
}

/** @param {{code: string, offer: Offer, sources: import("./state.js").Source[], onJoined: () => void, onClose: () => void}} props */
function Asking({ code, offer, sources, onJoined, onClose }) {
  const agreed = useSignal(/** @type {string[]} */ ([]));
  const isBusy = useSignal(false);
  const yes = async () => {
    isBusy.value = true;
    if (await join(code, agreed.value, offer.plan.digest)) {
      onJoined();
      onClose();
    }
    isBusy.value = false;
  };
  const footer = html`<${Button} onClick=${onClose}>${t("federation.no")}<//>
    <${Button} kind="primary" busy=${isBusy.value} disabled=${!offer.is_model_here} onClick=${yes}>${t("federation.yes")}<//>`;
  return html`<${Dialog} title=${t("federation.join_ask", { name: offer.name })} wide onClose=${onClose} footer=${footer}>
    <div class="stack">
      <p>${t(`federation.task_${offer.plan.task}`, { model: offer.plan.model })}${" "}${t("federation.offer_members", { count: number(offer.num_members), home: offer.home.url })}</p>
      ${!offer.is_model_here &&
      html`<p class="notice bad">${t("federation.no_model", { model: offer.plan.model })} <a href=${href("models")}>${t("federation.to_models")}</a></p>`}
      <${Price} epsilon=${offer.epsilon} words=${offer.words} />
      <${Sight} seen=${offer.seen} unseen=${offer.unseen} />
      <h3>${t("federation.teaching_ask")}</h3>
      <${Choices}
        sources=${sources}
        agreed=${agreed.value}
        onChange=${(/** @type {string[]} */ ids) => {
          agreed.value = ids;
        }}
      />
      <${Agreement} plan=${offer.plan} />
    </div>
  <//>`;
}
