// @ts-check
// Numbers of models as people say them.

import { language, number, t } from "../core/i18n.js";

/** 134515008 is "135M". @param {number | null} count */
export function parameters(count) {
  if (!count) return "";
  if (count >= 1e9) return `${number(Math.round(count / 1e8) / 10)}B`;
  return `${number(Math.round(count / 1e6))}M`;
}

/** Bytes of memory, in GB of 2**30 bytes as memory is sold and as the catalogue says what fits. @param {number} size */
export function memory(size) {
  const gigabytes = size / 2 ** 30;
  if (gigabytes >= 1) return `${number(Math.round(gigabytes * 10) / 10)} GB`;
  return `${number(Math.round(size / 2 ** 20))} MB`;
}

/** What people call a model: its name, or the file at the end of an address. @param {string} name */
export const shortName = (name) => (/^https?:/.test(name) ? decodeURIComponent(name.split(/[?#]/)[0].split("/").pop() || name) : name);

/** 131072 is "128K". @param {number | null} tokens */
export function context(tokens) {
  if (!tokens) return "";
  return t("models.tokens", { count: tokens >= 1024 ? `${number(Math.round(tokens / 1024))}K` : number(tokens) });
}

/** @param {string[]} codes */
export function languages(codes) {
  const names = new Intl.DisplayNames([language.value], { type: "language" });
  return codes.map((code) => (code === "multilingual" ? t("models.many_languages") : (names.of(code) ?? code))).join(", ");
}
