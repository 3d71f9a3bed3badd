// @ts-check
/** What the newest documents speak of, so that the first questions offered are ones that they can answer. */
import { get } from "../core/api.js";
import { language } from "../core/i18n.js";
import { signal } from "../core/ui.js";

const DOCUMENTS = 3;
const CONTEXT = 1200;
/** Words that say nothing of what a text is about, where they are long enough to be taken for it. */
const EMPTY = new Set(
  ("about above after again against because before being below between could does during each every from further have having " +
  "here into itself more most only other ought over same should some such than that their theirs them then there these they this " +
  "those through under until very were what when where which while whom with would your yours page chapter section document " +
  "그리고 그러나 하지만 그래서 때문에 대한 위한 있는 있습니다 합니다 입니다 하는 되는 우리 여러분 그것 이것").split(" "),
);
const PARTICLE = /(?<=[가-힣]{2})(?:에서는|에서|으로|에게|까지|부터|이나|입니다|은|는|이|가|을|를|의|에|로|와|과|도|만)$/;

/** What three documents are about; null until that is known. */
export const topics = signal(/** @type {string[]|null} */ (null));

/** Documents in the language of the questions come first. @param {any[]} library the documents to ask about */
export async function findTopics(library) {
  const isOther = (/** @type {any} */ one) => Number(one.language !== language.value);
  const newest = [...library]
    .sort((a, b) => isOther(a) - isOther(b) || String(b.added_at).localeCompare(String(a.added_at)))
    .slice(0, DOCUMENTS * 2);
  const found = await Promise.all(newest.map(async ({ source }) => {
    const address = `/ondol/v1/documents/view?source=${encodeURIComponent(source)}&context=${CONTEXT}`;
    const view = await get(address).catch(() => null);
    return topicOf(view ? view.before + view.passage.text + view.after : "");
  }));
  topics.value = [...new Set(found.filter(Boolean))].slice(0, DOCUMENTS);
}

/**
 * The word that a text is most likely about: said often, named after an article or with a capital. ""
 * for a text without one.
 * @param {string} text
 */
export function topicOf(text) {
  /** @type {Map<string, {word: string, weight: number}>} */
  const found = new Map();
  for (const match of text.slice(0, CONTEXT).matchAll(/(?<=(?<before>[\p{L}.:!?#]+\s+)?)(?<whole>[\p{L}][\p{L}\p{M}'’-]+)/gu)) {
    const { before = "", whole = "" } = match.groups ?? {};
    const word = whole.replace(PARTICLE, "");
    const folded = word.toLowerCase();
    const isLong = /[가-힣]/.test(word) ? word.length >= 2 : word.length >= 5;
    if (!isLong || EMPTY.has(folded)) continue;
    const known = found.get(folded) ?? { word, weight: 0 };
    found.set(folded, { word: known.word, weight: known.weight + weigh(word, before) });
  }
  const best = [...found.values()].sort((a, b) => b.weight - a.weight)[0];
  return best ? inSentence(best.word, text) : "";
}

/** @param {string} word @param {string} before the word before it, or a mark */
function weigh(word, before) {
  if (/(?:ed|ing|ly)$/i.test(word)) return 0.4;
  if (/^(?:the|an?|our|my|your|its|his|her)\s/i.test(before) || /#\s+$/.test(before)) return 2;
  return /^\p{Lu}/u.test(word) && /\p{L}\s+$/u.test(before) ? 2 : 1;
}

/** A name keeps its capital; the first word of a sentence loses it. @param {string} word @param {string} text */
function inSentence(word, text) {
  return text.includes(` ${word.toLowerCase()}`) || /^\p{Ll}/u.test(word) ? word.toLowerCase() : word;
}
