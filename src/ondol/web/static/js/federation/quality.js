// @ts-check
// Quality by round: the loss of the shared adapter, beside what each device had right after learning
// for itself. The numbers are in the table below it.

import { html } from "../core/ui.js";
import { number, t } from "../core/i18n.js";

/** @typedef {import("./state.js").Round} Round */

const WIDTH = 640;
/** Letters keep their size: on a phone the chart is drawn narrower, not smaller. */
const NARROW = 360;
const HEIGHT = 210;
const LEFT = 40;
const RIGHT = 12;
const TOP = 10;
const FOOT = 24;
const MOST_LABELS = 12;

/** @typedef {[number, number | null | undefined]} Point */
/** @type {[string, string, (round: Round) => Point[]][]} name, tone, where its points are */
const SERIES = [
  ["shared", "accent", (one) => [[one.number, one.loss_shared]]],
  ["local", "info", (one) => [[one.number, one.loss_local]]],
  ["canary", "warn", (one) => [[one.number, one.loss_canary]]],
  // What a round began with came of the ones before it.
  [
    "mine",
    "good",
    (one) => [
      [one.number - 1, one.mine?.loss_before],
      [one.number, one.mine?.loss_after],
    ],
  ],
];

/** What was measured: with noise for privacy, devices tell home no losses. @param {Round[]} rounds */
export const measured = (rounds) =>
  SERIES.map(([name, tone, read]) => ({
    name,
    tone,
    points: [...new Map(rounds.flatMap(read).filter((one) => one[1] !== null && one[1] !== undefined))],
  })).filter((one) => one.points.length);

/** @param {{rounds: Round[]}} props in order */
export function Quality({ rounds }) {
  const lines = measured(rounds);
  const all = lines.flatMap((one) => one.points.map((point) => Number(point[1])));
  // One point is no line; the table says it.
  if (!lines.some((one) => one.points.length > 1)) return null;
  const names = lines.map((one) => one.name);
  const width = matchMedia("(max-width: 759px)").matches ? NARROW : WIDTH;
  const last = Math.max(...rounds.map((one) => one.number), 1);
  const first = Math.min(...lines.flatMap((one) => one.points.map((point) => point[0])), last - 1);
  // Losses move by little: the axis holds them, not zero.
  const margin = (Math.max(...all) - Math.min(...all)) * 0.1 || 0.1;
  const [least, most] = [Math.max(0, Math.min(...all) - margin), Math.max(...all) + margin];
  const x = (/** @type {number} */ round) => LEFT + ((round - first) / (last - first)) * (width - LEFT - RIGHT);
  const y = (/** @type {number} */ loss) => TOP + (1 - (loss - least) / (most - least)) * (HEIGHT - TOP - FOOT);
  const every = Math.ceil((last - first + 1) / MOST_LABELS);
  return html`<figure class="chart federation-quality">
    <figcaption>
      <span>${t("federation.quality")}</span>
      <span class="legend">${lines.map((one) => html`<span key=${one.name}><i class=${`tone-${one.tone}`}></i>${t(`federation.quality_${one.name}`)}</span>`)}</span>
    </figcaption>
    <svg viewBox=${`0 0 ${width} ${HEIGHT}`} aria-hidden="true">
      ${[least, (least + most) / 2, most].map(
        (value) => html`<g key=${value}>
          <line x1=${LEFT} x2=${width - RIGHT} y1=${y(value)} y2=${y(value)} />
          <text x=${LEFT - 6} y=${y(value) + 4} text-anchor="end">${number(value)}</text>
        </g>`,
      )}
      ${Array.from({ length: last - first + 1 }, (_, index) => first + index)
        .filter((round) => (round - first) % every === 0)
        .map((round) => html`<text key=${round} x=${x(round)} y=${HEIGHT - 6} text-anchor="middle">${number(round)}</text>`)}
      ${lines.map(
        (one) => html`<g key=${one.name} class=${`quality-${one.name}`}>
          <polyline points=${one.points.map(([round, loss]) => `${x(round).toFixed(1)},${y(Number(loss)).toFixed(1)}`).join(" ")} />
          ${one.points.map(([round, loss]) => html`<circle key=${round} class=${`tone-${one.tone}`} cx=${x(round)} cy=${y(Number(loss))} r="3.5" />`)}
        </g>`,
      )}
    </svg>
    <p class="muted small-text">
      ${names.some((one) => one !== "canary") && `${t("federation.quality_about")} `}
      ${names.includes("canary") && t("federation.quality_canary_about")}
    </p>
  </figure>`;
}
