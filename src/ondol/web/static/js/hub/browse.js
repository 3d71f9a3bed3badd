// @ts-check
// What the hubs offer: by kind and by words, a card an item.

import { html, useSignal } from "../core/ui.js";
import { t } from "../core/i18n.js";
import { Badge, Choice, Icon } from "../parts/index.js";
import { Deed } from "./deed.js";
import { hubs, items } from "./state.js";
import { figures, ICONS, released, titleOf } from "./words.js";

/** @typedef {import("./state.js").Item} Item */

const KINDS = ["", "model", "adapter", "pack"];

/** @param {{onOpen: (item: Item) => void}} props */
export function Browse({ onOpen }) {
  const kind = useSignal("");
  const words = useSignal("");
  const all = items.value ?? [];
  const found = all.filter((one) => (!kind.value || one.card.kind === kind.value) && words.value.toLowerCase().split(/\s+/).every((word) => textOf(one).includes(word)));
  return html`<div class="stack">
    <div class="hub-toolbar">
      <div class="hub-search">
        <${Icon} name="search" size=${18} />
        <input
          type="search"
          aria-label=${t("hub.search")}
          placeholder=${t("hub.search")}
          value=${words.value}
          onInput=${(/** @type {any} */ event) => {
            words.value = event.currentTarget.value.trim();
          }}
        />
      </div>
      <${Choice}
        label=${t("hub.kind")}
        value=${kind.value}
        options=${KINDS.map((value) => ({ value, text: t(`hub.kinds_${value || "all"}`) }))}
        onChange=${(/** @type {string} */ value) => {
          kind.value = value;
        }}
      />
    </div>
    <ul class="hub-items">
      ${found.map((one) => html`<${Entry} key=${`${one.hub}/${one.publisher}/${one.item}`} item=${one} onOpen=${onOpen} />`)}
    </ul>
    ${items.value && !found.length && html`<p class="muted none">${t(all.length ? "hub.none_found" : "hub.none_offered")}</p>`}
  </div>`;
}

/** @param {Item} one */
const textOf = ({ publisher, item, card }) =>
  [publisher, item, card.name, card.title, card.description, card.base_model, card.architecture, card.licence, ...(card.languages ?? [])].join(" ").toLowerCase();

/** @param {{item: Item, onOpen: (item: Item) => void}} props */
function Entry({ item, onOpen }) {
  const { card, publisher, version } = item;
  const manyHubs = (hubs.value?.length ?? 0) > 1;
  return html`<li class="card hub-item">
    <div class="hub-item-head">
      <span class="hub-icon"><${Icon} name=${ICONS[card.kind]} /></span>
      <div class="hub-item-text">
        <h2><button type="button" class="plain-link" onClick=${() => onOpen(item)}>${titleOf(item)}</button></h2>
        <p class="muted small-text">
          ${[t("hub.by", { publisher }), manyHubs ? item.hub : "", t("hub.version_of", { version }), released(card, { short: true })].filter(Boolean).join(" · ")}
        </p>
      </div>
    </div>
    ${card.description && html`<p class="hub-about">${card.description}</p>`}
    <p class="hub-badges">
      <${Badge}>${t(`hub.kind_${card.kind}`)}<//>
      ${card.channel === "beta" && html`<${Badge} tone="warn">${t("hub.beta")}<//>`}
      <${Scanned} scan=${card.scan} />
      ${Object.keys(card.evaluation ?? {}).length > 0 && html`<${Badge} tone="good">${t("hub.measured")}<//>`}
    </p>
    <p class="muted small-text">${figures(item).join(" · ")}</p>
    ${item.obstacle && html`<p class="small-text hub-obstacle"><${Icon} name="alert" size=${15} />${item.obstacle}</p>`}
    <div class="hub-item-foot"><${Deed} item=${item} /></div>
  </li>`;
}

/** What the scanner said when it was published; it is scanned again here. @param {{scan: any}} props */
export function Scanned({ scan }) {
  if (!scan || !("ok" in scan)) return html`<${Badge}>${t("hub.not_scanned")}<//>`;
  return scan.ok ? html`<${Badge} tone="good"><${Icon} name="shield" size=${13} />${t("hub.scanned")}<//>` : html`<${Badge} tone="bad">${t("hub.scan_found")}<//>`;
}
