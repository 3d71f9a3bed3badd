// @ts-check
// Who was let in, and the way to take a key back.

import { html, useSignal } from "../core/ui.js";
import { del } from "../core/api.js";
import { t, when } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { Button, Confirm, Icon } from "../parts/index.js";

/** @typedef {{id: string, name: string, paired_at: string, seen_at: string | null}} Device */

/** @param {{devices: Device[], onChange: () => void}} props */
export function Devices({ devices, onChange }) {
  const leaving = useSignal(/** @type {Device | null} */ (null));
  if (!devices.length) return null;
  const remove = async () => {
    const device = leaving.value;
    leaving.value = null;
    if (device) await del(`/ondol/v1/pairing/devices/${device.id}`).catch(complain);
    onChange();
  };
  return html`<section class="devices" aria-labelledby="devices-title">
    <h2 id="devices-title">${t("pair.devices")}</h2>
    <ul class="device-list">
      ${devices.map(
        (one) => html`<li key=${one.id} class="card device">
          <${Icon} name="phone" />
          <div>
            <strong>${one.name}</strong>
            <span class="muted small-text">
              ${t("pair.paired_at", { time: when(one.paired_at) })}${one.seen_at && ` · ${t("pair.seen_at", { time: when(one.seen_at) })}`}
            </span>
          </div>
          <${Button}
            small
            aria-label=${t("pair.remove_this", { name: one.name })}
            onClick=${() => {
              leaving.value = one;
            }}
          >
            ${t("pair.remove")}
          <//>
        </li>`,
      )}
    </ul>
    ${leaving.value &&
    html`<${Confirm}
      title=${t("pair.remove_sure", { name: leaving.value.name })}
      action=${t("pair.remove")}
      onConfirm=${remove}
      onClose=${() => {
        leaving.value = null;
      }}
    >
      <p>${t("pair.remove_why")}</p>
    <//>`}
  </section>`;
}
