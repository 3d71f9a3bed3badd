// @ts-check
// Federation: learning together without showing. Each federation that this device belongs to, how it
// goes and what it costs; joining one with a code.

import { Fragment, html, useEffect } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { Empty, Icon, PageHead, Tabs } from "../parts/index.js";
import { Adapter } from "../federation/adapter.js";
import { Home } from "../federation/home.js";
import { Joining } from "../federation/joining.js";
import { Members } from "../federation/members.js";
import { Rounds } from "../federation/rounds.js";
import { Standing } from "../federation/standing.js";
import { Teaching } from "../federation/teaching.js";
import { atHome, chosen, coordinated, current, federations, homeTab, load, look } from "../federation/state.js";

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
  const home = atHome.value;
  const tabs = [...(all ?? []).map(({ id, name }) => ({ id, text: name })), ...coordinated.value.map((each) => ({ id: homeTab(each), text: t("federation.home_tab", { name: each.name }) }))];
  return html`<div class="page federation-page">
    <${PageHead} title=${t("federation.title")} about=${t("federation.about")} />
    ${all && tabs.length === 0 && html`<${Beginning} />`}
    ${(home || one) &&
    html`<div class="stack">
      ${tabs.length > 1 &&
      html`<${Tabs}
        label=${t("federation.which")}
        tabs=${tabs}
        current=${home ? homeTab(home) : one?.id}
        onChange=${(/** @type {string} */ id) => {
          chosen.value = id;
        }}
      />`}
      ${home ? html`<${Home} key=${home.id} federation=${home} />` : one && html`<${Member} key=${one.id} federation=${one} />`}
      <section class="card stack" aria-labelledby="federation-another">
        <h2 id="federation-another">${t(all?.length ? "federation.another" : "federation.home_another")}</h2>
        <${Joining} />
      </section>
    </div>`}
  </div>`;
}

/** One that this device belongs to. @param {{federation: import("../federation/state.js").Federation}} props */
function Member({ federation }) {
  return html`<${Fragment}>
    <${Standing} federation=${federation} />
    <${Rounds} federation=${federation} />
    <${Adapter} federation=${federation} />
    <${Teaching} federation=${federation} />
    <${Members} federation=${federation} />
  <//>`;
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
