// @ts-check
// The loss curve: what the adapter still gets wrong, step by step; as a table for who cannot see it.

import { html } from "../core/ui.js";
import { number, t } from "../core/i18n.js";

/** @typedef {import("./state.js").Point} Point */

const WIDTH = 640;
const HEIGHT = 150;
const LEFT = 44;
const FOOT = 22;
const MOST_ROWS = 12;

/** @param {{points: Point[], steps: number}} props points of one stage, in order */
export function Curve({ points, steps }) {
  if (points.length < 2) return null;
  const last = Math.max(steps, points[points.length - 1].step, 1);
  const all = points.flatMap((one) => [one.loss, one.held_out_loss]).filter((one) => one !== null);
  const most = Math.max(.../** @type {number[]} */ (all));
  const least = Math.min(0, .../** @type {number[]} */ (all));
  const x = (/** @type {number} */ step) => LEFT + (step / last) * (WIDTH - LEFT - 8);
  const y = (/** @type {number} */ loss) => 8 + (1 - (loss - least) / (most - least || 1)) * (HEIGHT - FOOT - 8);
  const learned = points.map((one) => `${x(one.step).toFixed(1)},${y(one.loss).toFixed(1)}`).join(" ");
  const checks = points.filter((one) => one.held_out_loss !== null);
  const held = checks.map((one) => `${x(one.step).toFixed(1)},${y(Number(one.held_out_loss)).toFixed(1)}`).join(" ");
  const every = Math.max(1, Math.ceil(points.length / MOST_ROWS));
  const rows = points.filter((one, index) => one.held_out_loss !== null || index % every === 0);
  const title = t("personal.curve");
  return html`<figure class="chart personal-curve">
    <figcaption>
      <span>${title}</span>
      <span class="legend">
        <span><i class="tone-accent"></i>${t("personal.curve_learned")}</span>
        <span><i class="tone-info"></i>${t("personal.curve_held_out")}</span>
      </span>
    </figcaption>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      ${[least, (least + most) / 2, most].map(
        (value) => html`<g key=${value}>
          <line x1=${LEFT} x2=${WIDTH - 8} y1=${y(value)} y2=${y(value)} />
          <text x=${LEFT - 6} y=${y(value) + 4} text-anchor="end">${number(Math.round(value * 100) / 100)}</text>
        </g>`,
      )}
      <polyline class="curve-learned" points=${learned} />
      ${checks.length > 1 && html`<polyline class="curve-held-out" points=${held} />`}
      ${checks.map((one) => html`<circle key=${one.step} class="tone-info" cx=${x(one.step)} cy=${y(Number(one.held_out_loss))} r="3.5" />`)}
      <text x=${LEFT} y=${HEIGHT - 4}>0</text>
      <text x=${WIDTH - 8} y=${HEIGHT - 4} text-anchor="end">${t("personal.steps", { count: number(last) })}</text>
    </svg>
    <table class="hidden">
      <caption>${title}</caption>
      <thead><tr><th scope="col">${t("personal.step")}</th><th scope="col">${t("personal.curve_learned")}</th><th scope="col">${t("personal.curve_held_out")}</th></tr></thead>
      <tbody>
        ${rows.map((one) => html`<tr key=${one.step}><th scope="row">${number(one.step)}</th><td>${number(one.loss)}</td><td>${one.held_out_loss === null ? "–" : number(one.held_out_loss)}</td></tr>`)}
      </tbody>
    </table>
  </figure>`;
}
