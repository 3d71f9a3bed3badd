// @ts-check
// How far documents may travel: chosen in a dialog that says so where it would be further than now.

import { html, useSignal } from "../core/ui.js";
import { number, t } from "../core/i18n.js";
import { complain, toast } from "../core/state.js";
import { Button, Dialog } from "../parts/index.js";
import { SensitivityChoice, loosens } from "./sensitivity.js";
import { reload } from "./shelf.js";

/**
 * `save` asks the server for the chosen label and gives what that changed; `ask` is what a looser
 * one means.
 * @param {{name: string, now: any, save: (level: any) => Promise<any>, ask: string, about?: string, words?: any, onClose: () => void}} props
 */
export function LabelDialog({ name, now, save, ask, about, words, onClose }) {
  const level = useSignal(now);
  const isBusy = useSignal(false);
  const isLoose = loosens(now, level.value);
  const keep = async () => {
    isBusy.value = true;
    try {
      toast(relabelled(await save(level.value)), { kind: "good" });
      await reload();
      onClose();
    } catch (error) {
      complain(error);
    } finally {
      isBusy.value = false;
    }
  };
  const footer = html`<${Button} onClick=${onClose}>${t("shell.cancel")}<//>
    <${Button} kind=${isLoose ? "danger" : "primary"} busy=${isBusy.value} disabled=${level.value === now} onClick=${keep}>
      ${isLoose ? t("documents.loosen") : t("documents.save")}
    <//>`;
  return html`<${Dialog} title=${t("documents.label_of", { name })} onClose=${onClose} footer=${footer}>
    <div class="stack">
      ${about && html`<p class="muted">${about}</p>`}
      <${SensitivityChoice}
        label=${t("documents.how_far")}
        value=${level.value}
        words=${words}
        onChange=${(/** @type {any} */ one) => {
          level.value = one;
        }}
      />
      ${isLoose && html`<p class="notice warn" role="alert">${ask}</p>`}
    </div>
  <//>`;
}

/** @param {{loosened: number, tightened: number}} done */
function relabelled({ loosened, tightened }) {
  if (loosened) return t("documents.loosened", { count: number(loosened) });
  if (tightened) return t("documents.tightened", { count: number(tightened) });
  return t("documents.label_saved");
}
