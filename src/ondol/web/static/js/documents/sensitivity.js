// @ts-check
// How far documents may travel: the badge, and the choice with what each word means.

import { html, useId } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { Badge, Icon } from "../parts/index.js";

/** From the strictest to the loosest. @type {import("./shelf.js").Sensitivity[]} */
export const LEVELS = ["private", "trusted", "public"];
const ICONS = { private: "lock", trusted: "home", public: "globe" };
const TONES = /** @type {const} */ ({ private: "good", trusted: "warn", public: "bad" });

/** Whether `after` lets text travel further than `before`. @param {string} before @param {string} after */
export const loosens = (before, after) =>
  LEVELS.indexOf(/** @type {any} */ (after)) > LEVELS.indexOf(/** @type {any} */ (before));

/** @param {{level: import("./shelf.js").Sensitivity}} props */
export function SensitivityBadge({ level }) {
  return html`<${Badge} tone=${TONES[level]} title=${t(`documents.means_${level}`)}>
    <${Icon} name=${ICONS[level]} size=${13} />${t(`documents.${level}`)}
  <//>`;
}

/**
 * @param {{label: string, value: string, onChange: (level: import("./shelf.js").Sensitivity) => void,
 *   levels?: import("./shelf.js").Sensitivity[], words?: Record<string, string>}} props `words` replace what a level means
 */
export function SensitivityChoice({ label, value, onChange, levels = LEVELS, words = {} }) {
  const name = useId();
  return html`<fieldset class="levels">
    <legend>${label}</legend>
    ${levels.map(
      (level) => html`<label key=${level} class=${level === value ? "chosen" : ""}>
        <input type="radio" name=${name} value=${level} checked=${level === value} onChange=${() => onChange(level)} />
        <span class=${`level-icon ${TONES[level]}`}><${Icon} name=${ICONS[level]} size=${18} /></span>
        <span><strong>${t(`documents.${level}`)}</strong><small>${words[level] ?? t(`documents.means_${level}`)}</small></span>
      </label>`,
    )}
  </fieldset>`;
}
