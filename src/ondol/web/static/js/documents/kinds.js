// @ts-check
// What kind of file something is, in a word, and the language of a text, in ours.

import { language, t } from "../core/i18n.js";

/** @type {[RegExp, string][]} */
const KINDS = [
  [/pdf/, "pdf"],
  [/wordprocessingml|opendocument\.text|hwp|msword/, "word"],
  [/spreadsheet|excel|csv|tab-separated/, "sheet"],
  [/presentation/, "slides"],
  [/rfc822|mbox/, "mail"],
  [/html/, "web"],
  [/epub/, "book"],
  [/^image\//, "image"],
  [/zip|tar|compressed/, "archive"],
  [/markdown/, "markdown"],
  [/ipynb|x-(?!sql)|javascript|json|xml|yaml|toml/, "code"],
];

/** @param {string} mediaType @param {string} source */
export function kindOf(mediaType, source) {
  const found = KINDS.find(([pattern]) => pattern.test(mediaType));
  if (found) return t(`documents.kind_${found[1]}`);
  if (mediaType.startsWith("text/")) return t("documents.kind_text");
  const dot = source.lastIndexOf(".");
  return dot > source.lastIndexOf("/") + 1 ? source.slice(dot + 1, dot + 6).toUpperCase() : t("documents.kind_file");
}

/** @param {string} code ISO 639 */
export function languageName(code) {
  if (!code || code === "und") return "";
  try {
    return new Intl.DisplayNames([language.value], { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
}
