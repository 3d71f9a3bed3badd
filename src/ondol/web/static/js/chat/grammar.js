// @ts-check
/**
 * What marked reads besides GitHub's Markdown: mathematics, numbered citations, and bold text that a
 * Korean or Chinese particle follows. Knows nothing of the page; a token's look is in `markdown.js`.
 */

/** @typedef {{type: string, raw: string, [name: string]: any}} Token */

/** Money is no mathematics: "$5 and $6" opens and closes nothing (the rule of Pandoc). */
const DOLLAR = /^\$(?!\s|\$)((?:\\.|[^\\$\n])+?)(?<!\s)\$(?!\d)/;
const DOUBLE = /^\$\$([^]+?)\$\$/;
const PARENS = /^\\\(([^]+?)\\\)/;
const BRACKETS = /^\\\[([^]+?)\\\]/;
const CITATION = /^\[(\d{1,3})\](?![([:])/;
/** CommonMark sees no end of bold in `**"뜻"**은`, because a letter follows the quotation mark. */
const STRONG = /^\*\*(?=\S)([^*\n]*?[^*\s\p{L}\p{N}])\*\*(?=[\p{Script=Hangul}\p{Script=Han}])/u;

const display = {
  name: "display",
  level: "block",
  start: (/** @type {string} */ source) => first(source, /\$\$|\\\[/),
  tokenizer(/** @type {string} */ source) {
    const found = /^ {0,3}(?:\$\$([^]+?)\$\$|\\\[([^]+?)\\\])[ \t]*(?:\n|$)/.exec(source);
    return found ? math(found[0], found[1] ?? found[2], true, "display") : undefined;
  },
};

const inline = {
  name: "formula",
  level: "inline",
  start: (/** @type {string} */ source) => first(source, /\$|\\\(|\\\[/),
  tokenizer(/** @type {string} */ source) {
    const shown = DOUBLE.exec(source) ?? BRACKETS.exec(source);
    if (shown) return math(shown[0], shown[1], true, "formula");
    const within = PARENS.exec(source) ?? DOLLAR.exec(source);
    return within ? math(within[0], within[1], false, "formula") : undefined;
  },
};

const citation = {
  name: "citation",
  level: "inline",
  start: (/** @type {string} */ source) => first(source, /\[\d/),
  tokenizer(/** @type {string} */ source) {
    const found = CITATION.exec(source);
    return found ? { type: "citation", raw: found[0], number: Number(found[1]) } : undefined;
  },
};

const boldBeforeParticle = {
  name: "bold",
  level: "inline",
  start: (/** @type {string} */ source) => first(source, /\*\*/),
  /** @this {any} */
  tokenizer(/** @type {string} */ source) {
    const found = STRONG.exec(source);
    if (!found) return undefined;
    const tokens = this.lexer.inlineTokens(found[1]);
    return { type: "strong", raw: found[0], text: found[1], tokens };
  },
};

/**
 * @param {string} raw what was read
 * @param {string} tex
 * @param {boolean} shown on a line of its own
 * @param {string} type
 */
function math(raw, tex, shown, type) {
  return { type, raw, tex: tex.trim(), shown };
}

/** @param {string} source @param {RegExp} pattern */
function first(source, pattern) {
  const at = source.search(pattern);
  return at < 0 ? undefined : at;
}

/** For `marked.use({extensions})`; renderers are added by whoever draws. */
export const grammar = [display, inline, citation, boldBeforeParticle];
