// @ts-check
// The privacy ledger: what was answered, what left, what it cost; checked, filtered, handed to others.

import { html, useEffect, useSignal } from "../core/ui.js";
import { get } from "../core/api.js";
import { t } from "../core/i18n.js";
import { go, route } from "../core/router.js";
import { complain } from "../core/state.js";
import { PageHead } from "../parts/index.js";
import { Charts } from "../ledger/charts.js";
import { Entries } from "../ledger/entries.js";
import { EntryDrawer } from "../ledger/entry.js";
import { ExportMenu, Verify } from "../ledger/checking.js";
import { Month } from "../ledger/month.js";

export const catalogues = ["ledger", "strip", "trust"];

const MONTHS = 12;

export default function Ledger() {
  const summary = useSignal(/** @type {any} */ (null));
  const id = route.value.path[0];
  useEffect(() => {
    get(`/ondol/v1/ledger/summary?months=${MONTHS}`).then((told) => {
      summary.value = told;
    }, complain);
  }, []);
  return html`<div class="page ledger-page">
    <${PageHead} title=${t("ledger.title")} about=${t("ledger.about")}>
      <${Verify} />
      <${ExportMenu} />
    <//>
    <${Month} month=${summary.value?.months.at(-1)} />
    <${Charts} summary=${summary.value} />
    <${Entries} onOpen=${(/** @type {string} */ one) => go(`ledger/${one}`)} />
    ${id && html`<${EntryDrawer} key=${id} id=${id} onClose=${() => go("ledger")} />`}
  </div>`;
}
