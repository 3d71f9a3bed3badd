// @ts-check
/** Which documents, which model and which place answer this chat. */
import { t } from "../core/i18n.js";
import { html, useEffect } from "../core/ui.js";
import { Icon, Popover } from "../parts/index.js";
import {
  chooseCollections, chooseNoDocuments, chosenCollections, collectionLabel, collections, documentsLabel, lookAround, models,
} from "./offering.js";
import { change, choices } from "./thread.js";

/** @param {{icon: string, text: string}} props */
function Face({ icon, text }) {
  return html`<${Icon} name=${icon} size=${16} /><span class="picker-text">${text}</span><${Icon} name="down" size=${14} />`;
}

/** One line of a picker. @param {{type: "radio"|"checkbox", name: string, checked: boolean, text: any, about?: any, indent?: boolean, onPick: () => void}} props */
function Line({ type, name, checked, text, about, indent = false, onPick }) {
  return html`<label class=${`pick${indent ? " indent" : ""}`}>
    <input type=${type} name=${name} checked=${checked} onChange=${onPick} />
    <span class="pick-mark" aria-hidden="true">${checked && html`<${Icon} name="check" size=${15} />`}</span>
    <span class="pick-text"><span>${text}</span>${about && html`<span class="muted small-text">${about}</span>`}</span>
  </label>`;
}

function DocumentsPanel() {
  useEffect(() => { lookAround(); }, []);
  const isChat = choices.value.mode === "chat";
  const chosen = chosenCollections();
  const toggle = (/** @type {string} */ name) => {
    const others = chosen.filter((one) => one !== name);
    chooseCollections(!isChat && others.length < chosen.length ? others : [...others, name]);
  };
  return html`<fieldset class="picks"><legend>${t("chat.documents")}</legend>
    <${Line} type="radio" name="documents" checked=${!isChat && !chosen.length} text=${t("chat.documents_all")}
      about=${t("chat.documents_all_about")} onPick=${() => chooseCollections([])} />
    ${collections.value.map((one) => html`<${Line} key=${one.name} type="checkbox" name="collection" indent text=${collectionLabel(one.name)}
      about=${t(one.documents === 1 ? "chat.documents_size_one" : "chat.documents_size", { count: one.documents })}
      checked=${!isChat && chosen.includes(one.name)} onPick=${() => toggle(one.name)} />`)}
    <${Line} type="radio" name="documents" checked=${isChat} text=${t("chat.documents_none")}
      about=${t("chat.documents_none_about")} onPick=${chooseNoDocuments} />
  </fieldset>`;
}

export function DocumentsPicker() {
  const label = documentsLabel();
  return html`<${Popover} class="picker" panelClass="picker-panel" label=${`${t("chat.documents")}: ${label}`}
    button=${html`<${Face} icon="documents" text=${label} />`}>${() => html`<${DocumentsPanel} />`}<//>`;
}

/** @param {{close: () => void}} props */
function ModelPanel({ close }) {
  useEffect(() => { lookAround(); }, []);
  const pick = (/** @type {string} */ name) => {
    change({ model: name });
    close();
  };
  return html`<fieldset class="picks"><legend>${t("chat.model")}</legend>
    <${Line} type="radio" name="model" checked=${!choices.value.model} text=${t("chat.model_default")}
      about=${t("chat.model_default_about")} onPick=${() => pick("")} />
    ${models.value.map((one) => html`<${Line} key=${one.name} type="radio" name="model" indent=${one.isAdapter}
      checked=${choices.value.model === one.name} text=${one.name}
      about=${[one.about, one.loaded && t("chat.model_loaded")].filter(Boolean).join(" · ")} onPick=${() => pick(one.name)} />`)}
    ${!models.value.length && html`<p class="muted small-text">${t("chat.model_none")}</p>`}
  </fieldset>`;
}

export function ModelPicker() {
  const label = choices.value.model || t("chat.model_default");
  return html`<${Popover} class="picker model" panelClass="picker-panel" label=${`${t("chat.model")}: ${label}`}
    button=${html`<${Face} icon="cube" text=${label} />`}>${(/** @type {() => void} */ close) => html`<${ModelPanel} close=${close} />`}<//>`;
}

const PLACES = [["auto", "flame"], ["here", "laptop"], ["home", "home"]];

export function PlacePicker() {
  const { wanted } = choices.value;
  const icon = PLACES.find(([name]) => name === wanted)?.[1] ?? "flame";
  const label = t(`chat.wanted_${wanted}`);
  return html`<${Popover} class="picker place" panelClass="picker-panel" label=${`${t("chat.where")}: ${label}`}
    button=${html`<${Face} icon=${icon} text=${label} />`}>
    ${(/** @type {() => void} */ close) => html`<fieldset class="picks"><legend>${t("chat.where")}</legend>
      ${PLACES.map(([name]) => html`<${Line} key=${name} type="radio" name="place" checked=${wanted === name}
        text=${t(`chat.wanted_${name}`)} about=${t(`chat.wanted_${name}_about`)}
        onPick=${() => { change({ wanted: name }); close(); }} />`)}</fieldset>`}<//>`;
}
