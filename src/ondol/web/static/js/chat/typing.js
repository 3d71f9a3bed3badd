// @ts-check
/** What the fields of the chat share: the text that is typed, and how a field grows and knows Korean. */
import { signal } from "../core/ui.js";

/** The text in the composer. */
export const typed = signal("");
/** Which question is being changed. */
export const editing = signal(/** @type {string|null} */ (null));

/**
 * Whether a key belongs to an input method: Enter then finishes a syllable and must not send. Safari
 * has closed the composition by the time of the key and says so with code 229 alone.
 * @param {KeyboardEvent} event
 */
export function isComposing(event) {
  return event.isComposing || event.keyCode === 229;
}

/** Make a field as high as its text. @param {HTMLTextAreaElement|null} area @param {number} highest in pixels */
export function fit(area, highest) {
  if (!area) return;
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight + 2, highest)}px`;
  area.style.overflowY = area.scrollHeight > highest ? "auto" : "hidden";
}

/** @returns {HTMLTextAreaElement|null} */
export function composer() {
  return document.querySelector("textarea.composer-text");
}

/**
 * Put a text where the person types; what stands in {{double braces}} first is selected.
 * @param {string} text
 */
export function insert(text) {
  typed.value = text;
  afterDialogs(() => {
    const area = composer();
    if (!area) return;
    area.focus();
    const gap = /\{\{[^}]*\}\}/.exec(text);
    if (gap) area.setSelectionRange(gap.index, gap.index + gap[0].length);
    else area.setSelectionRange(text.length, text.length);
  });
}

/** A dialog gives the focus back when it goes; what wants it waits for that. @param {() => void} deed */
export function afterDialogs(deed) {
  if (document.querySelector("dialog[open]")) requestAnimationFrame(() => afterDialogs(deed));
  else requestAnimationFrame(() => setTimeout(deed));
}
