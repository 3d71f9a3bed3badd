// @ts-check
// The first screen: the language, and what Ondol promises.

import { html, useSignal } from "../core/ui.js";
import { patch } from "../core/api.js";
import { language, speak, t } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { Icon } from "../parts/index.js";

/** In their own letters: who reads only one of them finds it. */
const OFFERED = [
  { code: "en", name: "English", hello: "Welcome" },
  { code: "ko", name: "한국어", hello: "환영합니다" },
];
const PROMISES = [
  { name: "here", icon: "lock" },
  { name: "quotes", icon: "quote" },
  { name: "sure", icon: "shield" },
];

export function LanguageStep() {
  const isBusy = useSignal(false);
  /** @param {string} code */
  const choose = async (code) => {
    isBusy.value = true;
    await speak(code).catch(complain);
    // The server speaks it too, where its own settings or environment do not say otherwise.
    await patch("/ondol/v1/settings", { language: code }).catch(() => {});
    isBusy.value = false;
  };
  return html`<div class="welcome-step">
    <div class="welcome-mark" aria-hidden="true"><img src="/web/icons/ondol.svg" alt="" width="64" height="64" /></div>
    <h1>${t("welcome.title")}</h1>
    <p class="welcome-about">${t("welcome.about")}</p>
    <div class="welcome-languages" role="radiogroup" aria-label=${t("welcome.language")}>
      ${OFFERED.map(
        (one) => html`<button
          key=${one.code}
          type="button"
          role="radio"
          lang=${one.code}
          class="welcome-language"
          aria-checked=${String(language.value === one.code)}
          disabled=${isBusy.value}
          onClick=${() => choose(one.code)}
        >
          <strong>${one.name}</strong>
          <span>${one.hello}</span>
        </button>`,
      )}
    </div>
    <ul class="welcome-promises">
      ${PROMISES.map((one) => html`<li key=${one.name}><${Icon} name=${one.icon} /><span>${t(`welcome.promise_${one.name}`)}</span></li>`)}
    </ul>
  </div>`;
}
