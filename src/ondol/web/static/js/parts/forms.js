// @ts-check
// Fields, switches, choices and tabs, each with its label.

import { html, useId } from "../core/ui.js";

/**
 * A labelled field around any input; `error` stands under it and is announced.
 * @param {{label: string, hint?: any, error?: string, children: (id: {id: string, "aria-describedby"?: string, "aria-invalid"?: string}) => any}} props
 */
export function Field({ label, hint, error, children }) {
  const id = useId();
  const described = hint || error ? `${id}-about` : undefined;
  return html`<div class=${`field${error ? " wrong" : ""}`}>
    <label for=${id}>${label}</label>
    ${children({ id, "aria-describedby": described, "aria-invalid": error ? "true" : undefined })}
    ${(hint || error) && html`<p id=${described} class="field-about" role=${error ? "alert" : undefined}>${error || hint}</p>`}
  </div>`;
}

/** @param {{label: string, checked: boolean, disabled?: boolean, onChange: (checked: boolean) => void, hideLabel?: boolean}} props */
export function Switch({ label, checked, disabled, onChange, hideLabel = false }) {
  return html`<label class="switch">
    <input
      type="checkbox"
      role="switch"
      checked=${checked}
      disabled=${disabled}
      aria-label=${hideLabel ? label : undefined}
      onChange=${(/** @type {any} */ event) => onChange(event.currentTarget.checked)}
    />
    <span class="switch-track" aria-hidden="true"></span>
    ${!hideLabel && html`<span>${label}</span>`}
  </label>`;
}

/**
 * One of a few, side by side.
 * @param {{label: string, value: string, options: {value: string, text: any}[], onChange: (value: string) => void}} props
 */
export function Choice({ label, value, options, onChange }) {
  const name = useId();
  return html`<fieldset class="choice">
    <legend class="hidden">${label}</legend>
    ${options.map(
      (one) => html`<label key=${one.value} class=${one.value === value ? "chosen" : ""}>
        <input type="radio" name=${name} value=${one.value} checked=${one.value === value} onChange=${() => onChange(one.value)} />
        <span>${one.text}</span>
      </label>`,
    )}
  </fieldset>`;
}

/**
 * @param {{label: string, value: string, options: {value: string, text: string}[], onChange: (value: string) => void, disabled?: boolean, class?: string}} props
 */
export function Select({ label, value, options, onChange, disabled, class: extra = "" }) {
  return html`<select
    class=${`select ${extra}`}
    aria-label=${label}
    disabled=${disabled}
    onChange=${(/** @type {any} */ event) => onChange(event.currentTarget.value)}
  >
    ${options.map((one) => html`<option key=${one.value} value=${one.value} selected=${one.value === value}>${one.text}</option>`)}
  </select>`;
}

/** @param {{label: string, tabs: {id: string, text: string}[], current: string, onChange: (id: string) => void}} props */
export function Tabs({ label, tabs, current, onChange }) {
  /** @param {KeyboardEvent} event */
  const move = (event) => {
    const at = tabs.findIndex((one) => one.id === current);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = tabs[(at + step + tabs.length) % tabs.length];
    onChange(next.id);
    /** @type {HTMLElement | null} */ (document.querySelector(`[data-tab="${next.id}"]`))?.focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${label} onKeyDown=${move}>
    ${tabs.map(
      (one) => html`<button
        key=${one.id}
        type="button"
        role="tab"
        data-tab=${one.id}
        aria-selected=${String(one.id === current)}
        tabindex=${one.id === current ? 0 : -1}
        onClick=${() => onChange(one.id)}
      >
        ${one.text}
      </button>`,
    )}
  </div>`;
}
