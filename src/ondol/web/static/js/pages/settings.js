// @ts-check
// Settings: all of the configuration by group, searchable, each with its source and its way back.

import { html, useEffect, useSignal } from "../core/ui.js";
import { get, patch } from "../core/api.js";
import { number, t } from "../core/i18n.js";
import { go } from "../core/router.js";
import { complain } from "../core/state.js";
import { Button, Copy, Empty, Icon, PageHead } from "../parts/index.js";
import { Appearance } from "../settings/appearance.js";
import { Row } from "../settings/row.js";
import { GROUPS, groupOf, matches } from "../settings/values.js";

const RESTART = "ondol down && ondol up";
/** @type {Record<string, string>} */
const MODEL_KINDS = { "models.chat": "chat", "models.embedding": "embedding", "models.rerank": "reranker", "home.model": "chat" };

export default function Settings() {
  const settings = useSignal(/** @type {import("../settings/values.js").Setting[]} */ ([]));
  const models = useSignal(/** @type {{name: string, kind: string}[]} */ ([]));
  const query = useSignal("");

  const load = () =>
    get("/ondol/v1/settings").then((answer) => {
      settings.value = answer.settings;
    }, complain);
  useEffect(() => {
    load();
    get("/ondol/v1/models").then((answer) => {
      models.value = answer.models;
    }, complain);
  }, []);
  /** @type {import("../settings/row.js").Save} */
  const save = async (name, value) => {
    settings.value = (await patch("/ondol/v1/settings", { [name]: value })).settings;
  };

  const found = settings.value.filter((one) => matches(one, query.value));
  const groups = GROUPS.map((name) => ({ name, members: found.filter((one) => groupOf(one) === name) })).filter((one) => one.members.length);
  const waiting = settings.value.filter((one) => one.pending);
  const isSearching = query.value.trim() !== "";

  return html`<div class="page settings">
    <${PageHead} title=${t("settings.title")} about=${t("settings.about")}>
      <${Button} icon="flame" onClick=${() => again()}>${t("settings.first_run")}<//>
    <//>
    <div class="settings-frame">
      <nav class="settings-nav" aria-label=${t("settings.groups")}>
        <label class="settings-search">
          <span class="hidden">${t("settings.search")}</span>
          <${Icon} name="search" size=${16} />
          <input
            type="search"
            placeholder=${t("settings.search")}
            value=${query.value}
            onInput=${(/** @type {any} */ event) => {
              query.value = event.currentTarget.value;
            }}
          />
        </label>
        <div class="settings-groups">
          ${!isSearching && html`<${Jump} name="appearance" count=${null} />`}
          ${groups.map((one) => html`<${Jump} key=${one.name} name=${one.name} count=${isSearching ? one.members.length : null} />`)}
        </div>
      </nav>
      <div class="stack settings-list">
        ${waiting.length > 0 &&
        html`<div class="notice warn row spread" role="status">
          <span>${t("settings.waiting", { count: number(waiting.length) })} <code>${RESTART}</code></span>
          <${Copy} text=${RESTART} />
        </div>`}
        ${!isSearching && html`<${Appearance} onLanguage=${load} />`}
        ${groups.map(
          (one) => html`<section key=${one.name} class="card settings-group" id=${`group-${one.name}`} aria-labelledby=${`settings-${one.name}`}>
            <h2 id=${`settings-${one.name}`}>${t(`settings.group_${one.name}`)}</h2>
            <p class="muted">${t(`settings.group_${one.name}_about`)}</p>
            ${one.members.map(
              (setting) => html`<${Row}
                key=${setting.name}
                setting=${setting}
                save=${save}
                suggestions=${models.value.filter((model) => model.kind === MODEL_KINDS[setting.name]).map((model) => model.name)}
              />`,
            )}
          </section>`,
        )}
        ${isSearching && !found.length && html`<${Empty} icon=${html`<${Icon} name="search" size=${26} />`} title=${t("settings.none")} />`}
      </div>
    </div>
  </div>`;
}

/** @param {{name: string, count: number | null}} props */
function Jump({ name, count }) {
  const jump = () => {
    const group = document.getElementById(`group-${name}`);
    group?.scrollIntoView({ behavior: "smooth", block: "start" });
    group?.querySelector("h2")?.focus?.();
  };
  return html`<button type="button" class="settings-jump" onClick=${jump}>
    <span>${t(name === "appearance" ? "settings.appearance" : `settings.group_${name}`)}</span>
    ${count !== null && html`<span class="muted">${number(count)}</span>`}
  </button>`;
}

function again() {
  patch("/ondol/v1/onboarding", { done: false }).then(() => go("welcome"), complain);
}
