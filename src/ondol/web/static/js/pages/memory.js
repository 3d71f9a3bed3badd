// @ts-check
// Memory: what the owner wants Ondol to remember. See it, add to it, change it, erase it, take it along;
// what it said before, what waits for a yes, and the personas that chats begin with.

import { html, useEffect, useSignal } from "../core/ui.js";
import { del, get, patch, post } from "../core/api.js";
import { number, t } from "../core/i18n.js";
import { complain, toast } from "../core/state.js";
import { Confirm, Empty, Icon, Menu, PageHead, Tabs } from "../parts/index.js";
import { save, takeIn } from "../memory/carrying.js";
import { AddForm, EditDialog, KINDS } from "../memory/form.js";
import { HistoryDialog } from "../memory/history.js";
import { Item } from "../memory/item.js";
import { Personas } from "../memory/personas.js";
import { Suggestions, waiting } from "../memory/suggestions.js";

const ALL = "/ondol/v1/memories";

export default function MemoryPage() {
  const memories = useSignal(/** @type {import("../memory/form.js").Memory[] | null} */ (null));
  const suggestions = useSignal(/** @type {import("../memory/suggestions.js").Suggestion[]} */ ([]));
  const personas = useSignal(0);
  const query = useSignal("");
  const kind = useSignal("all");
  const editing = useSignal(/** @type {import("../memory/form.js").Memory | null} */ (null));
  const looking = useSignal(/** @type {import("../memory/form.js").Memory | null} */ (null));
  const erasing = useSignal(/** @type {import("../memory/form.js").Memory | "all" | null} */ (null));
  const isBusy = useSignal(false);

  const load = async () => {
    try {
      const asked = `${ALL}?query=${encodeURIComponent(query.value.trim())}`;
      const [answer, found] = await Promise.all([get(asked), waiting()]);
      memories.value = answer.memories;
      suggestions.value = found;
    } catch (error) {
      complain(error);
    }
  };
  useEffect(() => {
    const timer = setTimeout(load, query.value ? 150 : 0);
    return () => clearTimeout(timer);
  }, [query.value]);

  /** Whether it was taken; then the list is read again. @param {() => Promise<any>} work */
  const change = async (work) => {
    try {
      await work();
      await load();
      return true;
    } catch (error) {
      complain(error);
      return false;
    }
  };
  const erase = async () => {
    const gone = erasing.value;
    isBusy.value = true;
    const isDone = await change(async () => {
      const erased = await (gone === "all" ? del(ALL, { all: true }) : del(`${ALL}/${gone?.id}`));
      toast(t(erased.is_erased ? "memory.erased" : "memory.erased_later", { count: number(erased.memories) }), { kind: "good" });
    });
    isBusy.value = false;
    if (isDone) erasing.value = null;
  };

  const all = memories.value ?? [];
  const shown = all.filter((one) => kind.value === "all" || one.kind === kind.value);
  return html`<div class="page memory-page">
    <${PageHead} title=${t("memory.title")} about=${t("memory.about")}>
      <${Menu}
        label=${t("memory.more")}
        items=${[
          { text: t("memory.export"), icon: "download", run: () => save() },
          {
            text: t("memory.import"),
            icon: "upload",
            run: () =>
              takeIn(async () => {
                personas.value += 1;
                await load();
              }),
          },
          null,
          { text: t("memory.erase_all"), icon: "trash", danger: true, disabled: !all.length && !suggestions.value.length, run: () => (erasing.value = "all") },
        ]}
      />
    <//>
    <div class="stack">
      <${AddForm} onAdd=${(/** @type {any} */ fields) => change(() => post(ALL, fields))} />
      <${Suggestions} suggestions=${suggestions.value} memories=${all} onChange=${load} />
      <div class="row spread memory-tools">
        <${Tabs}
          label=${t("memory.kind")}
          tabs=${["all", ...KINDS].map((id) => ({
            id,
            text: t(`memory.tab_${id}`, { count: number(all.filter((one) => id === "all" || one.kind === id).length) }),
          }))}
          current=${kind.value}
          onChange=${(/** @type {string} */ id) => {
            kind.value = id;
          }}
        />
        <label class="memory-search">
          <span class="hidden">${t("memory.search")}</span>
          <${Icon} name="search" size=${16} />
          <input
            type="search"
            placeholder=${t("memory.search")}
            value=${query.value}
            onInput=${(/** @type {any} */ event) => {
              query.value = event.currentTarget.value;
            }}
          />
        </label>
      </div>
      ${memories.value !== null &&
      (shown.length
        ? html`<ul class="memories">
            ${shown.map(
              (one) => html`<${Item} key=${one.id} memory=${one} onEdit=${() => (editing.value = one)} onErase=${() => (erasing.value = one)} onHistory=${() => (looking.value = one)} />`,
            )}
          </ul>`
        : html`<${Empty} icon=${html`<${Icon} name="bookmark" size=${26} />`} title=${t(query.value || kind.value !== "all" ? "memory.none_found" : "memory.none")}>
            <p>${t("memory.none_about")}</p>
          <//>`)}
      <${Personas} key=${personas.value} />
    </div>
    ${looking.value && html`<${HistoryDialog} memory=${looking.value} onChange=${load} onClose=${() => (looking.value = null)} />`}
    ${editing.value &&
    html`<${EditDialog}
      memory=${editing.value}
      onSave=${(/** @type {any} */ fields) => change(() => patch(`${ALL}/${editing.value?.id}`, fields))}
      onClose=${() => (editing.value = null)}
    />`}
    ${erasing.value &&
    html`<${Confirm}
      title=${t(erasing.value === "all" ? "memory.erase_all" : "memory.erase")}
      action=${t("memory.erase_yes")}
      busy=${isBusy.value}
      onConfirm=${erase}
      onClose=${() => (erasing.value = null)}
    >
      ${erasing.value !== "all" && html`<blockquote class="memory-gone">${erasing.value.text}</blockquote>`}
      <p>${t("memory.erase_about")}</p>
    <//>`}
  </div>`;
}
