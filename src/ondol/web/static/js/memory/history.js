// @ts-check
// What a memory said before something contradicted it: read, restored, erased.

import { html, useEffect, useSignal } from "../core/ui.js";
import { del, get, post } from "../core/api.js";
import { moment, t, when } from "../core/i18n.js";
import { complain, toast } from "../core/state.js";
import { Button, Dialog } from "../parts/index.js";

/** @typedef {{number: number, text: string, sensitivity: string, source: string, at: string}} Version */

/** @param {{memory: import("./form.js").Memory, onChange: () => Promise<void>, onClose: () => void}} props */
export function HistoryDialog({ memory, onChange, onClose }) {
  const path = `/ondol/v1/memories/${memory.id}`;
  const versions = useSignal(/** @type {Version[] | null} */ (null));
  const now = useSignal(memory.text);
  const isBusy = useSignal(false);
  const load = () =>
    get(`${path}/history`).then((answer) => {
      versions.value = answer.history;
    }, complain);
  useEffect(() => {
    load();
  }, []);
  /** @param {() => Promise<any>} work */
  const change = async (work) => {
    isBusy.value = true;
    try {
      await work();
      await load();
      await onChange();
    } catch (error) {
      complain(error);
    }
    isBusy.value = false;
    if (versions.value?.length === 0) onClose();
  };
  /** @param {Version} one @param {boolean} beside */
  const restore = (one, beside) =>
    change(async () => {
      const restored = await post(`${path}/restore`, { number: one.number, beside });
      if (!beside) now.value = restored.text;
      toast(t("memory.restored"), { kind: "good" });
    });
  /** @param {string} which "" for all of them */
  const erase = (which) =>
    change(async () => {
      const erased = await del(`${path}/history${which}`);
      toast(t(erased.is_erased ? "memory.erased" : "memory.erased_later", { count: erased.versions }), { kind: "good" });
    });
  const footer = html`<${Button} kind="danger" icon="trash" busy=${isBusy.value} onClick=${() => erase("")}>${t("memory.history_erase_all")}<//>
    <${Button} onClick=${onClose}>${t("memory.close")}<//>`;
  return html`<${Dialog} title=${t("memory.history_title")} onClose=${onClose} footer=${footer}>
    <div class="stack">
      <blockquote class="memory-gone"><strong class="small-text">${t("memory.history_now")}</strong><br />${now.value}</blockquote>
      <p class="muted small-text">${t("memory.history_about")}</p>
      <ul class="memories">
        ${(versions.value ?? []).map(
          (one) => html`<li key=${one.number} class="memory-version">
            <div class="memory-body">
              <p class="memory-text">${one.text}</p>
              <p class="small-text muted"><time datetime=${one.at} title=${moment(one.at)}>${t("memory.until", { when: when(one.at) })}</time></p>
            </div>
            <div class="row">
              <${Button} small icon="back" disabled=${isBusy.value} onClick=${() => restore(one, false)}>${t("memory.restore")}<//>
              <${Button} small kind="quiet" disabled=${isBusy.value} onClick=${() => restore(one, true)}>${t("memory.restore_beside")}<//>
              <${Button} small kind="quiet" disabled=${isBusy.value} aria-label=${t("memory.erase_this", { text: one.text })}
                onClick=${() => erase(`/${one.number}`)}>${t("memory.erase_yes")}<//>
            </div>
          </li>`,
        )}
      </ul>
    </div>
  <//>`;
}
