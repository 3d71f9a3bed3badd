// @ts-check
// Four charts, by day of this month or by month of the year: answers by route, bytes out, energy, money.

import { html, useMemo, useSignal } from "../core/ui.js";
import { bytes, language, number, t } from "../core/i18n.js";
import { Choice, Columns } from "../parts/index.js";
import { energy, won } from "../trust/route.js";

/** @param {{summary: any}} props */
export function Charts({ summary }) {
  const by = useSignal("day");
  const columns = useMemo(
    () => (summary ? (by.value === "day" ? days(summary) : months(summary)) : []),
    [summary, by.value, language.value],
  );
  if (!summary) return null;
  /** @param {(figures: any) => number[]} read */
  const rows = (read) => columns.map(({ label, figures }) => ({ label, values: figures ? read(figures) : read(NOTHING) }));
  const purposes = [...new Set(columns.flatMap(({ figures }) => Object.keys(figures?.bytes_out ?? {})))].sort();
  return html`<section class="ledger-charts" aria-label=${t("ledger.charts")}>
    <div class="row spread">
      <h2>${t("ledger.charts")}</h2>
      <${Choice}
        label=${t("ledger.span")}
        value=${by.value}
        options=${[
          { value: "day", text: t("ledger.days") },
          { value: "month", text: t("ledger.months") },
        ]}
        onChange=${(/** @type {string} */ value) => {
          by.value = value;
        }}
      />
    </div>
    <div class="ledger-grid">
      <${Columns}
        title=${t("ledger.by_route")}
        series=${[
          { text: t("ledger.route_local"), tone: "good" },
          { text: t("ledger.route_home"), tone: "info" },
          { text: t("ledger.route_abstain"), tone: "muted" },
        ]}
        rows=${rows((one) => ["local", "home", "abstain"].map((name) => one.answers[name] ?? 0))}
        format=${number}
      />
      <${Columns}
        title=${t("ledger.bytes_out")}
        series=${(purposes.length ? purposes : ["home"]).map((name) => ({ text: purpose(name), tone: TONES[name] ?? "muted" }))}
        rows=${rows((one) => (purposes.length ? purposes : ["home"]).map((name) => one.bytes_out[name] ?? 0))}
        format=${bytes}
      />
      <${Columns}
        title=${t("ledger.energy")}
        series=${[
          { text: t("ledger.measured"), tone: "accent" },
          { text: t("ledger.estimated"), tone: "muted" },
        ]}
        rows=${rows((one) => [one.energy_joules.measured ?? 0, one.energy_joules.estimated ?? 0])}
        format=${energy}
      />
      <${Side}
        rows=${columns.map(({ label, figures }) => ({
          label,
          here: figures?.cost_here.krw ?? 0,
          cloud: figures?.cost_cloud.krw ?? 0,
        }))}
      />
    </div>
  </section>`;
}

const NOTHING = { answers: {}, bytes_out: {}, energy_joules: {} };
/** @type {Record<string, string>} */
const TONES = { home: "info", download: "accent", "remote-model": "warn", vectors: "good" };

/** What bytes left for, in words. @param {string} name */
export function purpose(name) {
  const key = `ledger.purpose_${name.replaceAll("-", "_")}`;
  const text = t(key);
  return text === key ? name : text;
}

/**
 * What it cost here beside what the cloud would have asked: two columns, never one upon the other.
 * @param {{rows: {label: string, here: number, cloud: number}[]}} props
 */
function Side({ rows }) {
  const most = Math.max(...rows.flatMap((row) => [row.here, row.cloud]), 0) || 1;
  const width = Math.max(rows.length * 28, 120);
  const height = 140;
  const plot = height - 22;
  const title = t("ledger.cost");
  const bars = /** @type {const} */ ([
    ["here", "accent", 4],
    ["cloud", "muted", 14],
  ]);
  return html`<figure class="chart">
    <figcaption>
      <span>${title}</span>
      <span class="legend">
        <span><i class="tone-accent"></i>${t("ledger.here")}</span><span><i class="tone-muted"></i>${t("ledger.cloud")}</span>
      </span>
    </figcaption>
    <svg viewBox=${`0 0 ${width} ${height}`} preserveAspectRatio="xMinYMid meet" aria-hidden="true">
      ${rows.map(
        (row, index) => html`<g key=${row.label}>
          ${bars.map(([name, tone, at]) => {
            const size = Math.max((row[name] / most) * plot, row[name] ? 1 : 0);
            return html`<rect key=${name} class=${`tone-${tone}`} x=${index * 28 + at} width="9" rx="2" y=${plot - size} height=${size}>
              <title>${`${row.label} · ${t(`ledger.${name}`)}: ${won(row[name])}`}</title>
            </rect>`;
          })}
          ${(rows.length <= 12 || index % Math.ceil(rows.length / 10) === 0) &&
          html`<text x=${index * 28 + 13} y=${height - 6} text-anchor="middle">${row.label}</text>`}
        </g>`,
      )}
    </svg>
    <table class="hidden">
      <caption>${title}</caption>
      <thead><tr><td></td><th scope="col">${t("ledger.here")}</th><th scope="col">${t("ledger.cloud")}</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.label}><th scope="row">${row.label}</th><td>${won(row.here)}</td><td>${won(row.cloud)}</td></tr>`)}</tbody>
    </table>
  </figure>`;
}

/** Every day of this month so far, those on which nothing happened too. @param {any} summary */
function days(summary) {
  const known = new Map(summary.days.map((/** @type {any} */ one) => [one.day, one]));
  const month = summary.months.at(-1).month;
  const last = Math.max(Number(new Date().getDate()), ...[...known.keys()].filter((day) => String(day).startsWith(month)).map((day) => Number(String(day).slice(8))));
  return Array.from({ length: last }, (_, index) => {
    const day = String(index + 1).padStart(2, "0");
    return { label: String(index + 1), figures: /** @type {any} */ (known.get(`${month}-${day}`)) };
  });
}

/** @param {any} summary */
function months(summary) {
  const name = new Intl.DateTimeFormat(language.value, { month: "short" });
  return summary.months.map((/** @type {any} */ one) => {
    const [year, month] = one.month.split("-").map(Number);
    return { label: name.format(new Date(year, month - 1, 1)), figures: one };
  });
}
