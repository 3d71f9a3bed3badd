// @ts-check
// How the app looks and speaks in this browser.

import { html } from "../core/ui.js";
import { patch } from "../core/api.js";
import { language, speak, t } from "../core/i18n.js";
import { complain, theme } from "../core/state.js";
import { Choice } from "../parts/index.js";

/** @param {{onLanguage: () => void}} props */
export function Appearance({ onLanguage }) {
  return html`<section class="card settings-group" aria-labelledby="settings-appearance" id="group-appearance">
    <h2 id="settings-appearance">${t("settings.appearance")}</h2>
    <div class="setting">
      <div class="setting-about"><p>${t("settings.theme")}</p></div>
      <${Choice}
        label=${t("settings.theme")}
        value=${theme.value}
        options=${["system", "light", "dark"].map((value) => ({ value, text: t(`settings.theme_${value}`) }))}
        onChange=${(/** @type {string} */ value) => {
          theme.value = value;
        }}
      />
    </div>
    <div class="setting">
      <div class="setting-about">
        <p>${t("settings.language")}</p>
        <p class="muted small-text">${t("settings.language_about")}</p>
      </div>
      <${LanguageChoice} onLanguage=${onLanguage} />
    </div>
  </section>`;
}

/** The app's language, and with it the server's where that may be set. @param {{onLanguage?: () => void}} props */
export function LanguageChoice({ onLanguage = () => {} }) {
  /** @param {string} code */
  const choose = async (code) => {
    try {
      await speak(code);
      await patch("/ondol/v1/settings", { language: code });
    } catch (error) {
      complain(error);
    }
    onLanguage();
  };
  return html`<${Choice}
    label=${t("settings.language")}
    value=${language.value}
    options=${[
      { value: "en", text: html`<span lang="en">English</span>` },
      { value: "ko", text: html`<span lang="ko">한국어</span>` },
    ]}
    onChange=${choose}
  />`;
}
