// @ts-check
// Publishing one's own adapter: what it learned from may be read out of it, so that is said first, with
// what was measured of it, and nothing is signed without a yes.

import { html, useEffect, useSignal } from "../core/ui.js";
import { bytes, number, t } from "../core/i18n.js";
import { get, post } from "../core/api.js";
import { complain, toast } from "../core/state.js";
import { Button, Dialog, Field, Select } from "../parts/index.js";
import { Canary } from "./canary.js";
import { Evaluation } from "./evaluation.js";
import { load } from "./state.js";

/** @typedef {{adapter: string, card: import("./state.js").Card, size_bytes: number, warnings: string[], canary: any, folder: string, item: string}} Offer */

const PUBLISH = "/ondol/v1/hubs/publish";
const FIRST = "1.0";
const LICENCE = "CC-BY-4.0";

/** @param {{onClose: () => void}} props */
export function Publishing({ onClose }) {
  const names = useSignal(/** @type {string[] | null} */ (null));
  const adapter = useSignal("");
  const offer = useSignal(/** @type {Offer | null} */ (null));
  useEffect(() => {
    get("/ondol/v1/adapters").then(({ adapters }) => {
      names.value = adapters.filter((/** @type {any} */ one) => !one.shipped && !one.stale).map((/** @type {any} */ one) => one.name);
      adapter.value = names.value?.[0] ?? "";
    }, complain);
  }, []);
  useEffect(() => {
    offer.value = null;
    if (!adapter.value) return;
    const asked = adapter.value;
    post(`${PUBLISH}/look`, { adapter: asked }).then((told) => {
      if (adapter.value === asked) offer.value = told;
    }, complain);
  }, [adapter.value]);
  return html`<${Dialog} title=${t("hub.publish")} wide onClose=${onClose}>
    <div class="stack">
      <p>${t("hub.publish_about")}</p>
      ${names.value?.length === 0 && html`<p class="notice">${t("hub.publish_none")}</p>`}
      ${(names.value?.length ?? 0) > 0 &&
      html`<div class="field">
        <span>${t("hub.publish_which")}</span>
        <${Select}
          label=${t("hub.publish_which")}
          value=${adapter.value}
          options=${(names.value ?? []).map((value) => ({ value, text: value }))}
          onChange=${(/** @type {string} */ value) => {
            adapter.value = value;
          }}
        />
      </div>`}
      ${offer.value && html`<${Warning} offer=${offer.value} /><${Form} key=${offer.value.adapter} offer=${offer.value} onClose=${onClose} />`}
    </div>
  <//>`;
}

/** What there is to know before it leaves. @param {{offer: Offer}} props */
function Warning({ offer }) {
  const { card, warnings, size_bytes: size } = offer;
  return html`<div class="stack">
    ${warnings.length > 0 &&
    html`<div class="notice warn stack">
      <h3>${t("hub.publish_warning")}</h3>
      <ul class="hub-plain">${warnings.map((one) => html`<li key=${one}>${one}</li>`)}</ul>
    </div>`}
    <${Canary} canary=${offer.canary} />
    <p class="muted small-text">${[card.base_model, card.r ? t("hub.rank_of", { r: number(card.r) }) : "", bytes(size), card.epsilon ? `ε ${number(card.epsilon)}` : ""].filter(Boolean).join(" · ")}</p>
    <${Evaluation} evaluation=${card.evaluation} label=${t("hub.publish_evaluation")} />
  </div>`;
}

/** @param {{offer: Offer, onClose: () => void}} props */
function Form({ offer, onClose }) {
  const given = useSignal(
    /** @type {Record<string, string>} */ ({
      folder: offer.folder,
      publisher: "",
      item: offer.item,
      version: FIRST,
      licence: offer.card.licence ?? "",
      description: offer.card.description ?? "",
      key_file: "",
      passphrase: "",
    }),
  );
  const mayShare = useSignal(false);
  const error = useSignal("");
  const isBusy = useSignal(false);
  /** @param {string} name @param {Record<string, any>} [how] */
  const field = (name, how = {}) => html`<${Field} label=${t(`hub.publish_${name}`)} hint=${how.hint && t(how.hint)}>
    ${(/** @type {any} */ id) => html`<input
      ...${id}
      type=${how.type ?? "text"}
      required=${how.required ?? true}
      autocomplete=${how.type === "password" ? "current-password" : "off"}
      autocapitalize="off"
      spellcheck=${false}
      placeholder=${how.placeholder}
      value=${given.value[name]}
      onInput=${(/** @type {any} */ event) => {
        given.value = { ...given.value, [name]: event.currentTarget.value };
        error.value = "";
      }}
    />`}
  <//>`;
  /** @param {Event} event */
  const submit = async (event) => {
    event.preventDefault();
    isBusy.value = true;
    try {
      const made = await post(PUBLISH, { ...given.value, adapter: offer.adapter, may_share: mayShare.value });
      toast(t("hub.published", { name: `${made.publisher}/${made.item}`, version: made.version }), { kind: "good" });
      await load();
      onClose();
    } catch (failed) {
      const told = /** @type {any} */ (failed);
      error.value = [told.message, told.hint].filter(Boolean).join(" ");
    }
    isBusy.value = false;
  };
  return html`<form class="stack hub-form" onSubmit=${submit}>
    <div class="hub-fields">
      ${field("folder", { hint: "hub.publish_folder_hint" })} ${field("publisher", { hint: "hub.publish_publisher_hint" })}
      ${field("item")} ${field("version")}
      ${field("licence", { placeholder: LICENCE, hint: "hub.publish_licence_hint" })} ${field("description", { required: false })}
      ${field("key_file", { hint: "hub.publish_key_hint" })} ${field("passphrase", { type: "password", required: false })}
    </div>
    <label class="hub-yes">
      <input
        type="checkbox"
        checked=${mayShare.value}
        onChange=${(/** @type {any} */ event) => {
          mayShare.value = event.currentTarget.checked;
        }}
      />
      <span>${t("hub.publish_may_share")}</span>
    </label>
    ${error.value && html`<p class="notice bad" role="alert">${error.value}</p>`}
    <div class="row hub-end">
      <${Button} onClick=${onClose}>${t("shell.cancel")}<//>
      <${Button} kind="primary" type="submit" icon="upload" busy=${isBusy.value} disabled=${!mayShare.value}>${t("hub.publish_yes")}<//>
    </div>
  </form>`;
}
