// @ts-check
// Whether an adapter says by heart what it learned, as far as somebody tried: numbers of the texts that
// stand out, or the exposure of a planted secret (Carlini et al., "The Secret Sharer", 2019).

import { html } from "../core/ui.js";
import { number, t } from "../core/i18n.js";
import { Badge } from "../parts/index.js";

/** Bits: a secret that ranks so by chance is one of sixteen. */
const NOTICED = 4;

/** @param {{canary: any}} props nothing where nobody tried */
export function Canary({ canary }) {
  const { numbers, tested = 0, by_heart: known, bits, most_bits: most = 0 } = canary ?? {};
  if (typeof known === "number") {
    const text = t(known ? "hub.canary_known" : "hub.canary_none", { known: number(known), tested: number(tested), numbers: number(numbers ?? tested) });
    return html`<${Found} isBad=${known > 0} text=${text} />`;
  }
  if (typeof bits !== "number") return null;
  return html`<${Found} isBad=${bits > NOTICED} text=${t("hub.canary_bits", { bits: number(bits), most: number(most) })} />`;
}

/** @param {{isBad: boolean, text: string}} props */
function Found({ isBad, text }) {
  const tone = isBad ? "bad" : "good";
  return html`<p class=${`notice ${tone}`}><${Badge} tone=${tone}>${t("hub.canary")}<//> ${text}</p>`;
}
