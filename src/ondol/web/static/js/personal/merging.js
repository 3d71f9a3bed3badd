// @ts-check
// Several adapters merged into one: which, and what it is to be called.

import { html, useSignal } from "../core/ui.js";
import { number, percent, t } from "../core/i18n.js";
import { complain, toast } from "../core/state.js";
import { Button, Dialog, Field } from "../parts/index.js";
import { load, merge } from "./state.js";

/** @typedef {import("./state.js").Adapter} Adapter */

/** Those that can be merged: different ones that may be used. @param {Adapter[]} adapters */
export function mergeable(adapters) {
  const found = adapters.filter((one) => !one.stale);
  return new Set(found.map((one) => one.digest)).size > 1 ? found : [];
}

/** @param {{adapters: Adapter[], onClose: () => void}} props */
export function Merging({ adapters, onClose }) {
  const chosen = useSignal(adapters.slice(0, 2).map((one) => one.name));
  const name = useSignal("merged");
  const isBusy = useSignal(false);
  const isEnough = new Set(adapters.filter((one) => chosen.value.includes(one.name)).map((one) => one.digest)).size > 1;
  const go = async () => {
    isBusy.value = true;
    try {
      const { adapter, kept } = await merge(chosen.value, name.value.trim());
      toast(t("personal.merge_done", { name: adapter.name, kept: percent(kept) }), { kind: "good" });
      await load();
      onClose();
    } catch (error) {
      complain(error);
    }
    isBusy.value = false;
  };
  const footer = html`<${Button} onClick=${onClose}>${t("shell.cancel")}<//>
    <${Button} kind="primary" busy=${isBusy.value} disabled=${!isEnough || !name.value.trim()} onClick=${go}>${t("personal.merge")}<//>`;
  return html`<${Dialog} title=${t("personal.merge_title")} onClose=${onClose} footer=${footer}>
    <div class="stack">
      <p>${t("personal.merge_about")}</p>
      <fieldset class="personal-choices">
        <legend class="hidden">${t("personal.merge_which")}</legend>
        ${adapters.map(
          (one) => html`<label key=${one.name}>
            <input
              type="checkbox"
              checked=${chosen.value.includes(one.name)}
              onChange=${(/** @type {any} */ event) => {
                const others = chosen.value.filter((other) => other !== one.name);
                chosen.value = event.currentTarget.checked ? [...others, one.name] : others;
              }}
            />
            <span>${one.adapter}</span>
            <span class="muted small-text">${t("personal.made_from", { count: number(one.trained_on?.num_examples ?? 0) })}</span>
          </label>`,
        )}
      </fieldset>
      <${Field} label=${t("personal.merge_name")}>
        ${(/** @type {any} */ field) => html`<input
          type="text"
          maxlength="60"
          value=${name.value}
          ...${field}
          onInput=${(/** @type {any} */ event) => {
            name.value = event.currentTarget.value;
          }}
        />`}
      <//>
    </div>
  <//>`;
}
