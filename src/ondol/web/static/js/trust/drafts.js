// @ts-check
// The draft that this device gave at once, and home's answer that took its place: both are kept, and
// one or the other is shown. The answer's own words stand on the page already; here they are hidden
// while the draft is looked at.

import { html, useEffect, useRef, useSignal } from "../core/ui.js";
import { percent, t } from "../core/i18n.js";
import { Prose } from "../chat/prose.js";
import { Choice, Icon } from "../parts/index.js";
import { wantCalibrators } from "./calibrators.js";
import { againstTarget } from "./confidence.js";
import { answerOf, draftOf, escalationOf } from "./reading.js";

/** @typedef {import("./reading.js").Told} Told */

/** @param {Told} told */
export function DraftThenBetter(told) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const shown = useSignal("better");
  const answer = answerOf(told);
  const draft = draftOf(told);
  const asking = answer ? null : escalationOf(told);
  const isDraft = Boolean(answer) && shown.value === "draft";
  useEffect(wantCalibrators, []);
  useEffect(() => {
    const whole = /** @type {HTMLElement | null | undefined} */ (place.current?.closest(".answer"));
    if (!whole) return undefined;
    whole.dataset.shown = isDraft ? "draft" : "better";
    return () => {
      delete whole.dataset.shown;
    };
  }, [isDraft, Boolean(draft || asking)]);
  if (!draft && !asking) return null;
  if (asking) return html`<div ref=${place} class="draft asking"><${Asking} asking=${asking} draft=${draft} /></div>`;
  const options = [
    { value: "better", text: t("trust.from_home") },
    { value: "draft", text: t("trust.from_here") },
  ];
  return html`<div ref=${place} class="draft">
    <${Choice} label=${t("trust.which")} value=${shown.value} options=${options} onChange=${(/** @type {string} */ value) => {
      shown.value = value;
    }} />
    ${isDraft && html`<${Words} draft=${draft} />`}
  </div>`;
}

/** @param {{asking: any, draft: any}} props */
function Asking({ asking, draft }) {
  const probability = draft?.confidence?.probability ?? null;
  const why = againstTarget(draft?.confidence);
  return html`<p class="draft-head" role="status">
      <span class="spinner" aria-hidden="true"></span>
      <span>
        ${probability === null || why ? null : `${t("trust.unsure", { percent: percent(probability) })} `}
        ${why && `${why} `}${t("trust.asking", { home: asking.home })}
      </span>
    </p>
    ${draft && html`<${Words} draft=${draft} />`}`;
}

/** @param {{draft: any}} props */
function Words({ draft }) {
  const probability = draft.confidence?.probability ?? null;
  return html`<div class="draft-words">
    <p class="draft-label">
      <${Icon} name="laptop" size=${15} />
      ${probability === null ? t("trust.draft") : t("trust.draft_sure", { percent: percent(probability) })}
    </p>
    <${Prose} text=${draft.answer} />
  </div>`;
}
