// @ts-check
// The page at the computer: open the door, show the code, see who came in.

import { Fragment, html, useEffect, useRef, useSignal } from "../core/ui.js";
import { get, patch } from "../core/api.js";
import { seconds, t } from "../core/i18n.js";
import { complain, toast } from "../core/state.js";
import { Button, Copy, Empty, Icon, PageHead, Switch } from "../parts/index.js";
import { Devices } from "./devices.js";

const LOOK_SECONDS = 3;

/** @typedef {{open: boolean, url: string, address: string, code: string, expires_at: string, qr_svg: string, fingerprint: string}} Shown */

export function AtComputer() {
  const shown = useSignal(/** @type {Shown | null} */ (null));
  const devices = useSignal(/** @type {any[]} */ ([]));
  const isBusy = useSignal(false);
  const known = useRef(/** @type {Set<string> | null} */ (null));

  const renew = async () => {
    shown.value = await get("/ondol/v1/pairing");
  };
  const look = async () => {
    const found = (await get("/ondol/v1/pairing/devices")).devices;
    const before = known.current;
    known.current = new Set(found.map((/** @type {any} */ one) => one.id));
    devices.value = found;
    const newcomer = before && found.find((/** @type {any} */ one) => !before.has(one.id));
    if (!newcomer || !shown.value?.open) return;
    toast(t("pair.came_in", { name: newcomer.name }), { kind: "good" });
    await renew();
  };
  useEffect(() => {
    Promise.all([renew(), look()]).catch(complain);
    const timer = setInterval(() => look().catch(() => {}), LOOK_SECONDS * 1000);
    return () => clearInterval(timer);
  }, []);

  /** @param {boolean} open */
  const turn = async (open) => {
    isBusy.value = true;
    try {
      await patch("/ondol/v1/pairing", { open });
      await renew();
    } catch (error) {
      complain(error);
    }
    isBusy.value = false;
  };

  return html`<${Fragment}>
    <${PageHead} title=${t("pair.title")} about=${t("pair.about")}>
      ${shown.value?.open && html`<${Button} busy=${isBusy.value} onClick=${() => turn(false)}>${t("pair.close_door")}<//>`}
    <//>
    ${shown.value &&
    (shown.value.open
      ? html`<${Invitation} shown=${shown.value} onRenew=${() => renew().catch(complain)} />`
      : html`<div class="card pair-closed">
          <${Empty} icon=${html`<${Icon} name="phone" size=${40} />`} title=${t("pair.closed")}>
            <p>${t("pair.closed_why")}</p>
            <${Button} kind="primary" busy=${isBusy.value} onClick=${() => turn(true)}>${t("pair.open_door")}<//>
          <//>
        </div>`)}
    ${shown.value?.open && html`<${FromTheStart} />`}
    <${Devices} devices=${devices.value} onChange=${() => look().catch(complain)} />
  <//>`;
}

/** @param {{shown: Shown, onRenew: () => void}} props */
function Invitation({ shown, onRenew }) {
  const picture = useSignal("");
  const left = useSignal(secondsTo(shown.expires_at));
  useEffect(() => {
    const address = URL.createObjectURL(new Blob([shown.qr_svg], { type: "image/svg+xml" }));
    picture.value = address;
    left.value = secondsTo(shown.expires_at);
    const timer = setInterval(() => {
      left.value = secondsTo(shown.expires_at);
      if (left.value <= 0) onRenew();
    }, 1000);
    return () => {
      clearInterval(timer);
      URL.revokeObjectURL(address);
    };
  }, [shown.code]);
  return html`<section class="card invitation" aria-label=${t("pair.scan")}>
    <div class="invitation-code">
      ${picture.value && html`<img src=${picture.value} alt=${t("pair.qr", { url: shown.url })} width="232" height="232" />`}
      <output class="code" aria-label=${t("pair.code")}>${shown.code}</output>
      <p class="muted small-text">${t("pair.expires", { time: seconds(Math.max(0, left.value)) })}</p>
    </div>
    <div class="stack">
      <ol class="steps">
        <li><strong>${t("pair.scan")}</strong><span>${t("pair.scan_how")}</span></li>
        <li><strong>${t("pair.warning")}</strong><span>${t("pair.warning_why")}</span></li>
        <li><strong>${t("pair.trust")}</strong><span>${t("pair.trust_why")}</span></li>
      </ol>
      <details class="certificate">
        <summary>${t("pair.by_hand")}</summary>
        <dl>
          <dt>${t("pair.address")}</dt>
          <dd><code>${`${shown.address}/#/pair`}</code><${Copy} text=${`${shown.address}/#/pair`} /></dd>
          <dt>${t("pair.fingerprint")}</dt>
          <dd><code>${shown.fingerprint}</code><${Copy} text=${shown.fingerprint} /></dd>
        </dl>
      </details>
    </div>
  </section>`;
}

/** Whether the door opens by itself when Ondol starts: the setting `server.phone`. */
function FromTheStart() {
  const isOn = useSignal(/** @type {boolean | null} */ (null));
  useEffect(() => {
    get("/ondol/v1/settings").then(
      ({ settings }) => {
        isOn.value = settings.find((/** @type {any} */ one) => one.name === "server.phone")?.value ?? null;
      },
      () => {},
    );
  }, []);
  if (isOn.value === null) return null;
  /** @param {boolean} on */
  const change = (on) => {
    patch("/ondol/v1/settings", { "server.phone": on || null }).then(() => {
      isOn.value = on;
    }, complain);
  };
  return html`<div class="card from-the-start">
    <${Switch} label=${t("pair.from_the_start")} checked=${isOn.value} onChange=${change} />
    <p class="muted small-text">${t("pair.from_the_start_why")}</p>
  </div>`;
}

/** @param {string} moment */
const secondsTo = (moment) => Math.round((new Date(moment).getTime() - Date.now()) / 1000);
