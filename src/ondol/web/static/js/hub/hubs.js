// @ts-check
// The hubs that this device looks at: who they are, how fresh what they say is, and adding one.

import { html, useSignal } from "../core/ui.js";
import { moment, number, t, when } from "../core/i18n.js";
import { Badge, Button, Confirm, Copy, Dialog, Field } from "../parts/index.js";
import { add, hubs, items, refresh, remove } from "./state.js";

const COMMAND = "ondol hub init FOLDER";
const SHAPE = "ONDOLHUB1-…";
const ADDRESS = "https://hub.example";

export function HubList() {
  return html`<div class="stack">
    ${(hubs.value ?? []).map((one) => html`<${Hub} key=${one.name} hub=${one} />`)}
    <p class="muted small-text">${t("hub.own")} <code>${COMMAND}</code></p>
  </div>`;
}

/** @param {{hub: import("./state.js").Hub}} props */
function Hub({ hub }) {
  const isBusy = useSignal("");
  const isLeaving = useSignal(false);
  const { name, url, fingerprint, mirrors, refreshed_at: refreshed, expires_at: expires, error: failure, publishers } = hub;
  const isExpired = expires !== null && new Date(expires) < new Date();
  const offered = (items.value ?? []).filter((one) => one.hub === name).length;
  /** @param {string} what @param {() => Promise<any>} work */
  const doing = async (what, work) => {
    isBusy.value = what;
    await work();
    isBusy.value = "";
    isLeaving.value = false;
  };
  return html`<article class="card stack">
    <div class="row spread">
      <h2 class="row">
        ${name}
        ${failure ? html`<${Badge} tone="bad">${t("hub.in_trouble")}<//>` : isExpired ? html`<${Badge} tone="warn">${t("hub.expired")}<//>` : html`<${Badge} tone="good">${t("hub.verified")}<//>`}
      </h2>
      <div class="row">
        <${Button} small icon="refresh" busy=${isBusy.value === "refresh"} onClick=${() => doing("refresh", () => refresh(name))}>${t("hub.refresh")}<//>
        <${Button}
          small
          kind="danger"
          icon="trash"
          onClick=${() => {
            isLeaving.value = true;
          }}
        >${t("hub.remove")}<//>
      </div>
    </div>
    ${failure && html`<p class="notice warn">${[failure.message, failure.hint].filter(Boolean).join(" ")} ${t("hub.cache_stays")}</p>`}
    ${!failure && isExpired && html`<p class="notice warn">${t("hub.expired_about")}</p>`}
    <dl class="facts">
      <dt>${t("hub.address")}</dt><dd>${url}</dd>
      ${mirrors.map((one) => html`<dt key=${`${one}-name`}>${t("hub.mirror")}</dt><dd key=${one}>${one}</dd>`)}
      <dt>${t("hub.offered")}</dt><dd>${number(offered)}</dd>
      <dt>${t("hub.publishers")}</dt><dd>${Object.keys(publishers).join(", ") || "–"}</dd>
      <dt>${t("hub.asked")}</dt><dd>${refreshed ? html`<time datetime=${refreshed} title=${moment(refreshed)}>${when(refreshed)}</time>` : "–"}</dd>
      ${expires && html`<dt>${t("hub.good_until")}</dt><dd>${moment(expires)}</dd>`}
    </dl>
    <div>
      <p class="muted small-text">${t("hub.fingerprint")}</p>
      <div class="hub-code"><code>${fingerprint}</code><${Copy} text=${fingerprint} label=${t("hub.copy_fingerprint", { name })} /></div>
    </div>
    ${isLeaving.value &&
    html`<${Confirm}
      title=${t("hub.remove_ask", { name })}
      action=${t("hub.remove")}
      busy=${isBusy.value === "remove"}
      onConfirm=${() => doing("remove", () => remove(name))}
      onClose=${() => {
        isLeaving.value = false;
      }}
    >
      <p>${t("hub.remove_about")}</p>
    <//>`}
  </article>`;
}

/** @param {{onClose: () => void}} props */
export function Adding({ onClose }) {
  const url = useSignal("");
  const fingerprint = useSignal("");
  const name = useSignal("");
  const mirrors = useSignal("");
  const error = useSignal("");
  const isBusy = useSignal(false);
  /** @param {Event} event */
  const submit = async (event) => {
    event.preventDefault();
    isBusy.value = true;
    try {
      await add({ url: url.value.trim(), fingerprint: fingerprint.value.trim(), name: name.value.trim(), mirrors: mirrors.value.split(/\s+/).filter(Boolean) });
      onClose();
    } catch (failed) {
      const told = /** @type {any} */ (failed);
      error.value = [told.message, told.hint].filter(Boolean).join(" ");
    }
    isBusy.value = false;
  };
  /** @param {import("../../vendor/signals.js").Signal<string>} into */
  const typing = (into) => (/** @type {any} */ event) => {
    into.value = event.currentTarget.value;
    error.value = "";
  };
  return html`<${Dialog} title=${t("hub.add")} onClose=${onClose}>
    <form class="stack" onSubmit=${submit}>
      <p>${t("hub.add_about")}</p>
      <${Field} label=${t("hub.address")}>
        ${(/** @type {any} */ field) => html`<input ...${field} type="url" required autofocus spellcheck=${false} placeholder=${ADDRESS} value=${url.value} onInput=${typing(url)} />`}
      <//>
      <${Field} label=${t("hub.fingerprint")} hint=${t("hub.fingerprint_hint")}>
        ${(/** @type {any} */ field) => html`<input ...${field} type="text" required autocomplete="off" autocapitalize="characters" spellcheck=${false} placeholder=${SHAPE} value=${fingerprint.value} onInput=${typing(fingerprint)} />`}
      <//>
      <${Field} label=${t("hub.name")} hint=${t("hub.name_hint")}>
        ${(/** @type {any} */ field) => html`<input ...${field} type="text" maxlength="80" autocapitalize="off" spellcheck=${false} value=${name.value} onInput=${typing(name)} />`}
      <//>
      <${Field} label=${t("hub.mirrors")} hint=${t("hub.mirrors_hint")}>
        ${(/** @type {any} */ field) => html`<textarea ...${field} rows="2" spellcheck=${false} value=${mirrors.value} onInput=${typing(mirrors)}></textarea>`}
      <//>
      ${error.value && html`<p class="notice bad" role="alert">${error.value}</p>`}
      <div class="row hub-end">
        <${Button} onClick=${onClose}>${t("shell.cancel")}<//>
        <${Button} kind="primary" type="submit" busy=${isBusy.value} disabled=${!url.value.trim() || !fingerprint.value.trim()}>${t("hub.add_yes")}<//>
      </div>
    </form>
  <//>`;
}
