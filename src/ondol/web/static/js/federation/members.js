// @ts-check
// Who is in it, by pseudonyms, and the number that shows that home put nobody else in their place.

import { html } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { Badge, Copy } from "../parts/index.js";
import { Agreement } from "./agreement.js";
import { When } from "./standing.js";

/** @param {{federation: import("./state.js").Federation}} props */
export function Members({ federation }) {
  return html`<section class="card stack" aria-labelledby="federation-members">
    <h2 id="federation-members">${t("federation.members")}</h2>
    <ul class="federation-list">
      ${federation.members.map(
        (one) => html`<li key=${one.node}>
          <span class="row"><code class="pseudonym">${one.pseudonym}</code>${one.is_me && html`<${Badge} tone="accent">${t("federation.you")}<//>`}</span>
          <span class="muted small-text">${one.joined_at && html`<${When} at=${one.joined_at} />`}</span>
        </li>`,
      )}
    </ul>
    <div class="federation-safety">
      <h3>${t("federation.safety")}</h3>
      <p class="row federation-copied"><code>${federation.safety_number}</code><${Copy} text=${federation.safety_number} label=${t("federation.copy_safety")} /></p>
      <p class="muted small-text">${t("federation.safety_about")}</p>
    </div>
    <${Agreement} plan=${federation.plan} />
  </section>`;
}
