// @ts-check
// What may teach a federation: a yes for each source, given and taken back here.

import { html, useSignal } from "../core/ui.js";
import { number, t } from "../core/i18n.js";
import { href } from "../core/router.js";
import { Switch } from "../parts/index.js";
import { agree } from "./state.js";

/** @typedef {import("./state.js").Source} Source */
/** @typedef {import("./state.js").Federation} Federation */

/** @param {{federation: Federation}} props */
export function Teaching({ federation }) {
  const isBusy = useSignal(false);
  const change = async (/** @type {string[]} */ ids) => {
    const folders = federation.consent.filter((one) => one.kind === "folder").map((one) => one.id);
    const left = ids.filter((id) => folders.includes(id));
    isBusy.value = true;
    // Folders are named only where one goes: a phone may name none.
    await agree(federation.id, { sources: ids.filter((id) => !folders.includes(id)), folders: left.length < folders.length ? left : undefined });
    isBusy.value = false;
  };
  const agreed = federation.consent.filter((one) => one.is_agreed).map((one) => one.id);
  return html`<section class="card stack" aria-labelledby="federation-teaching">
    <h2 id="federation-teaching">${t("federation.teaching")}</h2>
    <p class="muted">${t("federation.teaching_about")}</p>
    <${Choices} sources=${federation.consent} agreed=${agreed} disabled=${isBusy.value || federation.state === "ended"} onChange=${change} />
  </section>`;
}

/** @param {{sources: Source[], agreed: string[], disabled?: boolean, onChange: (ids: string[]) => void}} props */
export function Choices({ sources, agreed, disabled = false, onChange }) {
  if (!sources.length) {
    return html`<p class="muted">${t("federation.no_sources")} <a href=${href("personal")}>${t("federation.to_personal")}</a></p>`;
  }
  return html`<ul class="federation-list">
    ${sources.map(
      (one) => html`<li key=${one.id}>
        <${Switch}
          label=${t(`federation.source_${one.kind}`, { name: one.name })}
          checked=${agreed.includes(one.id)}
          disabled=${disabled}
          onChange=${(/** @type {boolean} */ on) => onChange(on ? [...agreed, one.id] : agreed.filter((id) => id !== one.id))}
        />
        <span class="muted small-text">${t("federation.examples", { count: number(one.num_examples) })}</span>
      </li>`,
    )}
  </ul>`;
}
