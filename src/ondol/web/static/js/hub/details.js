// @ts-check
// One item: what its publisher says of it and signed, what was measured, and every release of it.

import { html, useEffect, useSignal } from "../core/ui.js";
import { bytes, number, t } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { Badge, Button, Copy, Drawer } from "../parts/index.js";
import { context, parameters } from "../models/words.js";
import { Scanned } from "./browse.js";
import { Canary } from "./canary.js";
import { Deed } from "./deed.js";
import { Evaluation } from "./evaluation.js";
import { details, install, items } from "./state.js";
import { under } from "./updates.js";
import { plainName, released, short, spoken, titleOf } from "./words.js";

/** @typedef {import("./state.js").Item} Item */
/** @typedef {import("./state.js").Release} Release */

/** @param {{item: Item, onClose: () => void}} props */
export function Details({ item, onClose }) {
  const whole = useSignal(/** @type {import("./state.js").Details | null} */ (null));
  // As it stands now: it may have been installed since the drawer was opened.
  const now = items.value?.find((one) => one.hub === item.hub && one.publisher === item.publisher && one.item === item.item) ?? item;
  useEffect(() => {
    details(item).then((told) => {
      whole.value = told;
    }, complain);
  }, [items.value]);
  const { card } = now;
  return html`<${Drawer} title=${titleOf(now)} onClose=${onClose}>
    <div class="stack">
      <p class="hub-badges">
        <${Badge}>${t(`hub.kind_${card.kind}`)}<//>
        ${card.channel === "beta" && html`<${Badge} tone="warn">${t("hub.beta")}<//>`}
        <${Scanned} scan=${card.scan} />
      </p>
      ${card.description && html`<p class="hub-words">${card.description}</p>`}
      ${now.yanked && html`<p class="notice warn">${t("hub.yanked", { reason: now.yanked })}</p>`}
      ${now.obstacle && html`<p class="notice warn">${now.obstacle}</p>`}
      <div><${Deed} item=${now} /></div>
      <${Facts} item=${now} />
      <h3>${t("hub.evaluation")}</h3>
      <p class="muted small-text">${t("hub.evaluation_about")}</p>
      <${Evaluation} evaluation=${card.evaluation} />
      <${Canary} canary=${card.evaluation?.canary} />
      <${Scan} scan=${card.scan} />
      <${Training} card=${card} />
      <${Publisher} item=${now} keys=${whole.value?.keys ?? []} />
      ${whole.value && html`<${Releases} item=${now} releases=${whole.value.releases} />`}
      <${Files} release=${now} />
    </div>
  <//>`;
}

/** @param {{item: Item}} props */
function Facts({ item }) {
  const { card } = item;
  /** @type {[string, string][]} */
  const facts = [
    [t("hub.version"), item.version],
    [t("hub.released"), released(card)],
    [t("hub.licence"), card.licence || t("hub.not_said")],
    [t("hub.languages"), spoken(card)],
    [t("hub.base"), card.base_model ?? ""],
    [t("hub.architecture"), card.architecture ?? ""],
    [t("hub.parameters"), parameters(card.parameters ?? null)],
    [t("hub.quantization"), card.quantization ?? ""],
    [t("hub.context"), context(card.context_length ?? null)],
    [t("hub.rank"), card.r ? number(card.r) : ""],
    [t("hub.epsilon"), card.epsilon ? number(card.epsilon) : ""],
    [t("hub.size"), bytes(item.size_bytes)],
    [t("hub.called_here"), item.installed?.name ?? card.name],
    [t("hub.source"), card.source ?? ""],
    [t("hub.min_ondol"), card.min_ondol ?? ""],
  ];
  return html`<dl class="facts">${facts.filter(([, value]) => value).map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

/** @param {{scan: any}} props */
function Scan({ scan }) {
  /** @type {{file: string, message: string}[]} */
  const findings = (Array.isArray(scan?.findings) ? scan.findings : []).filter(Boolean).map((/** @type {any} */ { file, message }) => ({ file: String(file), message: String(message) }));
  return html`<div class="stack">
    <h3>${t("hub.scan")}</h3>
    <p class=${findings.length ? "notice bad" : "muted small-text"}>
      ${t(!scan || !("ok" in scan) ? "hub.scan_none" : scan.ok ? "hub.scan_ok" : "hub.scan_bad")}
    </p>
    ${findings.length > 0 && html`<ul class="hub-names">${findings.map((one, index) => html`<li key=${index}><code>${one.file}</code> ${one.message}</li>`)}</ul>`}
  </div>`;
}

/** @param {{card: import("./state.js").Card}} props */
function Training({ card }) {
  const said = Object.entries(card.training ?? {}).filter(([, value]) => ["string", "number"].includes(typeof value));
  if (!said.length) return null;
  return html`<div class="stack">
    <h3>${t("hub.training")}</h3>
    <dl class="facts">
      ${said.map(([name, value]) => html`<dt key=${name}>${plainName(name)}</dt><dd>${typeof value === "number" ? number(value) : value}</dd>`)}
    </dl>
  </div>`;
}

/** @param {{item: Item, keys: string[]}} props */
function Publisher({ item, keys }) {
  return html`<div class="stack">
    <h3>${t("hub.publisher")}</h3>
    <p>${t("hub.publisher_about", { publisher: item.publisher, hub: item.hub })}</p>
    ${keys.map(
      (one) => html`<div key=${one} class="hub-code">
        <code>${one}</code><${Copy} text=${one} label=${t("hub.copy_key")} />
      </div>`,
    )}
  </div>`;
}

/** @param {{item: Item, releases: Release[]}} props */
function Releases({ item, releases }) {
  const isBusy = useSignal("");
  const here = item.installed?.version;
  /** @param {Release} one */
  const take = async (one) => {
    isBusy.value = one.version;
    await install({ hub: item.hub, publisher: item.publisher, item: item.item, version: one.version, channel: one.card.channel });
    isBusy.value = "";
  };
  return html`<div class="stack">
    <h3>${t("hub.releases")}</h3>
    <ul class="hub-list">
      ${releases.map(
        (one) => html`<li key=${one.version}>
          <div class="hub-line">
            <span class="row">
              <strong>${one.version}</strong>
              ${one.card.channel === "beta" && html`<${Badge} tone="warn">${t("hub.beta")}<//>`}
              ${one.yanked && html`<${Badge} tone="bad" title=${one.yanked}>${t("hub.withdrawn")}<//>`}
              ${one.version === here && html`<${Badge} tone="good">${t("hub.here_badge")}<//>`}
            </span>
            <span class="muted small-text">${[released(one.card, { short: true }), bytes(one.size_bytes), one.yanked].filter(Boolean).join(" · ")}</span>
          </div>
          ${one.version !== here &&
          one.version !== item.version &&
          !one.yanked &&
          !one.obstacle &&
          html`<${Button} small busy=${isBusy.value === one.version} disabled=${Boolean(under(item))} onClick=${() => take(one)}>${t("hub.install_this")}<//>`}
        </li>`,
      )}
    </ul>
  </div>`;
}

/** @param {{release: Release}} props */
function Files({ release }) {
  return html`<details class="hub-files">
    <summary>${t("hub.files", { count: number(release.files.length) })}</summary>
    <ul class="hub-list">
      ${release.files.map(
        (one) => html`<li key=${one.name}>
          <div class="hub-line">
            <span>${one.name}</span>
            <span class="muted small-text">${one.role} · ${bytes(one.size_bytes)} · <code title=${one.digest}>${short(one.digest)}</code></span>
          </div>
          <${Copy} text=${one.digest} label=${t("hub.copy_digest", { name: one.name })} />
        </li>`,
      )}
    </ul>
  </details>`;
}
