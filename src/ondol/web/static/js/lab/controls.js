// @ts-check
// The sampler's sliders with their presets, and the bars of what they make of one token's choice.

import { html, useId } from "../core/ui.js";
import { number, percent, t } from "../core/i18n.js";
import { Button, Choice, IconButton } from "../parts/index.js";
import { PRESETS, SHOWN, choices, rest, spread } from "./distribution.js";
import { bitsText, shown } from "./tokens.js";

/** @typedef {import("./distribution.js").Shape} Shape */

/** @type {{name: keyof Shape, most: number, step: number}[]} */
const SLIDERS = [
  { name: "temperature", most: 2, step: 0.05 },
  { name: "topK", most: 100, step: 1 },
  { name: "topP", most: 1, step: 0.01 },
  { name: "minP", most: 0.5, step: 0.01 },
];

/** @param {{shape: Shape, onChange: (shape: Shape) => void}} props */
export function Sliders({ shape, onChange }) {
  const preset = PRESETS.find((one) => SLIDERS.every(({ name }) => one.shape[name] === shape[name]));
  return html`<div class="stack">
    <${Choice}
      label=${t("lab.presets")}
      value=${preset?.name ?? ""}
      options=${PRESETS.map((one) => ({ value: one.name, text: t(`lab.preset_${one.name}`) }))}
      onChange=${(/** @type {string} */ name) => onChange(/** @type {any} */ (PRESETS.find((one) => one.name === name)).shape)}
    />
    ${SLIDERS.map((one) => html`<${Slider} key=${one.name} ...${one} value=${shape[one.name]} onChange=${(/** @type {number} */ value) => onChange({ ...shape, [one.name]: value })} />`)}
  </div>`;
}

/** @param {{name: string, most: number, step: number, value: number, onChange: (value: number) => void}} props */
function Slider({ name, most, step, value, onChange }) {
  const id = useId();
  const isOff = (name === "topK" && value === 0) || (name === "topP" && value === 1) || (name === "minP" && value === 0);
  return html`<div class="slider">
    <div class="row spread">
      <label for=${id} title=${t(`lab.${name}_about`)}>${t(`lab.${name}`)}</label>
      <output for=${id} class=${isOff ? "muted" : ""}>${isOff ? t("lab.off") : number(value)}</output>
    </div>
    <input
      id=${id}
      type="range"
      min="0"
      max=${most}
      step=${step}
      value=${value}
      aria-describedby=${`${id}-about`}
      onInput=${(/** @type {any} */ event) => onChange(Number(event.currentTarget.value))}
    />
    <p id=${`${id}-about`} class="muted small-text">${t(`lab.${name}_about`)}</p>
  </div>`;
}

/**
 * @param {{token: import("./generation.js").Token, before: string, shape: Shape, onChoose: (token: import("./distribution.js").Alternative) => void}} props
 */
export function Alternatives({ token, before, shape, onChoose }) {
  const { rows: all, kept, isWhole } = spread(token.top, shape);
  const rows = all.slice(0, SHOWN);
  const most = Math.max(...rows.map((row) => Math.max(row.before, row.after)), 0.01);
  const beyond = rest(rows);
  return html`<div class="stack">
    <p class="lab-before">
      ${t("lab.after", { text: before.trim() ? `…${before.slice(-36)}` : t("lab.beginning") })}
      ${token.bits !== null && html`<span class="lab-bits">${t("lab.bits_here", { bits: bitsText(token.bits) })}</span>`}
    </p>
    <ol class="alternatives">
      ${rows.map((row) => {
        const isHere = row.token === token.text && row.logprob === token.logprob;
        return html`<li key=${`${row.token} ${row.logprob}`} class=${`${row.cut ? "cut" : ""}${isHere ? " here" : ""}`}>
          <code>${shown(row.token)}</code>
          <span class="alternative-bar" aria-hidden="true">
            <i class="was" style=${{ width: `${(row.before / most) * 100}%` }}></i>
            <i class="now" style=${{ width: `${(row.after / most) * 100}%` }}></i>
          </span>
          <span class="alternative-number" title=${t("lab.was", { probability: fine(row.before) })}>
            ${row.cut ? t(`lab.cut_${row.cut}`) : fine(row.after)}
          </span>
          <${IconButton}
            icon="branch"
            size=${16}
            label=${t("lab.go_on", { token: shown(row.token) })}
            onClick=${() => onChoose({ token: row.token, logprob: Math.log(Math.max(row.before, 1e-9)) })}
          />
        </li>`;
      })}
    </ol>
    <p class="muted small-text">
      ${t(isWhole ? "lab.kept" : "lab.kept_at_least", { kept: number(kept), choices: number(Math.round(choices(all) * 10) / 10) })}${" "}
      ${t("lab.rest", { rest: fine(beyond) })}
    </p>
  </div>`;
}

/** A probability that is small is not nothing. @param {number} value */
function fine(value) {
  if (value > 0 && value < 0.001) return `<${number(0.1)}%`;
  return value < 0.1 ? `${number(Math.round(value * 1000) / 10)}%` : percent(value);
}

/** @param {{isRunning: boolean, disabled: boolean, onRun: () => void, onStop: () => void}} props */
export function RunButton({ isRunning, disabled, onRun, onStop }) {
  return isRunning
    ? html`<${Button} icon="stop" onClick=${onStop}>${t("lab.stop")}<//>`
    : html`<${Button} kind="primary" icon="play" disabled=${disabled} onClick=${onRun}>${t("lab.run")}<//>`;
}
