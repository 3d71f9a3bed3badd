// @ts-check
// One text of the model with the probabilities of its tokens: generated, and gone on with from any
// of them. Knows the API and no page.

import { signal } from "../core/ui.js";
import { events } from "../core/api.js";
import { MOST } from "./distribution.js";

/** @typedef {import("./distribution.js").Alternative} Alternative */
/** @typedef {{text: string, logprob: number, top: Alternative[], bits: number | null, chosen?: boolean}} Token `bits`: the entropy of the choice */
/** @typedef {{model: string, mode: "chat" | "text", prompt: string, maxTokens: number, shape: import("./distribution.js").Shape}} Asked */

/** A text that is being made. */
export class Generation {
  /** @param {Asked} asked @param {number} seed */
  constructor(asked, seed) {
    this.asked = asked;
    this.seed = seed;
    /** @type {import("../../vendor/signals.js").Signal<Token[]>} */
    this.tokens = signal([]);
    this.isRunning = signal(false);
    /** @type {import("../../vendor/signals.js").Signal<any>} */
    this.error = signal(null);
    this.controller = new AbortController();
  }

  get text() {
    return this.tokens.value.map((token) => token.text).join("");
  }

  /** Generate until the model stops, or somebody does. Never throws: see `error`. */
  async run() {
    this.controller.abort();
    this.controller = new AbortController();
    const { signal: stopping } = this.controller;
    this.isRunning.value = true;
    this.error.value = null;
    try {
      const body = request(this.asked, this.seed, this.text, this.tokens.value.length);
      for await (const { event, data } of events("/ondol/v1/explore", { method: "POST", body, signal: stopping })) {
        if (event === "token") this.tokens.value = [...this.tokens.value, tokenOf(data)];
      }
    } catch (error) {
      if (!stopping.aborted) this.error.value = error;
    }
    if (this.controller.signal === stopping) this.isRunning.value = false;
  }

  stop() {
    this.controller.abort();
    this.isRunning.value = false;
  }

  /** Keep what is before token `index`, put `token` in its place, and go on. @param {number} index @param {Alternative} token */
  goOn(index, token) {
    const before = this.tokens.value[index];
    const put = { text: token.token, logprob: token.logprob, top: before.top, bits: before.bits, chosen: true };
    this.tokens.value = [...this.tokens.value.slice(0, index), put];
    return this.run();
  }
}

/** @param {Asked} asked @param {number} seed @param {string} begin @param {number} used tokens that are there */
const request = ({ model, mode, prompt, maxTokens, shape }, seed, begin, used) => ({
  model,
  mode,
  prompt,
  begin,
  seed,
  max_tokens: Math.max(1, maxTokens - used),
  temperature: shape.temperature,
  top_k: shape.topK,
  top_p: shape.topP,
  min_p: shape.minP,
  alternatives: MOST,
});

/** @param {any} told what the server says of one token @returns {Token} */
const tokenOf = ({ text, logprob, entropy_bits: bits, alternatives }) => ({
  text,
  logprob: logprob ?? 0,
  top: (alternatives ?? []).map((/** @type {any} */ one) => ({ token: one.text, logprob: one.logprob })),
  bits: bits ? (bits[0] + bits[1]) / 2 : null,
});
