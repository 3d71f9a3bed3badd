// @ts-check
// What a sampler makes of a token's probabilities, in llama.cpp's order: top-k, top-p of what that has
// left, min-p, and temperature last. The same arithmetic as lab/exploring/sampler.py; knows no page.

/** @typedef {{token: string, logprob: number}} Alternative */
/** @typedef {{temperature: number, topK: number, topP: number, minP: number}} Shape */
/** @typedef {{token: string, logprob: number, before: number, after: number, cut: "" | "top_k" | "top_p" | "min_p"}} Row */
/** @typedef {{rows: Row[], kept: number, isWhole: boolean}} Spread */

/** Alternatives that are asked for: as many as the slider of top-k can leave. */
export const MOST = 100;
/** Of which so many are shown. */
export const SHOWN = 20;

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
 * The alternatives, most probable first, before and after the sampler; `after` sums to 1. Unless it
 * `isWhole`, the sampler keeps tokens beyond those that were reported.
 * @param {Alternative[]} top @param {Shape} shape @returns {Spread}
 */
export function spread(top, { temperature, topK, topP, minP }) {
  const known = [...top].sort((a, b) => b.logprob - a.logprob);
  const before = known.map((one) => Math.exp(one.logprob));
  const isLimited = topK > 0 && topK <= known.length;
  const here = topK > 0 ? Math.min(topK, known.length) : known.length;
  // What top-k has left is a distribution of its own before top-p adds it up.
  const mass = isLimited ? sumOf(before.slice(0, here)) : 1;
  const least = known.length && minP > 0 ? known[0].logprob + Math.log(minP) : -Infinity;
  let sum = 0;
  const cuts = known.map(({ logprob }, index) => {
    /** @type {Row["cut"]} */
    let cut = "";
    if (index >= here) cut = "top_k";
    else if (topP < 1 && index > 0 && sum >= topP * mass) cut = "top_p";
    else if (index > 0 && logprob < least) cut = "min_p";
    sum += before[index];
    return cut;
  });
  const weights = known.map(({ logprob }, index) => (cuts[index] ? 0 : weight(logprob - known[0].logprob, temperature, index)));
  const all = sumOf(weights) || 1;
  const rows = known.map((one, index) => ({ ...one, before: before[index], after: weights[index] / all, cut: cuts[index] }));
  const isCut = cuts.at(-1) ? true : false;
  const isWhole = isLimited || (topP >= 1 ? isCut : topK <= 0 && (sum >= topP || isCut));
  return { rows, kept: cuts.filter((cut) => !cut).length, isWhole };
}

/** @param {number[]} values */
const sumOf = (values) => values.reduce((sum, one) => sum + one, 0);

/** @param {number} behind how far behind the best, as a logarithm @param {number} temperature @param {number} index */
function weight(behind, temperature, index) {
  if (temperature <= 0) return index === 0 ? 1 : 0;
  return Math.exp(behind / temperature);
}

/** Whether a token that was said could not have come with `shape`. @param {{text: string, logprob: number, top: Alternative[]}} token @param {Shape} shape */
export function isCut(token, shape) {
  if (!token.top.length) return false;
  const { rows, isWhole } = spread(token.top, shape);
  const row = rows.find((one) => one.logprob === token.logprob) ?? rows.find((one) => one.token === token.text);
  if (!row) return isWhole;
  return shape.temperature <= 0 ? row.after === 0 : Boolean(row.cut);
}

/** The probability of everything that is not among `top`. @param {Alternative[]} top */
export const rest = (top) => Math.max(0, 1 - sumOf(top.map((one) => Math.exp(one.logprob))));

/** How evenly spread the choice is, in equally likely tokens. @param {Row[]} rows */
export const choices = (rows) => Math.exp(-rows.reduce((sum, row) => (row.after ? sum + row.after * Math.log(row.after) : sum), 0));
