// @ts-check
// Personal: what Ondol may learn from its owner, the one button, how it goes, and what came of it.

import { html, useEffect } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { lazy } from "../core/lazy.js";
import { href } from "../core/router.js";
import { Empty, Icon, PageHead } from "../parts/index.js";
import { Made, Past } from "../personal/adapters.js";
import { Bringing } from "../personal/bringing.js";
import { Comparison } from "../personal/comparison.js";
import { Consent, Learning } from "../personal/learning.js";
import { latest, load, look, overview, receipt } from "../personal/state.js";
import { TrainingCard } from "../personal/training.js";

const Learned = lazy(() => import("../personal/receipt.js"), "Learned");

const LOOK_MS = 1500;

export default function Personal() {
  useEffect(() => {
    load();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") look();
    }, LOOK_MS);
    return () => clearInterval(timer);
  }, []);
  const found = overview.value;
  const isEmpty = found && !found.sources.length && !found.trainings.length && !found.adapters.length;
  return html`<div class="page personal-page">
    <${PageHead} title=${t("personal.title")} about=${t("personal.about")} />
    ${isEmpty && html`<${Beginning} found=${found} />`}
    ${found &&
    !isEmpty &&
    html`<div class="stack">
      <${TrainingCard} found=${found} training=${latest.value} />
      <${Learning} found=${found} />
      <${Comparison} adapters=${found.adapters} prompts=${found.prompts} />
      <${Made} model=${found.model} adapters=${found.adapters} />
      <${Past} trainings=${found.trainings.slice(1)} />
    </div>`}
    ${receipt.value &&
    html`<${Learned}
      title=${t("personal.source_erased")}
      of="source"
      receipt=${receipt.value}
      onClose=${() => {
        receipt.value = null;
      }}
    />`}
  </div>`;
}

/** Nothing is here yet: how to begin. @param {{found: import("../personal/state.js").Overview}} props */
function Beginning({ found }) {
  return html`<${Empty} icon=${html`<${Icon} name="person" size=${26} />`} title=${t("personal.nothing")}>
      <ol class="first-steps">
        <li><${Icon} name="thumb_up" size=${18} /><span>${t("personal.begin_thumbs")}</span></li>
        <li><${Icon} name="edit" size=${18} /><span>${t("personal.begin_edits")}</span></li>
        <li><${Icon} name="flame" size=${18} /><span>${t("personal.begin_train")}</span></li>
      </ol>
      ${found.feedback.answers > 0 ? html`<${Consent} found=${found} />` : html`<p><a class="button primary" href=${href("chat")}>${t("personal.to_chat")}</a></p>`}
      <${Bringing} />
    <//>`;
}
