// @ts-check
// What can be pulled: best for this machine first, and for each whether it fits and why.

import { html, useSignal } from "../core/ui.js";
import { bytes, t } from "../core/i18n.js";
import { route } from "../core/router.js";
import { complain } from "../core/state.js";
import { Badge, Button, Choice, Icon, Select, Switch } from "../parts/index.js";
import { isActive, pulls, start } from "./pulls.js";
import { catalog, models } from "./shelf.js";
import { context, languages, parameters } from "./words.js";

const TOPICS = ["", "chat", "korean", "code", "reasoning", "long documents"];
const FITS = /** @type {const} */ ({ gpu: "good", ram: "good", no: "bad" });

export function Catalog() {
  const kind = useSignal("chat");
  const topic = useSignal(TOPICS.find((one) => one === route.value.path[1]) ?? "");
  const words = useSignal("");
  const showsAll = useSignal(false);
  const all = catalog.value ?? [];
  const found = all.filter(
    (one) =>
      one.kind === kind.value &&
      (!topic.value || kind.value !== "chat" || one.good_for.includes(topic.value)) &&
      (showsAll.value || one.fits !== "no") &&
      words.value
        .toLowerCase()
        .split(/\s+/)
        .every((word) => `${one.name} ${one.licence} ${one.family}`.toLowerCase().includes(word)),
  );
  const kinds = [...new Set(all.map((one) => one.kind))];
  return html`<div class="catalog">
    <div class="toolbar">
      <div class="search-box">
        <${Icon} name="search" size=${18} />
        <input
          type="search"
          aria-label=${t("models.search")}
          placeholder=${t("models.search")}
          value=${words.value}
          onInput=${(/** @type {any} */ event) => {
            words.value = event.currentTarget.value.trim();
          }}
        />
      </div>
      <${Select}
        label=${t("models.column_kind")}
        value=${kind.value}
        options=${kinds.map((value) => ({ value, text: t(`models.kind_${value}`) }))}
        onChange=${(/** @type {string} */ value) => {
          kind.value = value;
        }}
      />
      <${Switch}
        label=${t("models.show_unfit")}
        checked=${showsAll.value}
        onChange=${(/** @type {boolean} */ value) => {
          showsAll.value = value;
        }}
      />
    </div>
    ${kind.value === "chat" &&
    html`<${Choice}
      label=${t("models.topic")}
      value=${topic.value}
      options=${TOPICS.map((value) => ({ value, text: t(`models.topic_${(value || "all").replace(" ", "_")}`) }))}
      onChange=${(/** @type {string} */ value) => {
        topic.value = value;
      }}
    />`}
    <ul class="entries">
      ${found.map((one, index) => html`<${Entry} key=${one.name} entry=${one} isBest=${index === 0 && one.fits !== "no" && !words.value} />`)}
    </ul>
    ${catalog.value && !found.length && html`<p class="muted none">${t("models.none_found")}</p>`}
  </div>`;
}

/** @param {{entry: import("./shelf.js").Entry, isBest: boolean}} props */
function Entry({ entry, isBest }) {
  const facts = [parameters(entry.parameters), entry.quantization, bytes(entry.size_bytes), context(entry.context_length)];
  return html`<li class=${`entry fits-${entry.fits}`}>
    <div class="entry-text">
      <h3>
        ${entry.name}
        <${Badge} tone=${FITS[entry.fits]}>${t(`models.fits_${entry.fits}`)}<//>
        ${isBest && html`<${Badge} tone="accent"><${Icon} name="flame" size=${13} />${t("models.best")}<//>`}
      </h3>
      <p class="muted small-text">${facts.filter(Boolean).join(" · ")}</p>
      <p class="why">${entry.why}</p>
      <p class="muted small-text">${[languages(entry.languages), entry.licence].filter(Boolean).join(" · ")}</p>
      ${entry.note && html`<p class="small-text note"><${Icon} name="alert" size=${14} />${entry.note}</p>`}
    </div>
    <${Get} entry=${entry} />
  </li>`;
}

/** @param {{entry: import("./shelf.js").Entry}} props */
function Get({ entry }) {
  const isBusy = useSignal(false);
  const pull = pulls.value.find((one) => one.model === entry.name && one.state !== "done");
  if (models.value?.some((one) => one.name === entry.name)) {
    return html`<span class="have"><${Icon} name="check" size=${18} />${t("models.have")}</span>`;
  }
  if (pull) {
    const share = pull.total_bytes ? Math.floor((pull.completed_bytes / pull.total_bytes) * 100) : 0;
    return html`<span class="have muted">${isActive(pull) ? `${share} %` : t("models.paused")}</span>`;
  }
  const get = async () => {
    isBusy.value = true;
    try {
      await start(entry.name);
    } catch (error) {
      complain(error);
    }
    isBusy.value = false;
  };
  return html`<${Button} icon="download" busy=${isBusy.value} kind=${entry.fits === "no" ? "plain" : "primary"} aria-label=${t("models.get_name", { name: entry.name })} onClick=${get}>
    ${t("models.get")}
  <//>`;
}
