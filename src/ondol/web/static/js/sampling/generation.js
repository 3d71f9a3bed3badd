// @ts-check
// One text of the model with the probabilities of its tokens: generated, and gone on with from any
// of them. Knows the API and no page.

import { signal } from "../core/ui.js";
import { ApiError, events } from "../core/api.js";
import { MOST } from "./distribution.js";

/** @typedef {import("./distribution.js").Alternative} Alternative */
/** @typedef {{text: string, logprob: number, top: Alternative[], chosen?: boolean}} Token */
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
      const { path, body } = request(this.asked, this.seed, this.text, this.tokens.value.length);
      for await (const { data } of events(path, { method: "POST", body, signal: stopping })) {
        if (data.error) throw new ApiError({ status: 500, ...data.error });
        const found = tokensOf(data);
        if (found.length) this.tokens.value = [...this.tokens.value, ...found];
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
    const put = { text: token.token, logprob: token.logprob, top: before.top, chosen: true };
    this.tokens.value = [...this.tokens.value.slice(0, index), put];
    return this.run();
  }
}

/** @param {Asked} asked @param {number} seed @param {string} said @param {number} used tokens that are there */
function request({ model, mode, prompt, maxTokens, shape }, seed, said, used) {
  const sampling = {
    model,
    stream: true,
    seed,
    max_tokens: Math.max(1, maxTokens - used),
    temperature: shape.temperature,
    top_k: shape.topK,
    top_p: shape.topP,
    min_p: shape.minP,
  };
  if (mode === "text") {
    return { path: "/v1/completions", body: { ...sampling, prompt: prompt + said, logprobs: MOST } };
  }
  const messages = [{ role: "user", content: prompt }];
  if (said) messages.push({ role: "assistant", content: said });
  return { path: "/v1/chat/completions", body: { ...sampling, messages, logprobs: true, top_logprobs: MOST } };
}

/** The tokens of a chunk, in either shape. @param {any} data @returns {Token[]} */
function tokensOf(data) {
  const logprobs = data.choices?.[0]?.logprobs;
  if (!logprobs) return [];
  if (logprobs.content) {
    return logprobs.content.map((/** @type {any} */ one) => ({ text: one.token, logprob: one.logprob, top: one.top_logprobs }));
  }
  return (logprobs.tokens ?? []).map((/** @type {string} */ text, /** @type {number} */ index) => ({
    text,
    logprob: logprobs.token_logprobs[index],
    top: Object.entries(logprobs.top_logprobs[index]).map(([token, logprob]) => ({ token, logprob })),
  }));
}
