// @ts-check
// One memory in the list.

import { html } from "../core/ui.js";
import { moment, number, t, when } from "../core/i18n.js";
import { href } from "../core/router.js";
import { Badge, Button, Icon, IconButton } from "../parts/index.js";

/** @type {Record<string, "good" | "accent" | "warn">} */
const TONES = { private: "good", trusted: "accent", public: "warn" };

/** @param {{memory: import("./form.js").Memory, onEdit: () => void, onErase: () => void, onHistory: () => void}} props */
export function Item({ memory, onEdit, onErase, onHistory }) {
  const chat = /^chat:(.+)$/.exec(memory.source)?.[1];
  return html`<li class="card memory">
    <span class="memory-mark" aria-hidden="true"><${Icon} name=${memory.kind === "fact" ? "bookmark" : "sliders"} size=${18} /></span>
    <div class="memory-body">
      <p class="memory-text">${memory.text}</p>
      <p class="row small-text muted">
        <span>${t(`memory.${memory.kind}`)}</span>
        <${Badge} tone=${TONES[memory.sensitivity]} title=${t(`memory.${memory.sensitivity}_about`)}>${t(`memory.${memory.sensitivity}`)}<//>
        <time datetime=${memory.updated_at} title=${moment(memory.updated_at)}>
          ${t(memory.updated_at === memory.created_at ? "memory.added" : "memory.changed", { when: when(memory.updated_at) })}
        </time>
        ${chat
          ? html`<a href=${href(`chat/${chat}`)}>${t("memory.said_in_chat")}</a>`
          : memory.source !== "owner" && html`<span>${t("memory.source", { source: memory.source })}</span>`}
        ${memory.versions > 0 &&
        html`<${Button} small kind="quiet" icon="refresh" class="memory-history" aria-label=${t("memory.history_of", { text: memory.text })}
          onClick=${onHistory}>${t("memory.history", { count: number(memory.versions) })}<//>`}
      </p>
    </div>
    <div class="memory-actions">
      <${IconButton} icon="edit" label=${t("memory.edit_this", { text: memory.text })} onClick=${onEdit} />
      <${IconButton} icon="trash" label=${t("memory.erase_this", { text: memory.text })} onClick=${onErase} />
    </div>
  </li>`;
}
