// @ts-check
// The lab: what the model might have said at every token, what the sampler makes of that, the same
// prompt several times side by side and what these texts agree on.

import { html, useEffect, useSignal } from "../core/ui.js";
import { get } from "../core/api.js";
import { number, t } from "../core/i18n.js";
import { complain, recall, remember } from "../core/state.js";
import { Choice, Empty, Field, Icon, IconButton, PageHead, Select } from "../parts/index.js";
import { Alternatives, RunButton, Sliders } from "../lab/controls.js";
import { USUAL } from "../lab/distribution.js";
import { Generation } from "../lab/generation.js";
import { Agreement } from "../lab/agreement.js";
import { Column, openness, warmth } from "../lab/tokens.js";

const MOST_SEED = 2 ** 31 - 1;

export default function Lab() {
  const models = useSignal(/** @type {string[]} */ ([]));
  const model = useSignal("");
  const mode = useSignal(/** @type {"chat" | "text"} */ ("chat"));
  const prompt = useSignal(recall("lab-prompt", ""));
  const shape = useSignal(USUAL);
  const maxTokens = useSignal(48);
  const seed = useSignal(1);
  const copies = useSignal("1");
  const colour = useSignal(/** @type {import("../lab/tokens.js").Colour} */ ("probability"));
  const columns = useSignal(/** @type {Generation[]} */ ([]));
  const chosen = useSignal({ column: 0, index: 0 });

  useEffect(() => {
    get("/v1/models").then((answer) => {
      const names = answer.data.map((/** @type {any} */ one) => one.id);
      return get("/ondol/v1/models").then((all) => {
        const deaf = new Set(all.models.filter((/** @type {any} */ one) => one.kind !== "chat").map((/** @type {any} */ one) => one.name));
        models.value = names.filter((/** @type {string} */ name) => !deaf.has(name) && !name.includes("+"));
        model.value = model.value || models.value[0] || "";
      });
    }, complain);
    return () => columns.peek().forEach((one) => one.stop());
  }, []);

  const isRunning = columns.value.some((one) => one.isRunning.value);
  const stop = () => columns.value.forEach((one) => one.stop());
  const run = () => {
    remember("lab-prompt", prompt.value);
    stop();
    const asked = { model: model.value, mode: mode.value, prompt: prompt.value, maxTokens: maxTokens.value, shape: shape.value };
    columns.value = Array.from({ length: Number(copies.value) }, (_, index) => new Generation(asked, (seed.value + index) % MOST_SEED));
    chosen.value = { column: 0, index: 0 };
    columns.value.forEach((one) => one.run());
  };
  const column = columns.value[chosen.value.column];
  const token = column?.tokens.value[chosen.value.index];
  /** @param {import("../lab/distribution.js").Alternative} put */
  const goOn = (put) => {
    column.asked = { ...column.asked, shape: shape.value, maxTokens: Math.max(maxTokens.value, chosen.value.index + 2) };
    column.goOn(chosen.value.index, put);
  };

  return html`<div class="page lab">
    <${PageHead} title=${t("lab.title")} about=${t("lab.about")} />
    <div class="lab-frame">
      <div class="stack">
        <form
          class="card stack"
          onSubmit=${(/** @type {Event} */ event) => {
            event.preventDefault();
            run();
          }}
        >
          <${Field} label=${t(mode.value === "chat" ? "lab.prompt" : "lab.beginning_of")}>
            ${(/** @type {any} */ id) =>
              html`<textarea
                ...${id}
                rows="3"
                placeholder=${t("lab.placeholder")}
                value=${prompt.value}
                onInput=${(/** @type {any} */ event) => {
                  prompt.value = event.currentTarget.value;
                }}
                onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
                  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing && prompt.value.trim()) run();
                }}
              ></textarea>`}
          <//>
          <div class="row spread">
            <div class="row">
              <${Select}
                label=${t("lab.model")}
                value=${model.value}
                options=${models.value.map((name) => ({ value: name, text: name }))}
                onChange=${(/** @type {string} */ name) => {
                  model.value = name;
                }}
              />
              <${Choice}
                label=${t("lab.mode")}
                value=${mode.value}
                options=${["chat", "text"].map((value) => ({ value, text: t(`lab.mode_${value}`) }))}
                onChange=${(/** @type {"chat" | "text"} */ value) => {
                  mode.value = value;
                }}
              />
            </div>
            <${RunButton} isRunning=${isRunning} disabled=${!prompt.value.trim() || !model.value} onRun=${run} onStop=${stop} />
          </div>
        </form>
        ${columns.value.length
          ? html`<div class=${`lab-columns of-${columns.value.length}`}>
                ${columns.value.map(
                  (one, index) => html`<${Column}
                    key=${one.seed}
                    generation=${one}
                    title=${t("lab.seed_is", { seed: String(one.seed) })}
                    shape=${shape.value}
                    colour=${colour.value}
                    selected=${chosen.value.column === index ? chosen.value.index : null}
                    onSelect=${(/** @type {number} */ at) => {
                      chosen.value = { column: index, index: at };
                    }}
                  />`,
                )}
              </div>
              <${Scale}
                colour=${colour.value}
                onChange=${(/** @type {import("../lab/tokens.js").Colour} */ next) => {
                  colour.value = next;
                }}
              />`
          : html`<${Empty} icon=${html`<${Icon} name="sliders" size=${26} />`} title=${t("lab.empty")}><p>${t("lab.empty_about")}</p><//>`}
        ${token &&
        html`<section class="card stack" aria-label=${t("lab.alternatives")}>
          <h2>${t("lab.alternatives")}</h2>
          <${Alternatives}
            token=${token}
            before=${column.tokens.value.slice(0, chosen.value.index).map((one) => one.text).join("")}
            shape=${shape.value}
            onChoose=${goOn}
          />
        </section>`}
        ${columns.value.length > 1 && html`<${Agreement} columns=${columns.value} />`}
      </div>
      <aside class="lab-side stack" aria-label=${t("lab.side")}>
        <section class="card stack" aria-label=${t("lab.sampler")}>
          <h2>${t("lab.sampler")}</h2>
          <${Sliders}
            shape=${shape.value}
            onChange=${(/** @type {import("../lab/distribution.js").Shape} */ next) => {
              shape.value = next;
            }}
          />
          <div class="lab-numbers">
            <${Field} label=${t("lab.max_tokens")}>
              ${(/** @type {any} */ id) => html`<${Count} id=${id} value=${maxTokens.value} most=${512} onChange=${(/** @type {number} */ value) => (maxTokens.value = value)} />`}
            <//>
            <${Field} label=${t("lab.seed")}>
              ${(/** @type {any} */ id) => html`<div class="row seed">
                <${Count} id=${id} value=${seed.value} most=${MOST_SEED} onChange=${(/** @type {number} */ value) => (seed.value = value)} />
                <${IconButton} icon="refresh" label=${t("lab.other_seed")} onClick=${() => (seed.value = Math.floor(Math.random() * 10000))} />
              </div>`}
            <//>
          </div>
          <div class="row spread">
            <span>${t("lab.side_by_side")}</span>
            <${Choice}
              label=${t("lab.side_by_side")}
              value=${copies.value}
              options=${["1", "2", "4", "8"].map((value) => ({ value, text: number(Number(value)) }))}
              onChange=${(/** @type {string} */ value) => {
                copies.value = value;
              }}
            />
          </div>
        </section>
      </aside>
    </div>
  </div>`;
}

/** @param {{id: any, value: number, most: number, onChange: (value: number) => void}} props */
function Count({ id, value, most, onChange }) {
  return html`<input
    ...${id}
    type="number"
    min="1"
    max=${most}
    value=${value}
    onChange=${(/** @type {any} */ event) => onChange(Math.max(1, Math.min(most, Math.round(Number(event.currentTarget.value)) || 1)))}
  />`;
}

/** @param {{colour: import("../lab/tokens.js").Colour, onChange: (colour: import("../lab/tokens.js").Colour) => void}} props */
function Scale({ colour, onChange }) {
  const isChoice = colour === "choice";
  const steps = isChoice ? [0, 1, 2, 3.5, 5, 8].map(openness) : [1, 0.5, 0.25, 0.1, 0.03, 0.004].map(warmth);
  return html`<div class="row spread lab-scale">
    <p class="row scale muted small-text">
      <span>${t(isChoice ? "lab.one_way" : "lab.sure")}</span>
      ${steps.map((background, index) => html`<i key=${index} style=${{ background }} aria-hidden="true"></i>`)}
      <span>${t(isChoice ? "lab.many_ways" : "lab.unsure")}</span>
    </p>
    <${Choice}
      label=${t("lab.colour")}
      value=${colour}
      options=${["probability", "choice"].map((value) => ({ value, text: t(`lab.colour_${value}`) }))}
      onChange=${onChange}
    />
  </div>`;
}
