// @ts-check
// The owner's own held-out prompts, answered without and with the adapter, side by side.

import { html, useEffect, useSignal } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { Button, Select } from "../parts/index.js";
import { compare } from "./state.js";

/** @typedef {import("./state.js").Adapter} Adapter */

/** @param {{adapters: Adapter[], prompts: {sample: string, prompt: string}[]}} props */
export function Comparison({ adapters, prompts }) {
  const usable = adapters.filter((one) => !one.stale);
  const chosen = useSignal(usable[0]?.name ?? "");
  const shown = useSignal(/** @type {{sample: string, prompt: string, before: string, after: string, wanted: string}[]} */ ([]));
  const isBusy = useSignal(false);
  useEffect(() => {
    if (!usable.some((one) => one.name === chosen.value)) chosen.value = usable[0]?.name ?? "";
  }, [adapters]);
  if (!usable.length || !prompts.length) return null;
  const next = prompts.find((one) => !shown.value.some((seen) => seen.sample === one.sample));
  const show = async () => {
    if (!next) return;
    isBusy.value = true;
    try {
      shown.value = [...shown.value, await compare(chosen.value, next.sample)];
    } catch (error) {
      complain(error);
    }
    isBusy.value = false;
  };
  return html`<section class="card stack" aria-labelledby="personal-comparison">
    <div class="row spread">
      <h2 id="personal-comparison">${t("personal.comparison")}</h2>
      ${usable.length > 1 &&
      html`<${Select}
        label=${t("personal.adapter")}
        value=${chosen.value}
        options=${usable.map((one) => ({ value: one.name, text: one.adapter }))}
        onChange=${(/** @type {string} */ name) => {
          chosen.value = name;
          shown.value = [];
        }}
      />`}
    </div>
    <p class="muted">${t("personal.comparison_about")}</p>
    ${shown.value.map(
      (one) => html`<article key=${one.sample} class="personal-comparison">
        <h3>${one.prompt}</h3>
        <div class="personal-sides">
          <${Side} name=${t("personal.before")} text=${one.before} />
          <${Side} name=${t("personal.after")} text=${one.after} isAfter />
          ${one.wanted && html`<${Side} name=${t("personal.wanted")} text=${one.wanted} />`}
        </div>
      </article>`,
    )}
    ${next &&
    html`<div aria-live="polite">
      <${Button} icon="eye" busy=${isBusy.value} onClick=${show}>${t(shown.value.length ? "personal.another" : "personal.compare")}<//>
    </div>`}
  </section>`;
}

/** @param {{name: string, text: string, isAfter?: boolean}} props */
function Side({ name, text, isAfter = false }) {
  return html`<div class=${`personal-side${isAfter ? " after" : ""}`}>
    <h4>${name}</h4>
    <p>${text || "–"}</p>
  </div>`;
}
