// @ts-check
// How sure an answer is: words and a number, what they mean, and how well such numbers have held.

import { html, useEffect } from "../core/ui.js";
import { number, percent, t } from "../core/i18n.js";
import { Icon, Popover } from "../parts/index.js";
import { calibratorOf, calibrators, wantCalibrators } from "./calibrators.js";
import { answerOf, bandOf } from "./reading.js";

/** @typedef {import("./reading.js").Told} Told */

/** @type {Record<string, string>} */
const TONES = { very_likely: "good", likely: "good", open: "warn", doubtful: "bad" };

/** "Likely right · 82 %". @param {number} probability */
export const inWords = (probability) =>
  t("trust.probability", { words: t(`trust.band_${bandOf(probability)}`), percent: percent(probability) });

/**
 * Why a draft that looks good was not good enough; "" where the threshold is not known.
 * @param {any} confidence
 */
export function againstTarget(confidence) {
  const { probability, calibrator } = confidence ?? {};
  const known = calibratorOf(calibrator);
  if (probability === null || probability === undefined || !known) return "";
  const target = percent(calibrators.value?.target_error ?? 0);
  if (known.threshold === null) return t("trust.target_infeasible", { target });
  if (probability >= known.threshold) return "";
  return t("trust.under_threshold", { percent: percent(probability), threshold: percent(known.threshold), target });
}

/** @param {Told} told */
export function ConfidenceBadge(told) {
  const answer = answerOf(told);
  useEffect(wantCalibrators, []);
  // Where nothing was found nobody was asked, and nothing can be right or wrong.
  if (!answer || (!answer.confidence && !answer.model)) return null;
  const probability = answer.confidence?.probability ?? null;
  const tone = probability === null ? "muted" : TONES[bandOf(probability)];
  const text = probability === null ? t("trust.uncalibrated") : inWords(probability);
  const meter = html`<span class="confidence-meter" aria-hidden="true"><i style=${{ width: `${(probability ?? 0) * 100}%` }}></i></span>`;
  const button = html`${probability === null ? html`<${Icon} name="help" size=${16} />` : meter}<span>${text}</span>`;
  return html`<${Popover} label=${probability === null ? text : t("trust.how_sure", { text })} button=${button} class=${`trust-chip ${tone}`} panelClass="trust-panel">
    ${() => html`<${Meaning} answer=${answer} probability=${probability} />`}
  <//>`;
}

/** @param {{answer: any, probability: number | null}} props */
function Meaning({ answer, probability }) {
  const known = calibratorOf(answer.confidence?.calibrator);
  const target = percent(calibrators.value?.target_error ?? 0);
  return html`<h3>${t("trust.sure_title")}</h3>
    ${probability === null
      ? html`<p>${t("trust.uncalibrated_means", { model: answer.model || t("trust.no_model") })}</p>`
      : html`<p>${t("trust.sure_means", { hundred: Math.round(probability * 100) })}</p>`}
    ${known &&
    html`<p>${t("trust.held", { n: number(known.n), points: number(Math.round(known.ece * 1000) / 10) })}</p>
      <p>
        ${known.threshold !== null
          ? t("trust.kept_from", { threshold: percent(known.threshold), target, coverage: percent(known.coverage ?? 0) })
          : `${t("trust.target_infeasible", { target })} `}
        ${known.threshold === null &&
        known.possible &&
        t("trust.possible", { target: percent(known.possible.target_error), coverage: percent(known.possible.coverage) })}
      </p>`}
    <${Signals} signals=${answer.confidence?.signals ?? {}} />
    ${answer.confidence?.calibrator && html`<p class="trust-fine">${t("trust.calibrator", { name: answer.confidence.calibrator })}</p>`}`;
}

/** @param {number} value a share */
const share = (value) => percent(value);
/** @param {number} value a natural logarithm */
const likely = (value) => percent(Math.exp(value));
/** @param {number} value */
const plain = (value) => number(Math.round(value * 100) / 100);

/** What can be said in words, in this order, and how its number is written; null: it is or it is not.
 * @type {[string, ((value: number) => string) | null][]} */
const SIGNALS = [
  ["abstains", null],
  ["cut_off", null],
  ["uncited", null],
  ["verbatim", null],
  ["mean_logprob", likely],
  ["min_logprob", likely],
  ["cited_coverage", share],
  ["quote_coverage", share],
  ["quote_lead", plain],
  ["echo", share],
];
const MOST = 5;

/** @param {{signals: Record<string, number>}} props */
function Signals({ signals }) {
  const told = SIGNALS.filter(([name, write]) => name in signals && (write || signals[name] > 0.5)).slice(0, MOST);
  if (!told.length) return null;
  return html`<h4>${t("trust.signals")}</h4>
    <ul class="trust-signals">
      ${told.map(
        ([name, write]) => html`<li key=${name}>
          <span>${t(`trust.signal_${name}`)}</span>
          ${write ? html`<b>${write(signals[name])}</b>` : html`<${Icon} name="check" size=${15} />`}
        </li>`,
      )}
    </ul>`;
}
