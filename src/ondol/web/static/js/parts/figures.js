// @ts-check
// Progress, bars and small charts in SVG; every chart has its numbers as a table for who cannot see it.

import { html } from "../core/ui.js";

/** @param {{label: string, value: number | null, text?: any}} props `value` between 0 and 1; null: not known */
export function Progress({ label, value, text }) {
  const width = value === null ? 100 : Math.max(0, Math.min(1, value)) * 100;
  return html`<div class="progress-row">
    <div
      class=${`progress${value === null ? " unknown" : ""}`}
      role="progressbar"
      aria-label=${label}
      aria-valuemin="0"
      aria-valuemax="100"
      aria-valuenow=${value === null ? undefined : Math.round(width)}
    >
      <div class="progress-fill" style=${{ width: `${width}%` }}></div>
    </div>
    ${text && html`<span class="progress-text">${text}</span>`}
  </div>`;
}

/**
 * Several parts of one whole, as one bar.
 * @param {{label: string, parts: {value: number, tone: string, text: string}[], total: number}} props
 */
export function StackedBar({ label, parts, total }) {
  return html`<div class="stacked-bar" role="img" aria-label=${`${label}: ${parts.map((one) => one.text).join(", ")}`}>
    ${parts.map(
      (one, index) => html`<span
        key=${index}
        class=${`tone-${one.tone}`}
        title=${one.text}
        style=${{ width: `${total ? (one.value / total) * 100 : 0}%` }}
      ></span>`,
    )}
  </div>`;
}

// Pixels: left of the first column for the values, below for the labels.
const AXIS = 64;
const FOOT = 24;

/**
 * Columns, stacked by series. `rows`: one a column; `series`: name and tone of each value. What is too
 * wide can be scrolled: letters keep their size.
 * @param {{title: string, series: {text: string, tone: string}[], rows: {label: string, values: number[]}[],
 *   format?: (value: number) => string, height?: number}} props
 */
export function Columns({ title, series, rows, format = String, height = 176 }) {
  const tops = rows.map((row) => row.values.reduce((sum, value) => sum + value, 0));
  const most = Math.max(...tops, 0) || 1;
  const step = rows.length > 12 ? 13 : 32;
  const bar = step > 20 ? 20 : 9;
  const width = AXIS + Math.max(rows.length * step, 120);
  const plot = height - FOOT - 8;
  return html`<figure class="chart">
    <figcaption>
      <span>${title}</span>
      <span class="legend">${series.map((one) => html`<span key=${one.text}><i class=${`tone-${one.tone}`}></i>${one.text}</span>`)}</span>
    </figcaption>
    <div class="chart-plot" tabindex="0" role="group" aria-label=${title}>
    <svg width=${width} height=${height} aria-hidden="true">
      ${[0, 0.5, 1].map((share) => {
        const y = 8 + plot * (1 - share);
        return html`<g key=${share}>
          <line x1=${AXIS} x2=${width} y1=${y} y2=${y} />
          ${(share === 0 || (share === 1 && tops.some(Boolean))) && html`<text x=${AXIS - 8} y=${y + 4} text-anchor="end">${format(most * share)}</text>`}
        </g>`;
      })}
      ${rows.map((row, index) => {
        let below = 0;
        const left = AXIS + index * step;
        return html`<g key=${row.label}>
          ${row.values.map((value, place) => {
            const size = (value / most) * plot;
            below += size;
            return html`<rect class=${`tone-${series[place].tone}`} x=${left + (step - bar) / 2} width=${bar} rx="2" y=${8 + plot - below} height=${Math.max(size, value ? 1 : 0)}>
              <title>${`${row.label} · ${series[place].text}: ${format(value)}`}</title>
            </rect>`;
          })}
          ${(rows.length <= 12 || index % Math.ceil(rows.length / 10) === 0) &&
          html`<text x=${left + step / 2} y=${height - 7} text-anchor="middle">${row.label}</text>`}
        </g>`;
      })}
    </svg>
    </div>
    <table class="hidden">
      <caption>${title}</caption>
      <thead>
        <tr><td></td>${series.map((one) => html`<th key=${one.text} scope="col">${one.text}</th>`)}</tr>
      </thead>
      <tbody>
        ${rows.map((row) => html`<tr key=${row.label}><th scope="row">${row.label}</th>${row.values.map((value, place) => html`<td key=${place}>${format(value)}</td>`)}</tr>`)}
      </tbody>
    </table>
  </figure>`;
}

/** Nothing is here yet: what it would be, and how to begin. @param {{icon: any, title: string, children?: any}} props */
export function Empty({ icon, title, children }) {
  return html`<div class="empty">
    <div class="empty-icon" aria-hidden="true">${icon}</div>
    <h2>${title}</h2>
    ${children}
  </div>`;
}

/** The top of a page. @param {{title: string, about?: any, children?: any}} props children: its actions */
export function PageHead({ title, about, children }) {
  return html`<header class="page-head">
    <div>
      <h1>${title}</h1>
      ${about && html`<p>${about}</p>`}
    </div>
    ${children && html`<div class="page-actions">${children}</div>`}
  </header>`;
}

/** @param {{tone?: "good" | "warn" | "bad" | "accent" | "muted", title?: string, children?: any}} props */
export function Badge({ tone = "muted", title, children }) {
  return html`<span class=${`badge ${tone}`} title=${title}>${children}</span>`;
}
