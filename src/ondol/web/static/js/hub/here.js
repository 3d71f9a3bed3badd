// @ts-check
// What came from hubs and is on this machine: update, stay, go back, look back; and packs.

import { html, useSignal } from "../core/ui.js";
import { moment, t, when } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { href } from "../core/router.js";
import { Badge, Button, Confirm, Dialog, Empty, Icon, Menu } from "../parts/index.js";
import { Stale } from "./deed.js";
import { Pack } from "./pack.js";
import { history, install, installed, offers, packs, pin, rollback, unpin } from "./state.js";
import { under } from "./updates.js";
import { isSame } from "../models/shelf.js";
import { ICONS } from "./words.js";

/** @typedef {import("./state.js").Installed} Installed */

export function Here() {
  const all = installed.value;
  if (!all) return null;
  if (!all.length && !packs.value.length) {
    return html`<${Empty} icon=${html`<${Icon} name="hub" size=${26} />`} title=${t("hub.nothing_here")}>
      <p>${t("hub.nothing_here_about")}</p>
      <a class="button primary" href=${href("hub")}>${t("hub.browse")}</a>
    <//>`;
  }
  const local = packs.value.filter((pack) => !all.some((one) => one.kind === "pack" && isSame(pack.name, one.name)));
  return html`<div class="stack">
    ${all.map((one) => html`<${Card} key=${`${one.kind}/${one.name}`} one=${one} />`)}
    ${local.map((pack) => html`<${Local} key=${pack.name} pack=${pack} />`)}
  </div>`;
}

/** @param {{one: Installed}} props */
function Card({ one }) {
  const isBusy = useSignal("");
  const asked = useSignal(/** @type {"" | "stale" | "rollback" | "history"} */ (""));
  const known = offers.value.find((each) => each.publisher === one.publisher && each.item === one.item && each.name === one.name);
  const offer = known?.version ? known : undefined;
  const pack = one.kind === "pack" ? packs.value.find((each) => isSame(each.name, one.name)) : undefined;
  const going = under(one);
  const close = () => {
    asked.value = "";
  };
  /** @param {string} what @param {() => Promise<any>} work */
  const doing = async (what, work) => {
    isBusy.value = what;
    await work();
    isBusy.value = "";
    close();
  };
  /** @param {boolean} allowed */
  const update = (allowed) =>
    doing("update", () =>
      install({ hub: offer?.hub ?? one.hub, publisher: one.publisher, item: one.item, version: offer?.version, channel: one.channel || undefined, name: one.name, allow_stale: allowed }),
    );
  const menu = [
    one.pin
      ? { text: t("hub.unpin"), icon: "pin", run: () => doing("pin", () => unpin(one.name)) }
      : { text: t("hub.pin", { version: versionOf(one.version) }), icon: "pin", run: () => doing("pin", () => pin(one.name)) },
    { text: t("hub.rollback"), icon: "back", disabled: !one.previous.length, run: () => (asked.value = "rollback") },
    { text: t("hub.history"), icon: "eye", run: () => (asked.value = "history") },
  ];
  return html`<article class="card stack">
    <div class="hub-item-head">
      <span class="hub-icon"><${Icon} name=${ICONS[one.kind]} /></span>
      <div class="hub-item-text">
        <h2>${one.name}</h2>
        <p class="muted small-text">
          ${t("hub.by", { publisher: one.publisher })} · ${hubName(one)} · <time datetime=${one.installed_at} title=${moment(one.installed_at)}>${when(one.installed_at)}</time>
        </p>
        <p class="hub-badges">
          <${Badge}>${t(`hub.kind_${one.kind}`)}<//>
          <${Badge} tone="good">${badgeOf(one.version)}<//>
          ${one.channel === "beta" && html`<${Badge} tone="warn">${t("hub.beta")}<//>`}
          ${one.pin && html`<${Badge} tone="accent"><${Icon} name="pin" size=${13} />${t("hub.pinned")}<//>`}
          ${offer && html`<${Badge} tone="accent">${t("hub.newer", { version: offer.version })}<//>`}
        </p>
      </div>
      <div class="row hub-deeds">
        ${offer &&
        !one.pin &&
        html`<${Button}
          small
          kind="primary"
          icon="refresh"
          busy=${isBusy.value === "update" || Boolean(going)}
          aria-label=${t("hub.update_name", { name: one.name, version: offer.version })}
          onClick=${() => (offer.stale.length ? (asked.value = "stale") : update(false))}
        >${t("hub.update_to", { version: offer.version })}<//>`}
        <${Menu} label=${t("hub.menu", { name: one.name })} items=${menu} />
      </div>
    </div>
    ${known?.yanked && html`<p class="notice warn">${t("hub.yanked_here", { reason: known.yanked })}</p>`}
    ${known?.left && html`<p class="muted small-text">${known.left}</p>`}
    ${one.stale.length > 0 && html`<p class="notice warn">${t("hub.stale_here", { names: one.stale.join(", ") })}</p>`}
    ${pack && html`<${Pack} pack=${pack} />`}
    ${asked.value === "stale" && html`<${Stale} name=${one.name} stale=${offer?.stale ?? []} busy=${isBusy.value === "update"} onYes=${() => update(true)} onNo=${close} />`}
    ${asked.value === "rollback" && html`<${Rollback} one=${one} busy=${isBusy.value === "rollback"} onYes=${(/** @type {string} */ version) => doing("rollback", () => rollback(one.name, version))} onNo=${close} />`}
    ${asked.value === "history" && html`<${History} one=${one} onClose=${close} />`}
  </article>`;
}

/** A pack that was installed from a folder. @param {{pack: import("./state.js").Pack}} props */
function Local({ pack }) {
  return html`<article class="card stack">
    <div class="hub-item-head">
      <span class="hub-icon"><${Icon} name=${ICONS.pack} /></span>
      <div class="hub-item-text">
        <h2>${pack.name}</h2>
        <p class="muted small-text"><time datetime=${pack.installed_at} title=${moment(pack.installed_at)}>${when(pack.installed_at)}</time></p>
        <p class="hub-badges"><${Badge}>${t("hub.kind_pack")}<//><${Badge} tone="good">${badgeOf(pack.version)}<//><${Badge} tone="warn">${t("hub.unsigned")}<//></p>
      </div>
    </div>
    <${Pack} pack=${pack} />
  </article>`;
}

/** A version; of what was here before a hub's took its place, that it was. @param {string} version */
const versionOf = (version) => (version === "local" ? t("hub.local") : version);
/** The same, as a badge. @param {string} version */
const badgeOf = (version) => (version === "local" ? t("hub.local") : t("hub.version_of", { version }));

/** The name of the hub that it came from, where that is still looked at. @param {Installed} one */
const hubName = (one) => one.hub || t("hub.no_hub");

/** @param {{one: Installed, busy: boolean, onYes: (version: string) => void, onNo: () => void}} props */
function Rollback({ one, busy, onYes, onNo }) {
  const version = useSignal(one.previous[0]);
  return html`<${Confirm} title=${t("hub.rollback_ask", { name: one.name })} action=${t("hub.rollback_yes", { version: versionOf(version.value) })} danger=${false} busy=${busy} onConfirm=${() => onYes(version.value)} onClose=${onNo}>
    <div class="stack">
      <p>${t("hub.rollback_about")}</p>
      <fieldset class="hub-choices">
        <legend class="hidden">${t("hub.rollback_which")}</legend>
        ${one.previous.map(
          (each) => html`<label key=${each}>
            <input
              type="radio"
              name="hub-version"
              value=${each}
              checked=${each === version.value}
              onChange=${() => {
                version.value = each;
              }}
            />
            <span>${versionOf(each)}</span>
          </label>`,
        )}
      </fieldset>
    </div>
  <//>`;
}

/** @param {{one: Installed, onClose: () => void}} props */
function History({ one, onClose }) {
  const events = useSignal(/** @type {import("./state.js").Happening[] | null} */ (null));
  if (events.value === null) {
    events.value = [];
    history(one.name).then((found) => {
      events.value = found;
    }, complain);
  }
  return html`<${Dialog} title=${t("hub.history_of", { name: one.name })} onClose=${onClose}>
    <ol class="hub-history">
      ${(events.value ?? []).map(
        (event) => html`<li key=${event.number}>
          <time class="muted small-text" datetime=${event.at}>${moment(event.at)}</time>
          <span>${told(event)}</span>
          ${event.reason && html`<span class="muted small-text">${event.reason}</span>`}
        </li>`,
      )}
    </ol>
    ${events.value?.length === 0 && html`<p class="muted">${t("hub.no_history")}</p>`}
  <//>`;
}

/** @param {import("./state.js").Happening} event */
function told({ deed, version, before }) {
  const key = `hub.deed_${deed}`;
  const text = t(key, { version: badgeOf(version), before: before ? badgeOf(before) : t("hub.nothing_before") });
  return text === key ? [deed, before ? `${before} → ${version}` : version].join(" ") : text;
}
