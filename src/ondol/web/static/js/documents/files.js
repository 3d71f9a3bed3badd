// @ts-check
// Every file with its status: search, filter, sort, page by page.

import { html, useEffect, useRef, useSignal } from "../core/ui.js";
import { number, t } from "../core/i18n.js";
import { Button, Choice, Icon, Popover, Select } from "../parts/index.js";
import { FileRow } from "./file_row.js";
import { ask, asked, countAll, files, reloadFiles, wrong } from "./shelf.js";

const STATUSES = ["read", "copy", "empty", "failed"];
const TYPING_MS = 250;

/** @param {{onForget: (what: any) => void, onLimit: (file: import("./shelf.js").File) => void}} props */
export function Files({ onForget, onLimit }) {
  const page = files.value;
  const isBusy = useSignal(false);
  const more = async () => {
    isBusy.value = true;
    await reloadFiles({ more: true });
    isBusy.value = false;
  };
  return html`<section class="files" aria-labelledby="files-title">
    <div class="files-head">
      <h2 id="files-title">${t("documents.files")}</h2>
      <p class="muted small-text" role="status">
        ${page && (page.total === 1 ? t("documents.found_one") : t("documents.found", { count: number(page.total) }))}
      </p>
    </div>
    <${Toolbar} />
    ${wrong.value && html`<p class="notice warn" role="alert">${wrong.value}</p>`}
    ${page && page.total > 0
      ? html`<div class="table-holder" role="group" aria-labelledby="files-title" tabindex="0">
          <table class="table files-table">
            <thead>
              <tr>
                <th scope="col">${t("documents.column_name")}</th>
                <th scope="col">${t("documents.column_status")}</th>
                <th scope="col">${t("documents.column_label")}</th>
                <th scope="col">${t("documents.column_language")}</th>
                <th scope="col" class="number">${t("documents.column_size")}</th>
                <th scope="col">${t("documents.column_changed")}</th>
                <th scope="col"><span class="hidden">${t("documents.column_more")}</span></th>
              </tr>
            </thead>
            <tbody>
              ${page.files.map((one) => html`<${FileRow} key=${`${one.status === "failed"} ${one.source}`} file=${one} onForget=${onForget} onLimit=${onLimit} />`)}
            </tbody>
          </table>
        </div>`
      : page && html`<p class="muted files-none">${t(asked.value.query || asked.value.status ? "documents.none_found" : "documents.none_yet")}</p>`}
    ${page?.next && html`<${Button} class="more-files" busy=${isBusy.value} onClick=${more}>${t("documents.more_files", { count: number(page.total - page.files.length) })}<//>`}
  </section>`;
}

function Toolbar() {
  const typed = useSignal(asked.value.query);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  /** @param {any} event */
  const type = (event) => {
    typed.value = event.currentTarget.value;
    clearTimeout(timer.current);
    // While a syllable is being composed the words are not there yet.
    if (event.isComposing) return;
    timer.current = window.setTimeout(() => ask({ query: typed.value.trim() }), TYPING_MS);
  };
  const counts = files.value?.counts ?? {};
  const options = [
    { value: "", text: html`${t("documents.status_all")} <span class="count">${number(countAll())}</span>` },
    ...STATUSES.filter((one) => counts[one] || asked.value.status === one).map((one) => ({
      value: one,
      text: html`${t(`documents.status_${one}`)} <span class="count">${number(counts[one] ?? 0)}</span>`,
    })),
  ];
  return html`<div class="toolbar">
    <div class="search-box">
      <${Icon} name="search" size=${18} />
      <input
        type="search"
        aria-label=${t("documents.search")}
        placeholder=${t("documents.search_example")}
        value=${typed.value}
        onInput=${type}
        onCompositionEnd=${type}
      />
      <${Popover} label=${t("documents.search_help")} class="icon-button" button=${html`<${Icon} name="help" size=${18} />`} panelClass="search-help">
        ${() => html`<p>${t("documents.search_about")}</p>
          <dl>
            ${["in", "type", "after", "before", "path", "lang"].map(
              (word) => html`<dt key=${word}><code>${t(`documents.word_${word}`)}</code></dt><dd>${t(`documents.word_${word}_means`)}</dd>`,
            )}
          </dl>`}
      <//>
    </div>
    ${options.length > 2 && html`<${Choice} label=${t("documents.column_status")} value=${asked.value.status} options=${options} onChange=${(/** @type {string} */ status) => ask({ status })} />`}
    <${Select}
      label=${t("documents.order")}
      value=${`${asked.value.order}${asked.value.descending ? "-" : ""}`}
      options=${["source", "added-", "size-", "type"].map((value) => ({ value, text: t(`documents.order_${value.replace("-", "")}`) }))}
      onChange=${(/** @type {string} */ value) => ask({ order: value.replace("-", ""), descending: value.endsWith("-") })}
    />
  </div>`;
}
