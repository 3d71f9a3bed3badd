// @ts-check
// What would be sent in the next round, before it is: how much, of what, and what home can see of it.

import { html, useEffect, useSignal } from "../core/ui.js";
import { bytes, number, t } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { Button, Dialog } from "../parts/index.js";
import { Price } from "./price.js";
import { preview } from "./state.js";

/** @typedef {import("./state.js").Federation} Federation */

const WIDTH = 360;
const HEIGHT = 120;
const FOOT = 20;

/** @param {{federation: Federation, onClose: () => void}} props */
export function Preview({ federation, onClose }) {
  const found = useSignal(/** @type {import("./state.js").Preview | null} */ (null));
  useEffect(() => {
    preview(federation.id).then(
      (told) => {
        found.value = told;
      },
      (error) => {
        complain(error);
        onClose();
      },
    );
  }, []);
  const told = found.value;
  const footer = html`<${Button} kind="primary" onClick=${onClose}>${t("shell.close")}<//>`;
  return html`<${Dialog} title=${t("federation.look_title")} wide onClose=${onClose} footer=${footer}>
    ${told
      ? html`<div class="stack">
          <dl class="facts">
            <dt>${t("federation.learned_from")}</dt><dd>${t("federation.examples", { count: number(told.num_examples) })}</dd>
            ${told.sources.map((one) => html`<dt key=${one.name} class="facts-part">${one.name}</dt><dd>${number(one.num_examples)}</dd>`)}
            <dt>${t("federation.length")}</dt><dd>${number(told.length)}</dd>
            <dt>${t("federation.up")}</dt><dd>${bytes(told.bytes_up)}</dd>
            <dt>${t("federation.down")}</dt><dd>${bytes(told.bytes_down)}</dd>
          </dl>
          <div class="federation-sight">
            ${told.encoded && federation.plan.aggregation === "secure" && html`<${Histogram} title=${t("federation.encoded")} histogram=${centred(told.encoded)} />`}
            <${Histogram} title=${t("federation.histogram")} histogram=${told.histogram} />
          </div>
          <p class="muted small-text">${t(`federation.histogram_${federation.plan.aggregation}`)}</p>
          <${Price} epsilon=${told.epsilon} words=${told.words} />
          <${Sight} seen=${told.seen} unseen=${told.unseen} />
        </div>`
      : html`<p class="muted" role="status">${t("federation.looking")}</p>`}
  <//>`;
}

/** @typedef {{edges: number[], counts: number[]}} Counted */

/** Ring integers as numbers on both sides of zero: the upper half of the ring are negative ones. @param {Counted} counted @returns {Counted} */
function centred({ edges, counts }) {
  const half = Math.floor(counts.length / 2);
  return { edges: edges.map((one) => one - edges[edges.length - 1] / 2), counts: [...counts.slice(half), ...counts.slice(0, half)] };
}

/** How often each value stands in it. @param {{title: string, histogram: Counted}} props */
function Histogram({ title, histogram: { edges, counts } }) {
  const most = Math.max(...counts, 1);
  const wide = WIDTH / counts.length;
  return html`<figure class="chart">
    <figcaption><span>${title}</span></figcaption>
    <div class="chart-plot" tabindex="0" role="group" aria-label=${title}>
      <svg class="federation-histogram" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
        ${counts.map((count, index) => {
          const tall = (count / most) * (HEIGHT - FOOT);
          return html`<rect key=${index} class="tone-info" x=${index * wide + 1} width=${Math.max(1, wide - 2)} y=${HEIGHT - FOOT - tall} height=${tall}>
            <title>${`${number(edges[index])} – ${number(edges[index + 1])}: ${number(count)}`}</title>
          </rect>`;
        })}
        <text x="0" y=${HEIGHT - 4}>${number(edges[0])}</text>
        <text x=${WIDTH} y=${HEIGHT - 4} text-anchor="end">${number(edges[edges.length - 1])}</text>
      </svg>
    </div>
  </figure>`;
}

/** @param {{seen: string[], unseen: string[]}} props */
export function Sight({ seen, unseen }) {
  return html`<div class="federation-sight">
    <div>
      <h3>${t("federation.seen")}</h3>
      <ul>${seen.map((one) => html`<li key=${one}>${one}</li>`)}</ul>
    </div>
    <div>
      <h3>${t("federation.unseen")}</h3>
      <ul>${unseen.map((one) => html`<li key=${one}>${one}</li>`)}</ul>
    </div>
  </div>`;
}
