// @ts-check
/**
 * Colours for code and shapes for formulas, put on after the words are there. Both libraries are large and
 * are fetched when the first code or formula is met.
 */

/** @type {Promise<any>|null} */
let highlighter = null;
/** @type {Promise<any>|null} */
let typesetter = null;

/** Beyond this many characters colours cost more than they help. */
const MAX_COLOURED = 60_000;

/** No formula lies over the page: lengths in `em`, and in points. @type {[number, number]} */
const MAX_SIZE = [30, 300];

/** @param {ParentNode} root */
export async function colour(root) {
  const codes = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("code[data-language]:not([data-coloured])")]);
  const named = codes.filter((one) => one.dataset.language && (one.textContent ?? "").length <= MAX_COLOURED);
  if (!named.length) return;
  highlighter ??= import("../../vendor/highlight.js").then((module) => module.default);
  const hljs = await highlighter;
  for (const code of named) {
    const language = code.dataset.language ?? "";
    code.dataset.coloured = "true";
    if (hljs.getLanguage(language)) {
      code.innerHTML = hljs.highlight(code.textContent ?? "", { language, ignoreIllegals: true }).value;
    }
  }
}

/** @param {ParentNode} root */
export async function typeset(root) {
  const formulas = /** @type {HTMLElement[]} */ ([...root.querySelectorAll(".math[data-tex]:not([data-set])")]);
  if (!formulas.length) return;
  typesetter ??= import("../../vendor/temml.js").then((module) => module.default);
  const temml = await typesetter;
  for (const formula of formulas) {
    formula.dataset.set = "true";
    const { tex = "", display } = formula.dataset;
    // Drawn node by node: a style attribute in a string would be refused by the page's policy.
    const how = { displayMode: display === "true", throwOnError: false, maxSize: MAX_SIZE };
    try {
      temml.render(tex, formula, how);
    } catch {
      // Nested too deeply: its words stay.
      formula.textContent = tex;
    }
  }
}
