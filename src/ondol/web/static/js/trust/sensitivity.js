// @ts-check
// How far a text may travel, as a mark beside it.

import { html } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { Icon } from "../parts/index.js";

/** @type {Record<string, string>} */
const MARKS = { private: "lock", trusted: "home", public: "globe" };

/** How far a text may travel. @param {{level: string, withText?: boolean}} props */
export function Sensitivity({ level, withText = false }) {
  const text = t(`trust.level_${level}`);
  return html`<span class=${`sensitivity ${level}`} title=${t(`trust.label_${level}`)}>
    <${Icon} name=${MARKS[level] ?? "lock"} size=${14} label=${withText ? undefined : text} />${withText && html`<span>${text}</span>`}
  </span>`;
}
