// @ts-check
// What can be done with an item here and now: install, update, or why not; and the question before
// adapters would stop fitting.

import { html, useSignal } from "../core/ui.js";
import { number, t } from "../core/i18n.js";
import { Button, Confirm, Icon } from "../parts/index.js";
import { install, offers } from "./state.js";
import { under } from "./updates.js";
import { titleOf } from "./words.js";

/** @param {{item: import("./state.js").Item, small?: boolean}} props */
export function Deed({ item, small = false }) {
  const isBusy = useSignal(false);
  const isAsking = useSignal(false);
  const going = under(item);
  const name = titleOf(item);
  if (going) {
    const share = going.total && going.step === "fetch" ? Math.floor((going.completed / going.total) * 100) : null;
    return html`<span class="have muted">${share === null ? t("hub.under_way") : `${number(share)} %`}</span>`;
  }
  const here = item.installed;
  if (here && !item.is_newer) return html`<span class="have"><${Icon} name="check" size=${18} />${t("hub.is_here", { version: here.version })}</span>`;
  if (here?.pin) return html`<span class="have muted"><${Icon} name="pin" size=${18} />${t("hub.pinned_at", { version: here.version })}</span>`;
  if (item.yanked) return html`<span class="have muted">${t("hub.withdrawn")}</span>`;
  const stale = offers.value.find((one) => one.publisher === item.publisher && one.item === item.item)?.stale ?? [];
  /** @param {boolean} allowed */
  const begin = async (allowed) => {
    isBusy.value = true;
    const channel = item.card.channel === "beta" ? "beta" : undefined;
    await install({ hub: item.hub, publisher: item.publisher, item: item.item, channel, allow_stale: allowed });
    isBusy.value = isAsking.value = false;
  };
  const act = () => {
    if (here && stale.length) isAsking.value = true;
    else begin(false);
  };
  return html`<span class="hub-deed">
    <${Button}
      small=${small}
      kind=${item.obstacle ? "plain" : "primary"}
      icon=${here ? "refresh" : "download"}
      busy=${isBusy.value}
      disabled=${Boolean(item.obstacle)}
      aria-label=${t(here ? "hub.update_name" : "hub.install_name", { name, version: item.version })}
      onClick=${act}
    >
      ${here ? t("hub.update_to", { version: item.version }) : t("hub.install")}
    <//>
    ${isAsking.value &&
    html`<${Stale}
      name=${name}
      stale=${stale}
      busy=${isBusy.value}
      onYes=${() => begin(true)}
      onNo=${() => {
        isAsking.value = false;
      }}
    />`}
  </span>`;
}

/** @param {{name: string, stale: string[], busy: boolean, onYes: () => void, onNo: () => void}} props */
export function Stale({ name, stale, busy, onYes, onNo }) {
  return html`<${Confirm} title=${t("hub.stale_ask", { name })} action=${t("hub.stale_yes")} busy=${busy} onConfirm=${onYes} onClose=${onNo}>
    <div class="stack">
      <p>${t("hub.stale_about")}</p>
      <ul class="hub-names">${stale.map((one) => html`<li key=${one}><code>${one}</code></li>`)}</ul>
      <p class="muted">${t("hub.stale_back")}</p>
    </div>
  <//>`;
}
