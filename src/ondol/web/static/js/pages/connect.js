// @ts-check
// Connect: how other programs are pointed here, and whether they found the way.

import { html, useEffect, useSignal } from "../core/ui.js";
import { get } from "../core/api.js";
import { moment, number, t, when } from "../core/i18n.js";
import { go, route } from "../core/router.js";
import { complain, key } from "../core/state.js";
import { Copy, IconButton, PageHead, Select } from "../parts/index.js";
import { Keys } from "../connect/keys.js";
import { Detail, Tile } from "../connect/program.js";
import { PROGRAMS, masked } from "../connect/programs.js";
import { clients, useClients } from "../connect/seen.js";

export default function Connect() {
  useClients();
  const models = useSignal(/** @type {string[]} */ ([]));
  const model = useSignal("");
  const collections = useSignal(/** @type {string[]} */ ([]));
  const reads = useSignal("");
  const isKeyShown = useSignal(false);
  useEffect(() => {
    Promise.all([get("/ondol/v1/models"), get("/ondol/v1/onboarding")]).then(([all, state]) => {
      models.value = all.models.filter((/** @type {any} */ one) => one.kind === "chat").map((/** @type {any} */ one) => one.name);
      model.value = models.value.includes(state.model) ? state.model : (models.value[0] ?? state.model);
    }, complain);
    get("/ondol/v1/collections").then((found) => {
      collections.value = found.collections.filter((/** @type {any} */ one) => one.documents > 0).map((/** @type {any} */ one) => one.name);
    }, complain);
  }, []);

  const wanted = route.value.path[0];
  const program = PROGRAMS.find((one) => one.name === wanted) ?? PROGRAMS[0];
  // Snippets wait for the model's name: without it they are no use to who copies them.
  const here = { origin: location.origin, key: key.value || "ondol", hasKey: key.value !== "", model: model.value + reads.value };
  return html`<div class="page connect">
    <${PageHead} title=${t("connect.title")} about=${t("connect.about")} />
    <section class="card connect-here" aria-label=${t("connect.here")}>
      <${Fact} label=${t("connect.openai_base")} value=${`${here.origin}/v1`} />
      <${Fact} label=${t("connect.ollama_base")} value=${here.origin} />
      <div class="fact">
        <span class="fact-label">${t("connect.key")}</span>
        ${here.hasKey
          ? html`<span class="row fact-value">
              <code>${isKeyShown.value ? here.key : masked(here.key)}</code>
              <${IconButton} icon="eye" size=${16} pressed=${isKeyShown.value} label=${t("connect.show_key")} onClick=${() => (isKeyShown.value = !isKeyShown.value)} />
              <${Copy} text=${here.key} label=${t("connect.copy_key")} />
            </span>`
          : html`<span class="fact-value muted">${t("connect.no_key")}</span>`}
      </div>
      <div class="fact">
        <span class="fact-label">${t("connect.model")}</span>
        <span class="row fact-value">
          <${Select}
            label=${t("connect.model")}
            value=${model.value}
            options=${models.value.map((name) => ({ value: name, text: name }))}
            onChange=${(/** @type {string} */ name) => {
              model.value = name;
            }}
          />
        </span>
      </div>
      ${collections.value.length > 0 &&
      html`<div class="fact">
        <span class="fact-label">${t("connect.reads")}</span>
        <span class="row fact-value">
          <${Select}
            label=${t("connect.reads")}
            value=${reads.value}
            options=${readable(collections.value)}
            onChange=${(/** @type {string} */ chosen) => {
              reads.value = chosen;
            }}
          />
        </span>
      </div>`}
    </section>
    <div class="connect-frame">
      <div class="program-tiles" role="group" aria-label=${t("connect.programs")}>
        ${PROGRAMS.map(
          (one) => html`<${Tile} key=${one.name} program=${one} isCurrent=${one === program} onOpen=${() => go(`connect/${one.name}`, { replace: true })} />`,
        )}
      </div>
      ${model.value && html`<${Detail} key=${program.name} program=${program} here=${here} isKeyShown=${isKeyShown.value} />`}
    </div>
    <${Keys} collections=${collections.value} />
    <section class="connect-seen stack" aria-labelledby="connect-seen">
      <h2 id="connect-seen">${t("connect.seen")}</h2>
      <p class="muted">${t("connect.seen_about")}</p>
      ${clients.value.length > 0 && html`<${Seen} />`}
    </section>
  </div>`;
}

/** What a model's name may end in, for it to answer from documents.
 * @param {string[]} collections */
function readable(collections) {
  return [
    { value: "", text: t("connect.reads_nothing") },
    { value: "+documents", text: t("connect.reads_everything") },
    ...collections.filter((name) => name.toLowerCase() !== "documents").map((name) => ({ value: `+${name}`, text: name })),
  ];
}

/** @param {{label: string, value: string}} props */
function Fact({ label, value }) {
  return html`<div class="fact">
    <span class="fact-label">${label}</span>
    <span class="row fact-value"><code>${value}</code><${Copy} text=${value} label=${t("connect.copy", { name: label })} /></span>
  </div>`;
}

function Seen() {
  return html`<div class="table-holder" tabindex="0" role="group" aria-labelledby="connect-seen">
    <table class="table">
      <thead>
        <tr>
          <th scope="col">${t("connect.program")}</th>
          <th scope="col">${t("connect.dialect")}</th>
          <th scope="col">${t("connect.endpoint")}</th>
          <th scope="col">${t("connect.last_time")}</th>
          <th scope="col" class="number">${t("connect.requests")}</th>
        </tr>
      </thead>
      <tbody>
        ${clients.value.map(
          (one) => html`<tr key=${`${one.family} ${one.dialect}`}>
            <td>${one.family === "browser" ? t("connect.browser") : one.family}</td>
            <td>${t(`connect.dialect_${one.dialect}`)}</td>
            <td><code>${one.last_path}</code></td>
            <td title=${moment(one.last_at)}>${when(one.last_at)}</td>
            <td class="number">${number(one.count)}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
