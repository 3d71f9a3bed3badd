// @ts-check
// One program: what to paste where, and whether it has found its way here.

import { html, useEffect, useRef } from "../core/ui.js";
import { moment, number, t, when } from "../core/i18n.js";
import { toast } from "../core/state.js";
import { Copy, Icon } from "../parts/index.js";
import { masked } from "./programs.js";
import { seen } from "./seen.js";

/** @param {{program: import("./programs.js").Program, isCurrent: boolean, onOpen: () => void}} props */
export function Tile({ program, isCurrent, onOpen }) {
  const found = seen(program.families);
  return html`<button
    type="button"
    class=${`program-tile${isCurrent ? " current" : ""}`}
    aria-pressed=${String(isCurrent)}
    onClick=${onOpen}
  >
    <span>${program.title}</span>
    <i class=${`program-dot${found ? " seen" : ""}${found?.isNew ? " new" : ""}`} aria-hidden="true"></i>
    ${found && html`<span class="hidden">${t("connect.connected")}</span>`}
  </button>`;
}

/** @param {{program: import("./programs.js").Program, here: import("./programs.js").Here, isKeyShown: boolean}} props */
export function Detail({ program, here, isKeyShown }) {
  const snippet = program.snippet?.(here);
  const visible = program.snippet?.(here.hasKey && !isKeyShown ? { ...here, key: masked(here.key) } : here);
  return html`<section class="card program" aria-label=${program.title}>
    <h2>${program.title}</h2>
    <p>${t(`connect.${program.name}_about`)}</p>
    ${snippet &&
    html`<figure class="snippet">
      <figcaption class="row spread">
        <span>${t(program.where ? (program.where.startsWith("~") ? "connect.in_file" : `connect.in_${program.where}`) : "connect.in_form", { file: program.where })}</span>
        <${Copy} text=${snippet} label=${t("connect.copy", { name: program.title })} />
      </figcaption>
      <pre tabindex="0"><code>${visible}</code></pre>
    </figure>`}
    ${snippet && html`<p class="muted small-text">${t(`connect.${program.name}_then`)}</p>`}
    ${program.families.length > 0 && snippet && html`<${Check} program=${program} />`}
  </section>`;
}

/** @param {{program: import("./programs.js").Program}} props */
function Check({ program }) {
  const found = seen(program.families);
  const told = useRef("");
  useEffect(() => {
    if (found?.isNew && told.current !== program.name) {
      told.current = program.name;
      toast(t("connect.just_connected", { name: program.title }), { kind: "good" });
    }
  }, [found?.isNew, program.name]);
  if (!found) {
    return html`<p class="program-check" role="status">
      <i class="program-dot waiting" aria-hidden="true"></i>
      <span>${t("connect.waiting", { name: program.title })}</span>
    </p>`;
  }
  return html`<p class="program-check seen" role="status" title=${moment(found.latest.last_at)}>
    <${Icon} name="check" />
    <span>
      <strong>${t(found.isNew ? "connect.it_connected" : "connect.seen_before")}</strong>${" "}${t("connect.last", { when: when(found.latest.last_at), count: number(found.count), family: found.latest.family })}
    </span>
  </p>`;
}
