// @ts-check
// Hub: signed models, adapters and packs from people one trusts; installing, updating, going back.

import { html, useEffect, useSignal } from "../core/ui.js";
import { number, t } from "../core/i18n.js";
import { go, route } from "../core/router.js";
import { Button, Empty, Icon, PageHead, Tabs } from "../parts/index.js";
import { Browse } from "../hub/browse.js";
import { Details } from "../hub/details.js";
import { Here } from "../hub/here.js";
import { Adding, HubList } from "../hub/hubs.js";
import { Publishing } from "../hub/publishing.js";
import { Running } from "../hub/running.js";
import { check, hubs, installed, items, load, newer, packs } from "../hub/state.js";
import { whenOver } from "../hub/updates.js";

// What the words for sizes and languages of models need.
export const catalogues = ["hub", "models"];

const TABS = ["offered", "here", "hubs"];
/** How a hub is added in a terminal. */
const COMMAND = "ondol hub add https://… --fingerprint ONDOLHUB1-…";

export default function HubPage() {
  const opened = useSignal(/** @type {import("../hub/state.js").Item | null} */ (null));
  const dialog = useSignal(/** @type {"" | "adding" | "publishing"} */ (""));
  const isChecking = useSignal(false);
  const tab = TABS.find((one) => one === route.value.path[0]) ?? "offered";
  useEffect(() => {
    load();
    return whenOver(() => load());
  }, []);
  const ask = async () => {
    isChecking.value = true;
    await check();
    isChecking.value = false;
  };
  /** @param {"" | "adding" | "publishing"} which */
  const show = (which) => () => {
    dialog.value = which;
  };
  const all = hubs.value;
  const isNew = all?.length === 0 && installed.value?.length === 0 && packs.value.length === 0;
  /** @param {string} id @param {number | undefined} count */
  const text = (id, count) => (count ? t(`hub.tab_${id}_count`, { count: number(count) }) : t(`hub.tab_${id}`));
  const tabs = [
    { id: "offered", text: text("offered", items.value?.length) },
    { id: "here", text: text("here", installed.value?.length) },
    { id: "hubs", text: text("hubs", all?.length) },
  ];
  return html`<div class="page hub-page">
    <${PageHead} title=${t("hub.title")} about=${t("hub.about")}>
      ${all && all.length > 0 && html`<${Button} icon="refresh" busy=${isChecking.value} onClick=${ask}>${t("hub.check")}<//>`}
      <${Button} icon="upload" onClick=${show("publishing")}>${t("hub.publish")}<//>
      ${!isNew && html`<${Button} kind="primary" icon="add" onClick=${show("adding")}>${t("hub.add")}<//>`}
    <//>
    <div class="stack">
      <${Running} />
      ${isNew && html`<${Beginning} onAdd=${show("adding")} />`}
      ${all &&
      !isNew &&
      html`${newer.value.length > 0 &&
        tab !== "here" &&
        html`<p class="notice hub-newer">
          <span>${t("hub.newer_here", { names: newer.value.map((one) => `${one.name} ${one.version}`).join(", ") })}</span>
          <${Button} small onClick=${() => go("hub/here")}>${t("hub.look")}<//>
        </p>`}
        <${Tabs} label=${t("hub.title")} tabs=${tabs} current=${tab} onChange=${(/** @type {string} */ id) => go(id === "offered" ? "hub" : `hub/${id}`, { replace: true })} />
        <section class="tab-panel" role="tabpanel" aria-label=${tabs.find((one) => one.id === tab)?.text}>
          ${tab === "offered" &&
          html`<${Browse}
            onOpen=${(/** @type {any} */ item) => {
              opened.value = item;
            }}
          />`}
          ${tab === "here" && html`<${Here} />`}
          ${tab === "hubs" && html`<${HubList} />`}
        </section>`}
    </div>
    ${opened.value &&
    html`<${Details}
      item=${opened.value}
      onClose=${() => {
        opened.value = null;
      }}
    />`}
    ${dialog.value === "adding" && html`<${Adding} onClose=${show("")} />`}
    ${dialog.value === "publishing" && html`<${Publishing} onClose=${show("")} />`}
  </div>`;
}

/** No hub is looked at yet: what one would be, and how to begin. @param {{onAdd: () => void}} props */
function Beginning({ onAdd }) {
  return html`<${Empty} icon=${html`<${Icon} name="hub" size=${26} />`} title=${t("hub.nothing")}>
    <ol class="first-steps">
      <li><${Icon} name="key" size=${18} /><span>${t("hub.begin_signed")}</span></li>
      <li><${Icon} name="shield" size=${18} /><span>${t("hub.begin_scanned")}</span></li>
      <li><${Icon} name="back" size=${18} /><span>${t("hub.begin_back")}</span></li>
    </ol>
    <${Button} kind="primary" icon="add" onClick=${onAdd}>${t("hub.add")}<//>
    <p class="small-text"><code>${COMMAND}</code></p>
  <//>`;
}
