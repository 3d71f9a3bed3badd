// @ts-check
// What a sampler makes of a token's probabilities, in llama.cpp's order: top-k, top-p, min-p, and
// temperature last. Computed here from the alternatives that the server reported; knows no page.

/** @typedef {{token: string, logprob: number}} Alternative */
/** @typedef {{temperature: number, topK: number, topP: number, minP: number}} Shape */
/** @typedef {{token: string, before: number, after: number, cut: "" | "top_k" | "top_p" | "min_p"}} Row */

export const MOST = 20;

/** What the sliders are set to where nobody moved them: the engine's own. @type {Shape} */
export const USUAL = { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05 };

/** @type {{name: string, shape: Shape}[]} */
export const PRESETS = [
  { name: "greedy", shape: { temperature: 0, topK: 0, topP: 1, minP: 0 } },
  { name: "focused", shape: { temperature: 0.3, topK: 40, topP: 0.9, minP: 0.05 } },
  { name: "usual", shape: USUAL },
  { name: "wild", shape: { temperature: 1.5, topK: 0, topP: 1, minP: 0.02 } },
];

/**
 * The alternatives, most probable first, before and after the sampler; `after` sums to 1. Those that
 * nobody reported are beyond `top` and count as cut.
 * @param {Alternative[]} top @param {Shape} shape @returns {Row[]}
 */
export function spread(top, { temperature, topK, topP, minP }) {
  const known = [...top].sort((a, b) => b.logprob - a.logprob);
  const best = known.length ? Math.exp(known[0].logprob) : 0;
  let kept = 0;
  /** @type {Row[]} */
  const rows = known.map(({ token, logprob }, index) => {
    const before = Math.exp(logprob);
    /** @type {Row["cut"]} */
    let cut = "";
    if (topK > 0 && index >= topK) cut = "top_k";
    else if (topP < 1 && kept >= topP) cut = "top_p";
    else if (index > 0 && before < minP * best) cut = "min_p";
    kept += before;
    return { token, before, after: 0, cut };
  });
  const weights = rows.map((row, index) => (row.cut ? 0 : weight(known[index].logprob, temperature, index)));
  const sum = weights.reduce((all, one) => all + one, 0) || 1;
  return rows.map((row, index) => ({ ...row, after: weights[index] / sum }));
}

/** @param {number} logprob @param {number} temperature @param {number} index */
function weight(logprob, temperature, index) {
  if (temperature <= 0) return index === 0 ? 1 : 0;
  return Math.exp(logprob / temperature);
}

/** The probability of everything that is not among `top`. @param {Alternative[]} top */
export const rest = (top) => Math.max(0, 1 - top.reduce((sum, one) => sum + Math.exp(one.logprob), 0));

/** How evenly spread the choice is, in equally likely tokens. @param {Row[]} rows */
export const choices = (rows) => Math.exp(-rows.reduce((sum, row) => (row.after ? sum + row.after * Math.log(row.after) : sum), 0));
