// @ts-check
// The entries as a table: the newest first, by kind, route and time, a page at a time.

import { html, useEffect, useSignal } from "../core/ui.js";
import { get } from "../core/api.js";
import { bytes, moment, number, percent, seconds, t, when } from "../core/i18n.js";
import { Button, Empty, Icon, Select } from "../parts/index.js";
import { purpose } from "./charts.js";

const PAGE = 50;
const KINDS = [
  "answer", "egress", "received", "refused", "home", "served", "enrolment", "left", "feedback", "calibration",
  "activation", "restored", "rebuilt", "break", "given", "tool", "federation", "round", "hub", "update",
];
const ROUTES = ["local", "home", "abstain"];
/** @type {Record<string, string>} */
const ICONS = {
  egress: "upload", received: "download", refused: "lock", home: "home", served: "home", enrolment: "link", left: "link",
  federation: "link", round: "upload", hub: "link", update: "refresh",
  feedback: "thumb_up", calibration: "sliders", activation: "sliders", restored: "refresh", rebuilt: "refresh", break: "alert",
};
/** @type {Record<string, string>} */
const ROUTE_ICONS = { local: "laptop", home: "home", abstain: "help" };

/** @param {{onOpen: (id: string) => void}} props */
export function Entries({ onOpen }) {
  const kind = useSignal("");
  const way = useSignal("");
  const since = useSignal("");
  const until = useSignal("");
  const entries = useSignal(/** @type {any[] | null} */ (null));
  const next = useSignal(/** @type {number | null} */ (null));
  const isBusy = useSignal(false);
  const failure = useSignal(/** @type {any} */ (null));

  /** @param {number | null} before @param {AbortSignal} [stopping] */
  const read = async (before, stopping) => {
    isBusy.value = true;
    const asked = new URLSearchParams({ limit: String(PAGE) });
    if (kind.value) asked.set("kind", kind.value);
    if (way.value) asked.set("route", way.value);
    if (since.value) asked.set("since", new Date(`${since.value}T00:00`).toISOString());
    if (until.value) asked.set("until", dayAfter(until.value));
    if (before) asked.set("before", String(before));
    try {
      const told = await get(`/ondol/v1/ledger?${asked}`, stopping);
      entries.value = before ? [...(entries.value ?? []), ...told.entries] : told.entries;
      next.value = told.next_before;
      failure.value = null;
    } catch (error) {
      if (!stopping?.aborted) failure.value = error;
    } finally {
      isBusy.value = false;
    }
  };
  useEffect(() => {
    const stopping = new AbortController();
    read(null, stopping.signal);
    return () => stopping.abort();
  }, [kind.value, way.value, since.value, until.value]);

  const isFiltered = kind.value || way.value || since.value || until.value;
  return html`<section class="ledger-entries" aria-label=${t("ledger.entries")}>
    <div class="row spread">
      <h2>${t("ledger.entries")}</h2>
      <div class="ledger-filters">
        <${Select} label=${t("ledger.kind")} value=${kind.value} onChange=${(/** @type {string} */ value) => {
          kind.value = value;
          if (value && value !== "answer") way.value = "";
        }} options=${[{ value: "", text: t("ledger.all_kinds") }, ...KINDS.map((one) => ({ value: one, text: t(`ledger.kind_${one}`) }))]} />
        <${Select} label=${t("ledger.route")} value=${way.value} disabled=${Boolean(kind.value) && kind.value !== "answer"} onChange=${(/** @type {string} */ value) => {
          way.value = value;
        }} options=${[{ value: "", text: t("ledger.all_routes") }, ...ROUTES.map((one) => ({ value: one, text: t(`ledger.route_${one}`) }))]} />
        <${Day} label=${t("ledger.since")} day=${since} />
        <${Day} label=${t("ledger.until")} day=${until} />
        ${isFiltered &&
        html`<${Button} small kind="quiet" icon="close" onClick=${() => {
          kind.value = way.value = since.value = until.value = "";
        }}>${t("ledger.clear")}<//>`}
      </div>
    </div>
    ${failure.value && html`<p class="notice bad" role="alert">${failure.value.message} ${failure.value.hint}</p>`}
    ${entries.value && (entries.value.length ? html`<${Rows} entries=${entries.value} onOpen=${onOpen} />` : !failure.value && html`<${None} isFiltered=${Boolean(isFiltered)} />`)}
    ${next.value !== null &&
    html`<${Button} class="ledger-more" busy=${isBusy.value} onClick=${() => read(next.value)}>${t("ledger.older")}<//>`}
    <p class="hidden" role="status">${entries.value && t("ledger.shown", { count: number(entries.value.length) })}</p>
  </section>`;
}

/** The beginning of the day after, so that the day itself is in. @param {string} day */
function dayAfter(day) {
  const date = new Date(`${day}T00:00`);
  date.setDate(date.getDate() + 1);
  return date.toISOString();
}

/** @param {{label: string, day: {value: string}}} props */
function Day({ label, day }) {
  return html`<label class="ledger-day">
    <span>${label}</span>
    <input type="date" value=${day.value} onChange=${(/** @type {any} */ event) => {
      day.value = event.currentTarget.value;
    }} />
  </label>`;
}

/** @param {{isFiltered: boolean}} props */
function None({ isFiltered }) {
  return html`<${Empty} icon=${html`<${Icon} name="shield" size=${26} />`} title=${t(isFiltered ? "ledger.none_such" : "ledger.none")}>
    <p>${t(isFiltered ? "ledger.none_such_about" : "ledger.none_about")}</p>
  <//>`;
}

/** @param {{entries: any[], onOpen: (id: string) => void}} props */
function Rows({ entries, onOpen }) {
  return html`<div class="table-holder">
    <table class="table ledger-table">
      <thead>
        <tr>
          <th scope="col">${t("ledger.when")}</th>
          <th scope="col">${t("ledger.what")}</th>
          <th scope="col">${t("ledger.who")}</th>
          <th scope="col" class="number">${t("ledger.sure")}</th>
          <th scope="col" class="number">${t("ledger.out")}</th>
          <th scope="col" class="number">${t("ledger.took")}</th>
        </tr>
      </thead>
      <tbody>
        ${entries.map((entry) => html`<${Row} key=${entry.id} entry=${entry} onOpen=${onOpen} />`)}
      </tbody>
    </table>
  </div>`;
}

/** What an entry is, in a few words. @param {any} entry */
const named = (entry) => (entry.kind === "answer" && entry.route ? t(`ledger.route_${entry.route}`) : word(`ledger.kind_${entry.kind}`, entry.kind));

/** @param {string} key @param {string} otherwise */
function word(key, otherwise) {
  const text = t(key);
  return text === key ? otherwise : text;
}

/** @param {{entry: any, onOpen: (id: string) => void}} props */
function Row({ entry, onOpen }) {
  const whom = entry.model || [entry.destination, entry.purpose && purpose(entry.purpose)].filter(Boolean).join(" · ");
  return html`<tr class=${`ledger-row ${entry.kind}`} onClick=${() => onOpen(entry.id)}>
    <td class="ledger-when"><time datetime=${entry.time} title=${moment(entry.time)}>${when(entry.time)}</time></td>
    <td class="ledger-what">
      <button type="button" class="ledger-open" onClick=${(/** @type {Event} */ event) => {
        event.stopPropagation();
        onOpen(entry.id);
      }}>
        <${Icon} name=${entry.kind === "answer" ? (ROUTE_ICONS[entry.route] ?? "chat") : (ICONS[entry.kind] ?? "documents")} size=${16} />
        <span>${named(entry)}</span>
      </button>
    </td>
    <td class="ledger-whom">${whom}</td>
    <td class="number">${entry.probability === undefined ? "" : percent(entry.probability)}</td>
    <td class="number">${entry.bytes_out === undefined ? "" : bytes(entry.bytes_out)}</td>
    <td class="number">${entry.seconds === undefined ? "" : seconds(entry.seconds)}</td>
  </tr>`;
}
