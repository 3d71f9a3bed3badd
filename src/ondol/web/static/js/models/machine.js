// @ts-check
// This machine: how much memory and disk there is, what the models take of it, what is free.

import { html } from "../core/ui.js";
import { bytes, number, t } from "../core/i18n.js";
import { Icon, StackedBar } from "../parts/index.js";
import { machine } from "./shelf.js";
import { memory } from "./words.js";

export function MachineCard() {
  const here = machine.value;
  if (!here) return null;
  const { ram, disk } = here;
  return html`<section class="card machine" aria-labelledby="machine-title">
    <div class="machine-head">
      <h2 id="machine-title"><${Icon} name="laptop" />${t("models.machine")}</h2>
      <span class="muted small-text">${here.cpu} · ${t("models.cores", { count: number(here.physical_cores) })}</span>
    </div>
    <div class="bars">
      <${Bar}
        name=${t("models.memory")}
        write=${memory}
        total=${ram.total_bytes}
        mine=${ram.models_bytes}
        other=${Math.max(0, ram.total_bytes - ram.available_bytes - ram.models_bytes)}
      />
      ${here.gpus.map((gpu, index) => html`<${Bar} key=${index} write=${memory} name=${gpu.name} total=${gpu.memory_bytes} mine=${0} other=${gpu.memory_bytes - gpu.free_bytes} />`)}
      <${Bar}
        name=${t("models.disk")}
        write=${bytes}
        total=${disk.total_bytes}
        mine=${disk.models_bytes}
        other=${Math.max(0, disk.total_bytes - disk.free_bytes - disk.models_bytes)}
      />
    </div>
    <p class="muted small-text">${t("models.room", { size: memory(ram.room_bytes) })}</p>
  </section>`;
}

/** @param {{name: string, total: number, mine: number, other: number, write: (size: number) => string}} props */
function Bar({ name, total, mine, other, write }) {
  const free = Math.max(0, total - mine - other);
  const parts = [
    { value: mine, tone: "accent", text: t("models.by_models", { size: write(mine) }) },
    { value: other, tone: "muted", text: t("models.by_others", { size: write(other) }) },
  ];
  return html`<div class="bar">
    <div class="bar-head"><strong>${name}</strong><span>${t("models.free_of", { free: write(free), total: write(total) })}</span></div>
    <${StackedBar} label=${name} parts=${parts} total=${total} />
    <p class="legend">${parts.filter((one) => one.value > 0).map((one) => html`<span key=${one.tone}><i class=${`tone-${one.tone}`}></i>${one.text}</span>`)}</p>
  </div>`;
}
