// @ts-check
// Items and releases as people say them.

import { bytes, moment, number, t, when } from "../core/i18n.js";
import { languages, parameters } from "../models/words.js";

/** @typedef {import("./state.js").Card} Card */

export const ICONS = { model: "cube", adapter: "sliders", pack: "documents" };

/** What an item is called: its title, else its name. @param {{item: string, card: Card}} one */
export const titleOf = ({ item, card }) => card.title || item;

/** Its figures, shortest first. @param {{card: Card, size_bytes: number}} one */
export function figures({ card, size_bytes: size }) {
  return [
    parameters(card.parameters ?? null),
    card.quantization,
    card.r ? t("hub.rank_of", { r: number(card.r) }) : "",
    bytes(size),
    spoken(card),
    card.licence,
  ].filter(Boolean);
}

/** The languages of a card. What a stranger wrote there may be no language at all. @param {Card} card */
export const spoken = ({ languages: codes = [] }) => codes.map(named).join(", ");

/** @param {string} code */
function named(code) {
  try {
    return languages([code]);
  } catch {
    return code;
  }
}

/** When it was released, in full or short; "" where a card says nothing of the kind. @param {Card} card @param {{short?: boolean}} [how] */
export function released({ released_at: at = "" }, { short = false } = {}) {
  if (Number.isNaN(Date.parse(at))) return "";
  return short ? when(at) : moment(at);
}

/** The sentence of a key that may not be there. @param {string} key @param {string} otherwise */
export function inWords(key, otherwise) {
  const text = t(key);
  return text === key ? otherwise : text;
}

/** "num_examples" is "num examples" where there is no better word. @param {string} name */
export const plainName = (name) => name.replaceAll("_", " ");

/** A long name of bytes, so that two can be compared at a glance. @param {string} digest */
export const short = (digest) => digest.replace(/^sha256:/, "").slice(0, 12);
