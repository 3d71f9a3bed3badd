// @ts-check
/**
 * Markdown to blocks of safe HTML. A text that still grows is cut at its last block: what stands before
 * it is final and is never parsed again. The same block is drawn once, whoever shows it.
 *
 * Raw HTML is shown as text. Nothing drawn here can load anything: pictures become links.
 */
import { Marked } from "../../vendor/marked.js";
import "../../vendor/purify.js";
import { t } from "../core/i18n.js";
import { grammar } from "./grammar.js";

/**
 * @typedef {object} Block
 * @property {string} raw its Markdown, the same for the same block
 * @property {"html"|"code"} kind
 * @property {string} html safe to insert; "" for code
 * @property {string} text the code; "" for html
 * @property {string} language as the fence says; "" where it says nothing
 */

const MAX_KEPT = 3000;
/** @type {Map<string, Block>} */
const drawn = new Map();

const ESCAPES = /** @type {Record<string, string>} */ ({
  "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;",
});
/** @param {string} text */
const escape = (text) => text.replace(/[&<>"']/g, (character) => ESCAPES[character]);

const ALLOWED = {
  ALLOWED_TAGS: [
    "a", "b", "blockquote", "br", "button", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6",
    "hr", "i", "input", "kbd", "li", "ol", "p", "pre", "s", "span", "strong", "sub", "sup", "table", "tbody",
    "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: [
    "align", "aria-label", "checked", "class", "data-cite", "data-copy", "data-display", "data-language",
    "data-tex", "disabled", "href", "rel", "role", "start", "tabindex", "target", "title", "type",
  ],
  ALLOW_DATA_ATTR: false,
};

/** @type {any} */
const renderer = {
  html: (/** @type {any} */ token) => (/^<br\s*\/?>$/i.test(token.raw.trim()) ? "<br>" : escape(token.text)),
  code: (/** @type {any} */ token) =>
    `<div class="code"><div class="code-head"><span>${escape(label(token.lang))}</span>` +
    `<button type="button" data-copy="code">${escape(t("chat.copy_code"))}</button></div>` +
    `<pre tabindex="0"><code data-language="${escape(language(token.lang))}">${escape(token.text)}</code></pre></div>`,
  /** @this {any} Below the page's own headings and the message's. */
  heading(/** @type {any} */ token) {
    const tag = `h${Math.min(token.depth + 2, 6)}`;
    return `<${tag}>${this.parser.parseInline(token.tokens)}</${tag}>`;
  },
  /** @this {any} */
  link(/** @type {any} */ token) {
    return anchor(token.href, this.parser.parseInline(token.tokens), token.title);
  },
  image: (/** @type {any} */ token) => anchor(token.href, escape(token.text || token.href), token.title, "picture"),
  /** @this {any} */
  table(/** @type {any} */ token) {
    const line = (/** @type {any[]} */ cells, /** @type {string} */ tag) =>
      `<tr>${cells.map((cell, i) => {
        const align = token.align[i] ? ` align="${token.align[i]}"` : "";
        return `<${tag}${align}>${this.parser.parseInline(cell.tokens)}</${tag}>`;
      }).join("")}</tr>`;
    const body = token.rows.map((/** @type {any[]} */ row) => line(row, "td")).join("");
    return `<div class="table-scroll" tabindex="0" role="region" aria-label="${escape(t("chat.table"))}">` +
      `<table><thead>${line(token.header, "th")}</thead><tbody>${body}</tbody></table></div>`;
  },
};

const LOOKS = /** @type {Record<string, (token: any) => string>} */ ({
  display: (token) => formula(token),
  formula: (token) => formula(token),
  citation: (token) =>
    `<button type="button" class="cite" data-cite="${token.number}"` +
    ` aria-label="${escape(t("chat.open_quote", { number: token.number }))}">${token.number}</button>`,
});

const marked = new Marked({ gfm: true, breaks: true });
marked.use({
  renderer,
  extensions: /** @type {any[]} */ (grammar.map((rule) => ({ ...rule, renderer: LOOKS[rule.name] }))),
});

/** @param {any} token */
function formula(token) {
  const tag = token.type === "display" ? "div" : "span";
  const shown = token.shown ? ' data-display="true"' : "";
  return `<${tag} class="math" data-tex="${escape(token.tex)}"${shown}>${escape(token.raw.trim())}</${tag}>`;
}

/**
 * @param {string} address
 * @param {string} inner safe HTML
 * @param {string} [title]
 * @param {string} [kind] a class
 */
function anchor(address, inner, title, kind) {
  if (!/^(https?:|mailto:)/i.test(address ?? "")) return inner;
  const said = title ? ` title="${escape(title)}"` : ` title="${escape(address)}"`;
  return `<a href="${escape(address)}" class="${kind ?? "link"}" target="_blank" rel="noopener noreferrer"${said}>${inner}</a>`;
}

/** @param {string|undefined} info the words after a fence */
export function language(info) {
  return /^[\w+#.-]*/.exec(info ?? "")?.[0].toLowerCase() ?? "";
}

/** @param {string|undefined} info */
export function label(info) {
  return language(info) || t("chat.code");
}

/** @param {string} html made above */
export function clean(html) {
  return globalThis.DOMPurify.sanitize(html, ALLOWED);
}

/**
 * @param {any} token one block of marked
 * @param {any} links the reference definitions that it may name
 * @returns {Block}
 */
function draw(token, links) {
  const key = `${token.raw}\u0000${Object.keys(links).length ? JSON.stringify(links) : ""}`;
  const known = drawn.get(key);
  if (known) return known;
  const block = token.type === "code"
    ? { raw: token.raw, kind: /** @type {const} */ ("code"), html: "", text: token.text, language: language(token.lang) }
    : { raw: token.raw, kind: /** @type {const} */ ("html"), html: safe(token), text: "", language: "" };
  if (drawn.size >= MAX_KEPT) drawn.delete(/** @type {string} */ (drawn.keys().next().value));
  drawn.set(key, block);
  return block;
}

/** What is nested too deeply to be read, by accident or malice, is shown as it is. @param {any} token */
function safe(token) {
  let made;
  try {
    made = marked.parser([token]);
  } catch {
    made = `<pre tabindex="0">${escape(token.raw)}</pre>`;
  }
  return clean(made);
}

/** @param {string} source @returns {any} blocks, with the links that they name */
function lex(source) {
  try {
    return marked.lexer(source);
  } catch {
    // No renderer knows this kind: `safe` shows it as it is.
    return [{ type: "unread", raw: source }];
  }
}

/** Offsets count what marked counts: it reads every line end as one character. @param {string} source */
function plainLines(source) {
  return source.replace(/\r\n?/g, "\n");
}

/** A finished text. @param {string} source @returns {Block[]} */
export function blocks(source) {
  const tokens = lex(plainLines(source));
  return tokens.filter(isBlock).map((/** @type {any} */ token) => draw(token, tokens.links ?? {}));
}

/** @param {any} token */
function isBlock(token) {
  return token.type !== "space" && token.type !== "def";
}

/** A text that grows at its end; `grow` parses from the beginning of its last block on. */
export class Growing {
  constructor() {
    this.source = "";
    this.settled = 0;
    /** @type {Block[]} */
    this.done = [];
  }

  /** @param {string} source the text so far @returns {Block[]} */
  grow(source) {
    source = plainLines(source);
    if (!source.startsWith(this.source)) this.begin();
    this.source = source;
    const tokens = lex(source.slice(this.settled));
    const last = tokens.findLastIndex(isBlock);
    for (const token of tokens.slice(0, Math.max(last, 0))) {
      this.settled += token.raw.length;
      if (isBlock(token)) this.done.push(draw(token, {}));
    }
    return last < 0 ? [...this.done] : [...this.done, this.unfinished(tokens[last])];
  }

  /** The last block changes with every token: it is drawn but not kept. @param {any} token @returns {Block} */
  unfinished(token) {
    if (token.type === "code") {
      return { raw: token.raw, kind: "code", html: "", text: token.text, language: language(token.lang) };
    }
    return { raw: token.raw, kind: "html", html: safe(token), text: "", language: "" };
  }

  begin() {
    this.settled = 0;
    this.done = [];
  }
}
