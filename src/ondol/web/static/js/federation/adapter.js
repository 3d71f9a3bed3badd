// @ts-check
// What came of it: the shared adapter, and what this device's own gate says of it.

import { html } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { style } from "../core/pages.js";
import { Badge } from "../parts/index.js";
import { Gate } from "../personal/gate.js";

// The gate's table looks as it does there.
await style("personal");

/** @param {{federation: import("./state.js").Federation}} props */
export function Adapter({ federation }) {
  const { adapter, verdict } = federation;
  if (!adapter && !verdict) return null;
  const isPassed = verdict?.activates ?? adapter !== null;
  return html`<section class="card stack" aria-labelledby="federation-adapter">
    <h2 id="federation-adapter">${t("federation.adapter")}</h2>
    <div class=${`notice ${isPassed ? "good" : "warn"}`}>
      <p><strong>${t(isPassed ? "federation.passed" : "federation.refused")}</strong></p>
      <p>${t(isPassed ? "federation.passed_about" : "federation.refused_about")}</p>
    </div>
    ${adapter && html`<p class="row"><code>${adapter}</code><${Badge} tone="good">${t("federation.in_use")}<//></p>`}
    <${Gate} verdict=${verdict} />
  </section>`;
}
