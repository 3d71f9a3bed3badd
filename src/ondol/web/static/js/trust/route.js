// @ts-check
// Who answered and why, how long it took, and what it cost; all of it in one line, the rest behind it.

import { html, useEffect, useSignal } from "../core/ui.js";
import { get } from "../core/api.js";
import { bytes, number, percent, seconds, t } from "../core/i18n.js";
import { href } from "../core/router.js";
import { Icon, Popover } from "../parts/index.js";
import { wantCalibrators } from "./calibrators.js";
import { againstTarget } from "./confidence.js";
import { answerOf, isOfLabel } from "./reading.js";
import { noteAnswer } from "./strip.js";

/** @typedef {import("./reading.js").Told} Told */

/** @type {Record<string, string>} */
const ICONS = { local: "laptop", home: "home", abstain: "help" };
/** What is told in the line itself, the first that holds. */
const TELLING = [
  "not_in_ledger", "home_knew_no_better", "home_failed", "not_in_evidence", "no_evidence", "too_unsure", "listing",
  "model_language", "model_said_nothing", "open_request", "history_folded",
];
/** Why home was not asked, where it was wanted. */
const NOT_ASKED = ["private", "tools", "images", "no_home", "home_unavailable", "home_context_too_short"];

const HANGUL = /[\uac00-\ud7a3]/;

/** A reason in words. @param {string} code */
export function reason(code) {
  const [name, ...rest] = code.split(":");
  const key = `trust.reason_${name}`;
  const text = t(key, { detail: rest.join(":") });
  return text === key ? code : text;
}

/** Joules as people read them. @param {number} joules */
export const energy = (joules) => (joules >= 3600 ? `${number(Math.round(joules / 36) / 100)} Wh` : `${number(Math.round(joules * 10) / 10)} J`);

/** Won, with as many digits as it needs to be more than nothing. @param {number} amount */
export function won(amount) {
  const text = !amount || amount >= 1 ? number(Math.round(amount * 100) / 100) : amount < 0.0001 ? "< 0.0001" : amount.toPrecision(2);
  return t("trust.won", { amount: text });
}

/** In less nothing can be measured. */
const LEAST_SECONDS = 0.05;

/** Tokens a second while the answer was being said; null where it cannot be told. @param {any} answer */
function rate({ seconds: took, usage }) {
  const span = (took?.total ?? 0) - (took?.first_token ?? 0);
  return took?.first_token !== null && span > LEAST_SECONDS && usage?.completion_tokens > 1 ? (usage.completion_tokens - 1) / span : null;
}

/** @param {Told} told */
export function RouteLine(told) {
  const answer = answerOf(told);
  useEffect(() => {
    wantCalibrators();
    noteAnswer(answer?.ledger_id);
  }, [answer?.ledger_id]);
  if (!answer) return null;
  const speed = rate(answer);
  const joules = answer.cost?.energy_joules ?? null;
  const line = [
    t(`trust.route_${answer.route}`),
    answer.seconds && seconds(answer.seconds.total),
    speed !== null && t("trust.rate", { rate: number(speed < 10 ? Math.round(speed * 10) / 10 : Math.round(speed)) }),
    joules !== null && t(`trust.energy_${answer.cost.energy_source}`, { energy: energy(joules) }),
  ].filter(Boolean);
  const first = TELLING.find((code) => answer.reasons.includes(code));
  const button = html`<${Icon} name=${ICONS[answer.route] ?? "laptop"} size=${16} /><span>${line.join(" · ")}</span>`;
  return html`<${Popover} label=${t("trust.why_route", { text: line.join(", ") })} button=${button} class="trust-chip" panelClass="trust-panel">
      ${() => html`<${Why} answer=${answer} speed=${speed} />`}
    <//>
    ${first &&
    html`<p class=${`route-told${first === "not_in_ledger" ? " warn" : ""}`}>
      ${reason(first)}
      ${first === "model_language" && html` <a href=${href(HANGUL.test(answer.answer) ? "models/get/korean" : "models/get")}>${t("trust.get_a_model")}</a>`}
    </p>`}`;
}

/** @param {{answer: any, speed: number | null}} props */
function Why({ answer, speed }) {
  const entry = useSignal(/** @type {any} */ (null));
  useEffect(() => {
    if (!answer.ledger_id) return;
    get(`/ondol/v1/ledger/${encodeURIComponent(answer.ledger_id)}`).then(
      (told) => {
        entry.value = told;
      },
      () => {},
    );
  }, [answer.ledger_id]);
  const own = answer.draft?.confidence ?? answer.confidence;
  const left = (entry.value?.passages ?? []).filter((/** @type {any} */ one) => one.kind === "egress");
  const out = left.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + (one.bytes_out ?? 0), 0);
  return html`<h3>${t(`trust.route_${answer.route}`)}</h3>
    <ul class="trust-reasons">
      ${answer.reasons.filter((/** @type {string} */ code) => !isOfLabel(code)).map(
        (/** @type {string} */ code) => html`<li key=${code}>${(code === "unsure" && threshold(entry.value, own)) || reason(code)}</li>`,
      )}
    </ul>
    ${answer.reasons.includes("asked_home") &&
    answer.route !== "home" &&
    NOT_ASKED.some((code) => answer.reasons.includes(code)) &&
    html`<p>${t("trust.home_not_asked")}</p>`}
    ${answer.sensitivity &&
    html`<p>${t(`trust.label_${answer.sensitivity}`)}
      ${answer.reasons.filter(isOfLabel).map((/** @type {string} */ code) => ` ${reason(code)}`)}</p>`}
    ${entry.value && html`<p>${out ? t("trust.left", { bytes: bytes(out), places: [...new Set(left.map((/** @type {any} */ one) => one.destination))].join(", ") }) : t("trust.nothing_left")}</p>`}
    <${Numbers} answer=${answer} speed=${speed} />
    ${answer.ledger_id
      ? html`<a class="trust-link" href=${href(`ledger/${answer.ledger_id}`)}>${t("trust.in_ledger")}<${Icon} name="next" size=${14} /></a>`
      : html`<p>${t("trust.reason_not_in_ledger")}</p>`}`;
}

/** Why an answer was not kept: the number it had and the one it needed. @param {any} entry @param {any} confidence */
function threshold(entry, confidence) {
  const least = entry?.entry.threshold ?? null;
  const probability = confidence?.probability ?? null;
  if (least !== null && probability !== null && probability < least) {
    return t("trust.under", { percent: percent(probability), threshold: percent(least) });
  }
  return againstTarget(confidence);
}

/** @param {{answer: any, speed: number | null}} props */
function Numbers({ answer, speed }) {
  const { seconds: took, usage, cost, model } = answer;
  const rows = [
    [t("trust.model"), model || t("trust.no_model")],
    took && [t("trust.time"), seconds(took.total)],
    took?.first_token !== null && took && [t("trust.first_token"), seconds(took.first_token)],
    usage && [t("trust.tokens"), t("trust.tokens_both", { read: number(usage.prompt_tokens), written: number(usage.completion_tokens) })],
    speed !== null && [t("trust.speed"), t("trust.rate", { rate: number(Math.round(speed * 10) / 10) })],
    cost && [
      t("trust.energy"),
      cost.energy_joules === null ? t("trust.energy_unknown") : t(`trust.energy_${cost.energy_source}`, { energy: energy(cost.energy_joules) }),
    ],
    cost && [t("trust.cost_here"), won(cost.here_krw)],
    cost?.cloud_krw !== null && cost && [t("trust.cost_cloud"), won(cost.cloud_krw)],
  ].filter(Boolean);
  return html`<dl class="trust-numbers">
    ${rows.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}
