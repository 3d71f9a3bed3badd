// @ts-check
/** Markdown on the page. Blocks that are finished are never touched again while an answer grows. */
import { t } from "../core/i18n.js";
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../core/ui.js";
import { copyText } from "./copying.js";
import { colour, typeset } from "./embellish.js";
import { blocks, Growing, label } from "./markdown.js";

/**
 * @param {object} props
 * @param {string} props.text
 * @param {boolean} [props.growing] whether more will come
 * @param {number[]} [props.quotes] the numbers that a citation may name, others stay words; not said: all
 * @param {(number: number, button: HTMLElement) => void} [props.onCite] a citation was chosen
 */
export function Prose({ text, growing = false, quotes, onCite }) {
  const grower = useRef(/** @type {Growing|null} */ (null));
  const drawn = useMemo(() => {
    if (!growing) return blocks(text);
    grower.current ??= new Growing();
    return grower.current.grow(text);
  }, [text, growing]);

  const clicked = (/** @type {MouseEvent} */ event) => {
    const button = /** @type {HTMLElement} */ (event.target).closest("button");
    if (button?.dataset.cite) onCite?.(Number(button.dataset.cite), button);
    if (button?.dataset.copy) copyCode(button);
  };
  const cited = quotes?.join() ?? null;
  const kept = useRef(/** @type {{block: any, cited: string|null, node: any}[]} */ ([]));
  const nodes = drawn.map((block, i) => {
    const isLast = growing && i === drawn.length - 1;
    const before = kept.current[i];
    // The very same node is not even compared: a long answer costs no more than its last block. Only while
    // it grows: a node that is kept knows its parents of then, and with them every message of then.
    if (growing && before && before.block === block && before.cited === cited && !isLast) return before;
    return { block: isLast ? null : block, cited, node: draw(block, i, cited, isLast) };
  });
  kept.current = growing ? nodes : [];
  return html`<div class="prose" onClick=${clicked}>${nodes.map((one) => one.node)}</div>`;
}

/** @param {import("./markdown.js").Block} block @param {number} i @param {string|null} cited @param {boolean} growing */
function draw(block, i, cited, growing) {
  return block.kind === "code"
    ? html`<${Code} key=${i} text=${block.text} language=${block.language} growing=${growing} />`
    : html`<${Html} key=${i} source=${block.html} quotes=${cited} growing=${growing} />`;
}

/** @param {{source: string, quotes: string|null, growing: boolean}} props */
function Html({ source, quotes, growing }) {
  const element = useRef(/** @type {HTMLElement|null} */ (null));
  const markup = useMemo(() => ({ __html: source }), [source]);
  useLayoutEffect(() => {
    const node = /** @type {HTMLElement} */ (element.current);
    const known = new Set(quotes?.split(","));
    for (const cite of quotes === null ? [] : /** @type {NodeListOf<HTMLElement>} */ (node.querySelectorAll(".cite"))) {
      if (!known.has(cite.dataset.cite ?? "")) cite.replaceWith(`[${cite.dataset.cite}]`);
    }
    typeset(node);
    if (!growing) colour(node);
  }, [source, quotes, growing]);
  // Another key draws anew: when quotes come to be known, their citations are buttons again.
  return html`<div class="block" key=${quotes} ref=${element} dangerouslySetInnerHTML=${markup}></div>`;
}

/** @param {{text: string, language: string, growing: boolean}} props */
function Code({ text, language, growing }) {
  const element = useRef(/** @type {HTMLElement|null} */ (null));
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    const node = /** @type {HTMLElement} */ (element.current);
    // Coloured code is no longer what Preact drew; so it gets its text from here alone.
    const code = /** @type {HTMLElement} */ (node.querySelector("code"));
    if (code.textContent !== text) {
      code.textContent = text;
      delete code.dataset.coloured;
    }
    if (!growing) colour(node);
  }, [text, growing]);
  const copy = async () => {
    await copyText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return html`<div class="code" ref=${element}>
    <div class="code-head"><span>${label(language)}</span>
      <button type="button" onClick=${copy}>${copied ? t("chat.copied") : t("chat.copy_code")}</button></div>
    <pre tabindex="0"><code data-language=${language}></code></pre>
  </div>`;
}

/** @param {HTMLElement} button of code that stands inside a list or a quotation */
async function copyCode(button) {
  await copyText(button.closest(".code")?.querySelector("code")?.textContent ?? "");
  const before = button.textContent;
  button.textContent = t("chat.copied");
  setTimeout(() => {
    button.textContent = before;
  }, 1500);
}
