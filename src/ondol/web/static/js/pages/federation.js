// @ts-check
// Federation: learning together without showing. Each federation that this device belongs to, how it
// goes and what it costs; joining one with a code.

import { html, useEffect } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { Empty, Icon, PageHead, Tabs } from "../parts/index.js";
import { Adapter } from "../federation/adapter.js";
import { Joining } from "../federation/joining.js";
import { Members } from "../federation/members.js";
import { Rounds } from "../federation/rounds.js";
import { Standing } from "../federation/standing.js";
import { Teaching } from "../federation/teaching.js";
import { chosen, current, federations, load, look } from "../federation/state.js";

// The gate's table is the one of Personal.
export const catalogues = ["federation", "personal"];

const LOOK_MS = 5000;
/** How a federation begins, on the machine that is to be its home. */
const START = "ondol home federation create NAME";

export default function FederationPage() {
  useEffect(() => {
    load();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") look();
    }, LOOK_MS);
    return () => clearInterval(timer);
  }, []);
  const all = federations.value;
  const one = current.value;
  return html`<div class="page federation-page">
    <${PageHead} title=${t("federation.title")} about=${t("federation.about")} />
    ${all?.length === 0 && html`<${Beginning} />`}
    ${all &&
    one &&
    html`<div class="stack">
      ${all.length > 1 &&
      html`<${Tabs}
        label=${t("federation.which")}
        tabs=${all.map(({ id, name }) => ({ id, text: name }))}
        current=${one.id}
        onChange=${(/** @type {string} */ id) => {
          chosen.value = id;
        }}
      />`}
      <${Standing} key=${`standing-${one.id}`} federation=${one} />
      <${Rounds} key=${`rounds-${one.id}`} federation=${one} />
      <${Adapter} federation=${one} />
      <${Teaching} key=${`teaching-${one.id}`} federation=${one} />
      <${Members} federation=${one} />
      <section class="card stack" aria-labelledby="federation-another">
        <h2 id="federation-another">${t("federation.another")}</h2>
        <${Joining} />
      </section>
    </div>`}
  </div>`;
}

/** None is joined yet: what it would be, and how to begin. */
function Beginning() {
  return html`<${Empty} icon=${html`<${Icon} name="people" size=${26} />`} title=${t("federation.nothing")}>
    <ol class="first-steps">
      <li><${Icon} name="lock" size=${18} /><span>${t("federation.begin_stays")}</span></li>
      <li><${Icon} name="people" size=${18} /><span>${t("federation.begin_sum")}</span></li>
      <li><${Icon} name="check" size=${18} /><span>${t("federation.begin_gate")}</span></li>
    </ol>
    <${Joining} />
    <p class="small-text">${t("federation.begin_home")} <code>${START}</code></p>
  <//>`;
}
