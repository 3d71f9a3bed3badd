// @ts-check
// A text as its tokens, each as warm as it was unlikely. Choosing one shows what else might have come.

import { html } from "../core/ui.js";
import { number, percent, t } from "../core/i18n.js";
import { IconButton } from "../parts/index.js";

/** @typedef {import("./generation.js").Generation} Generation */

/** Spaces and line ends that one can see. @param {string} text */
export const shown = (text) => text.replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/^ +| +$/g, (spaces) => "·".repeat(spaces.length)) || "∅";

/** From nothing (sure) to ember (a surprise). @param {number} probability */
export function warmth(probability) {
  const surprise = Math.min(1, -Math.log2(Math.max(probability, 1e-6)) / 8);
  return `color-mix(in oklab, var(--accent) ${Math.round(surprise * 48)}%, transparent)`;
}

/**
 * @param {{generation: Generation, title: string, selected: number | null, onSelect: (index: number) => void, onClose: (() => void) | null}} props
 */
export function Column({ generation, title, selected, onSelect, onClose }) {
  const tokens = generation.tokens.value;
  const mean = tokens.length ? Math.exp(tokens.reduce((sum, one) => sum + one.logprob, 0) / tokens.length) : 0;
  return html`<section class="sampling-column" aria-label=${title}>
    <header class="row spread">
      <h3>${title}</h3>
      <div class="row">
        ${generation.isRunning.value && html`<span class="spinner" role="img" aria-label=${t("sampling.running")}></span>`}
        ${generation.isRunning.value
          ? html`<${IconButton} icon="stop" label=${t("sampling.stop")} onClick=${() => generation.stop()} />`
          : onClose && html`<${IconButton} icon="close" label=${t("sampling.close")} onClick=${onClose} />`}
      </div>
    </header>
    <p class="sampling-text">
      ${tokens.map(
        (token, index) => html`<button
            key=${index}
            type="button"
            class=${`token${token.chosen ? " chosen" : ""}${index === selected ? " selected" : ""}`}
            style=${{ background: warmth(Math.exp(token.logprob)) }}
            aria-pressed=${String(index === selected)}
            aria-label=${t("sampling.token", { token: shown(token.text), probability: percent(Math.exp(token.logprob)) })}
            onClick=${() => onSelect(index)}
          >${token.text.replace(/\n/g, "⏎")}</button>${token.text.includes("\n") && html`<br />`}`,
      )}
      ${!tokens.length && !generation.error.value && html`<span class="muted">${t("sampling.waiting")}</span>`}
    </p>
    ${generation.error.value &&
    html`<p class="notice bad" role="alert">${[generation.error.value.message, generation.error.value.hint].filter(Boolean).join(" ")}</p>`}
    ${tokens.length > 0 &&
    html`<p class="muted small-text">
      ${t("sampling.facts", { tokens: number(tokens.length), mean: percent(mean), perplexity: number(Math.round(10 / Math.max(mean, 1e-6)) / 10) })}
    </p>`}
  </section>`;
}
