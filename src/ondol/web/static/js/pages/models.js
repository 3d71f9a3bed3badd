// @ts-check
// Models: what is here, what fits this machine, what is on its way, and what is in memory.

import { html, useEffect, useSignal } from "../core/ui.js";
import { language, number, t } from "../core/i18n.js";
import { go, route } from "../core/router.js";
import { Button, Empty, Icon, PageHead, Tabs } from "../parts/index.js";
import { ByName } from "../models/by_name.js";
import { Catalog } from "../models/catalog.js";
import { Details } from "../models/details.js";
import { Installed } from "../models/installed.js";
import { MachineCard } from "../models/machine.js";
import { PullCards } from "../models/pull_cards.js";
import { look, whenDone } from "../models/pulls.js";
import { lookAtMachine, models, reload, reloadCatalog } from "../models/shelf.js";

export const catalogues = ["models", "tuning"];

const LOOK_MS = 4000;

export default function Models() {
  const detailed = useSignal(/** @type {any} */ (null));
  const isNaming = useSignal(false);
  const tab = route.value.path[0] === "get" ? "get" : "here";

  useEffect(() => {
    reload();
    look();
    lookAtMachine();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") lookAtMachine();
    }, LOOK_MS);
    const stop = whenDone(() => Promise.all([reload(), lookAtMachine()]));
    return () => {
      clearInterval(timer);
      stop();
    };
  }, []);
  useEffect(() => {
    reloadCatalog();
  }, [language.value]);

  const count = models.value?.length;
  const tabs = [
    { id: "here", text: count === undefined ? t("models.here") : t("models.here_count", { count: number(count) }) },
    { id: "get", text: t("models.get_more") },
  ];
  return html`<div class="page models">
    <${PageHead} title=${t("models.title")} about=${t("models.about")}>
      <${Button}
        icon="download"
        onClick=${() => {
          isNaming.value = true;
        }}
      >${t("models.by_name")}<//>
    <//>
    <${MachineCard} />
    <${PullCards} />
    <${Tabs} label=${t("models.title")} tabs=${tabs} current=${tab} onChange=${(/** @type {string} */ id) => go(id === "get" ? "models/get" : "models", { replace: true })} />
    <section class="tab-panel" role="tabpanel" aria-label=${tabs.find((one) => one.id === tab)?.text}>
      ${tab === "get" && html`<${Catalog} />`}
      ${tab === "here" &&
      models.value &&
      (models.value.length
        ? html`<${Installed}
            onDetails=${(/** @type {any} */ model) => {
              detailed.value = model;
            }}
          />`
        : html`<${Empty} icon=${html`<${Icon} name="cube" size=${26} />`} title=${t("models.nothing")}>
            <p>${t("models.nothing_about")}</p>
            <${Button} kind="primary" onClick=${() => go("models/get")}>${t("models.get_more")}<//>
          <//>`)}
    </section>
    ${detailed.value &&
    html`<${Details}
      model=${detailed.value}
      onClose=${() => {
        detailed.value = null;
      }}
    />`}
    ${isNaming.value &&
    html`<${ByName}
      onClose=${() => {
        isNaming.value = false;
      }}
    />`}
  </div>`;
}
