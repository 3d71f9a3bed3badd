// @ts-check
// A text as its tokens, each as warm as it was unlikely, or as its choice was open. Choosing one shows
// what else might have come; the arrow keys go from one to the next.

import { html } from "../core/ui.js";
import { number, percent, t } from "../core/i18n.js";
import { IconButton } from "../parts/index.js";
import { isCut } from "./distribution.js";

/** @typedef {import("./generation.js").Generation} Generation */
/** @typedef {"probability" | "choice"} Colour */

const OPEN_BITS = 8;

/** Spaces and line ends that one can see. @param {string} text */
export const shown = (text) => text.replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/^ +| +$/g, (spaces) => "·".repeat(spaces.length)) || "∅";

/** A number of bits. @param {number} bits */
export const bitsText = (bits) => number(Math.round(bits * 10) / 10);

/** From nothing (0) to ember (1). @param {number} share */
const ember = (share) => `color-mix(in oklab, var(--accent) ${Math.round(Math.min(1, share) * 48)}%, transparent)`;

/** From sure to a surprise. @param {number} probability */
export const warmth = (probability) => ember(-Math.log2(Math.max(probability, 1e-6)) / OPEN_BITS);

/** From one way to go on to many. @param {number} bits */
export const openness = (bits) => ember(bits / OPEN_BITS);

/** @param {import("./generation.js").Token} token @param {Colour} colour */
const colourOf = (token, colour) => (colour === "choice" ? openness(token.bits ?? 0) : warmth(Math.exp(token.logprob)));

/**
 * @param {{generation: Generation, title: string, shape: import("./distribution.js").Shape, colour: Colour,
 *   selected: number | null, onSelect: (index: number) => void}} props
 */
export function Column({ generation, title, shape, colour, selected, onSelect }) {
  const tokens = generation.tokens.value;
  const cut = tokens.map((token) => isCut(token, shape));
  const told = generation.error.value;
  return html`<section class="lab-column" aria-label=${title}>
    <header class="row spread">
      <h2>${title}</h2>
      <div class="row">
        ${generation.isRunning.value &&
        html`<span class="spinner" role="img" aria-label=${t("lab.running")}></span>
          <${IconButton} icon="stop" label=${t("lab.stop")} onClick=${() => generation.stop()} />`}
      </div>
    </header>
    <p class="lab-text" onKeyDown=${(/** @type {KeyboardEvent} */ event) => step(event, tokens.length, selected ?? 0, onSelect)}>
      ${tokens.map(
        (token, index) => html`<button
            key=${index}
            type="button"
            class=${["token", token.chosen && "chosen", index === selected && "selected", cut[index] && "cut"].filter(Boolean).join(" ")}
            style=${{ background: colourOf(token, colour) }}
            tabindex=${index === (selected ?? 0) ? "0" : "-1"}
            aria-pressed=${String(index === selected)}
            aria-label=${label(token, cut[index])}
            onClick=${() => onSelect(index)}
          >${token.text.replace(/\n/g, "⏎")}</button>${token.text.includes("\n") && html`<br />`}`,
      )}
      ${!tokens.length && !told && html`<span class="muted">${t("lab.waiting")}</span>`}
    </p>
    ${told && html`<p class="notice bad" role="alert">${[told.message, told.hint].filter(Boolean).join(" ")}</p>`}
    ${tokens.length > 0 && html`<${Facts} tokens=${tokens} cut=${cut.filter(Boolean).length} />`}
  </section>`;
}

/** @param {{tokens: import("./generation.js").Token[], cut: number}} props */
function Facts({ tokens, cut }) {
  const mean = Math.exp(tokens.reduce((sum, one) => sum + one.logprob, 0) / tokens.length);
  const bits = tokens.flatMap((one) => one.bits ?? []);
  return html`<p class="muted small-text">
    ${t("lab.facts", { tokens: number(tokens.length), mean: percent(mean), perplexity: number(Math.round(10 / Math.max(mean, 1e-6)) / 10) })}
    ${bits.length > 0 && ` · ${t("lab.bits_each", { bits: bitsText(bits.reduce((sum, one) => sum + one, 0) / bits.length) })}`}
    ${cut > 0 && html`<br /><span class="lab-cut">${t("lab.would_cut", { count: number(cut) })}</span>`}
  </p>`;
}

/** @param {import("./generation.js").Token} token @param {boolean} isCutNow */
function label(token, isCutNow) {
  const said = t("lab.token", { token: shown(token.text), probability: percent(Math.exp(token.logprob)) });
  return isCutNow ? t("lab.token_cut", { said }) : said;
}

/** @param {KeyboardEvent} event @param {number} count @param {number} at @param {(index: number) => void} onSelect */
function step(event, count, at, onSelect) {
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -count, End: count };
  const way = steps[/** @type {keyof typeof steps} */ (event.key)];
  if (!way) return;
  event.preventDefault();
  const next = Math.max(0, Math.min(count - 1, at + way));
  onSelect(next);
  const text = /** @type {HTMLElement} */ (event.currentTarget);
  /** @type {NodeListOf<HTMLElement>} */ (text.querySelectorAll(".token"))[next]?.focus();
}
