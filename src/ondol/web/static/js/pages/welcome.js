// @ts-check
// The first run, in three screens at most: the language, the model, a folder. Each can be skipped.

import { html, useEffect, useRef, useSignal } from "../core/ui.js";
import { get } from "../core/api.js";
import { number, t } from "../core/i18n.js";
import { style } from "../core/pages.js";
import { go, route } from "../core/router.js";
import { complain } from "../core/state.js";
import { Button } from "../parts/index.js";
import { finish } from "../welcome/first.js";
import { FolderStep } from "../welcome/folder.js";
import { LanguageStep } from "../welcome/language.js";
import { ModelStep } from "../welcome/model.js";

export const catalogues = ["welcome", "documents", "chat"];

const STEPS = ["language", "model", "folder"];

export default function Welcome() {
  const state = useSignal(/** @type {any} */ (null));
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const step = Math.max(0, STEPS.indexOf(route.value.path[0] ?? STEPS[0]));
  useEffect(() => {
    style("documents");
    get("/ondol/v1/onboarding").then((answer) => {
      state.value = answer;
    }, complain);
  }, []);
  useEffect(() => {
    // Who reads with a screen reader hears the new screen from its beginning.
    if (route.value.path[0]) frame.current?.focus();
  }, [step]);
  /** @param {number} to */
  const show = (to) => go(`welcome/${STEPS[to]}`);
  const isLast = step === STEPS.length - 1;
  return html`<div class="welcome">
    <header class="welcome-top">
      <ol class="welcome-dots" aria-label=${t("welcome.steps")}>
        ${STEPS.map((name, index) => html`<li key=${name} class=${index === step ? "current" : index < step ? "past" : ""} aria-current=${index === step ? "step" : undefined}>
          <span class="hidden">${t("welcome.step", { n: number(index + 1), of: number(STEPS.length) })}</span>
        </li>`)}
      </ol>
      <${Button} kind="quiet" onClick=${() => finish("chat")}>${t("welcome.skip")}<//>
    </header>
    <section class="welcome-frame" ref=${frame} tabindex="-1" aria-label=${t("welcome.step", { n: number(step + 1), of: number(STEPS.length) })}>
      ${step === 0 && html`<${LanguageStep} />`}
      ${step === 1 && state.value && html`<${ModelStep} state=${state.value} />`}
      ${isLast && html`<${FolderStep} />`}
    </section>
    <footer class="welcome-foot">
      ${step > 0 ? html`<${Button} icon="back" onClick=${() => show(step - 1)}>${t("welcome.back")}<//>` : html`<span></span>`}
      ${isLast
        ? html`<${Button} kind="primary" onClick=${() => finish("chat")}>${t("welcome.start")}<//>`
        : html`<${Button} kind="primary" onClick=${() => show(step + 1)}>${t("welcome.next")}<//>`}
    </footer>
  </div>`;
}
