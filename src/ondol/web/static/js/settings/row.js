// @ts-check
// One setting: what it does, its value, where that comes from, and the way back to the default.

import { html, useEffect, useId, useSignal } from "../core/ui.js";
import { number, t } from "../core/i18n.js";
import { Badge, IconButton, Select, Switch } from "../parts/index.js";
import { read, shown } from "./values.js";

/** @typedef {import("./values.js").Setting} Setting */
/** @typedef {(name: string, value: any) => Promise<void>} Save rejects with the server's reason */

/** @param {{setting: Setting, save: Save, suggestions?: string[]}} props */
export function Row({ setting, save, suggestions = [] }) {
  const id = useId();
  const error = useSignal("");
  const state = useSignal(/** @type {"" | "saving" | "saved"} */ (""));
  const isFixed = setting.source === "environment" || setting.source === "flag";

  /** @param {any} value */
  const keep = async (value) => {
    error.value = "";
    state.value = "saving";
    try {
      await save(setting.name, value);
      state.value = "saved";
      setTimeout(() => {
        if (state.value === "saved") state.value = "";
      }, 1800);
    } catch (refused) {
      const told = /** @type {any} */ (refused);
      error.value = [told.message, told.hint].filter(Boolean).join(" ");
      state.value = "";
    }
  };

  return html`<div class=${`setting${error.value ? " wrong" : ""}`} data-setting=${setting.name}>
    <div class="setting-about">
      <p id=${`${id}-about`}>${setting.description}</p>
      <p class="row setting-facts">
        <code>${setting.name}</code>
        <${Source} setting=${setting} />
        ${setting.pending
          ? html`<${Badge} tone="warn">${t("settings.pending")}<//>`
          : setting.when !== "now" && html`<span class="setting-mark">${t(`settings.when_${setting.when}`)}</span>`}
      </p>
    </div>
    <div class="setting-control">
      <div class="setting-field">
        <${Control} id=${id} setting=${setting} isFixed=${isFixed} suggestions=${suggestions} error=${error} keep=${keep} />
        <span class="setting-state" role="status">${state.value && t(`settings.${state.value}`)}</span>
        ${setting.source === "file" && !isFixed
          ? html`<${IconButton} icon="refresh" size=${16} label=${t("settings.reset", { name: setting.name })} onClick=${() => keep(null)} />`
          : html`<span class="setting-no-reset"></span>`}
      </div>
      ${error.value && html`<p id=${`${id}-wrong`} class="setting-error" role="alert">${error.value}</p>`}
    </div>
  </div>`;
}

/** @param {{setting: Setting}} props */
function Source({ setting }) {
  const tone = { default: "muted", file: "accent", environment: "warn", flag: "warn" }[setting.source];
  const text = t(`settings.source_${setting.source}`, { variable: setting.variable });
  if (setting.source === "default") return html`<span class="setting-mark">${text}</span>`;
  return html`<${Badge} tone=${tone} title=${t(`settings.source_${setting.source}_about`, { variable: setting.variable })}>${text}<//>`;
}

/**
 * @param {{id: string, setting: Setting, isFixed: boolean, suggestions: string[], error: any, keep: (value: any) => void}} props
 */
function Control({ id, setting, isFixed, suggestions, error, keep }) {
  if (setting.type === "boolean") {
    return html`<${Switch} label=${setting.description} hideLabel checked=${setting.value} disabled=${isFixed} onChange=${keep} />`;
  }
  if (setting.type === "choice") {
    const options = setting.choices.map((value) => ({ value, text: t(`settings.choice_${value}`) }));
    return html`<${Select} label=${setting.description} value=${setting.value} options=${options} disabled=${isFixed} onChange=${keep} />`;
  }
  return html`<${Typed} id=${id} setting=${setting} isFixed=${isFixed} suggestions=${suggestions} error=${error} keep=${keep} />`;
}

/** @param {Parameters<typeof Control>[0]} props */
function Typed({ id, setting, isFixed, suggestions, error, keep }) {
  const value = shown(setting.value);
  const typed = useSignal(value);
  useEffect(() => {
    typed.value = value;
  }, [value]);
  /** @param {string} text @param {boolean} isDone */
  const look = (text, isDone) => {
    typed.value = text;
    const found = read(setting, text);
    error.value = found.wrong ? wrong(setting, found.wrong) : "";
    if (!isDone || found.wrong || text.trim() === value) return;
    keep(found.value);
    // Nobody reads it again, here or on the server's side.
    if (setting.secret) typed.value = "";
  };
  const isNumber = setting.type === "integer" || setting.type === "number";
  return html`<input
      id=${id}
      type=${setting.secret ? "password" : "text"}
      inputmode=${isNumber ? "decimal" : undefined}
      autocomplete=${setting.secret ? "new-password" : "off"}
      spellcheck=${false}
      list=${suggestions.length ? `${id}-list` : undefined}
      class=${isNumber ? "short" : ""}
      value=${typed.value}
      disabled=${isFixed}
      placeholder=${setting.secret ? t(setting.is_set ? "settings.secret_set" : "settings.secret_unset") : setting.default === "" || shown(setting.default) === "" ? t("settings.nothing") : shown(setting.default)}
      aria-labelledby=${`${id}-about`}
      aria-invalid=${error.value ? "true" : undefined}
      aria-describedby=${error.value ? `${id}-wrong` : undefined}
      onInput=${(/** @type {any} */ event) => look(event.currentTarget.value, false)}
      onChange=${(/** @type {any} */ event) => look(event.currentTarget.value, true)}
      onKeyDown=${(/** @type {any} */ event) => {
        if (event.key === "Escape") look(value, false);
      }}
    />
    ${suggestions.length > 0 && html`<datalist id=${`${id}-list`}>${suggestions.map((one) => html`<option key=${one} value=${one}></option>`)}</datalist>`}`;
}

/** @param {Setting} setting @param {string} why */
const wrong = (setting, why) =>
  t(`settings.${why}`, { minimum: number(setting.minimum ?? 0), maximum: number(setting.maximum ?? 0) });
