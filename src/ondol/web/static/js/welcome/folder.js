// @ts-check
// The third screen: a folder (or files) to answer from, and the first question.

import { html, useEffect, useRef, useSignal } from "../core/ui.js";
import { get } from "../core/api.js";
import { number, percent, t } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { Button, Icon, Progress } from "../parts/index.js";
import { findTopics, topics } from "../chat/topics.js";
import { AddFolder } from "../documents/browse.js";
import { addFolder, dropped, readings, send } from "../documents/reading.js";
import { finish } from "./first.js";

const QUESTIONS = ["welcome.ask_about", "welcome.ask_list", "welcome.ask_know"];
const PLACES = 4;

export function FolderStep() {
  const places = useSignal(/** @type {string[] | null} */ (null));
  const isChoosing = useSignal(false);
  const isOver = useSignal(false);
  const documents = useSignal(0);
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const isReading = readings.value.some((one) => one.state === "running");
  const isRead = readings.value.some((one) => one.state === "done");

  useEffect(() => {
    get("/ondol/v1/browse").then(
      (answer) => {
        places.value = answer.places.filter((/** @type {string} */ one) => one !== answer.path).slice(0, PLACES);
      },
      () => {
        // From another device nobody looks through this machine's folders; files can be sent.
        places.value = null;
      },
    );
  }, []);
  useEffect(() => {
    get("/ondol/v1/documents").then((answer) => {
      documents.value = answer.documents.length;
      if (answer.documents.length) findTopics(answer.documents).catch(() => {});
    }, complain);
  }, [isReading]);

  /** @param {any} files */
  const take = (files) => send(files, "default");
  /** @param {DragEvent} event */
  const drop = async (event) => {
    event.preventDefault();
    isOver.value = false;
    if (event.dataTransfer) take(await dropped(event.dataTransfer));
  };
  return html`<div class="welcome-step">
    <h1>${t("welcome.folder_title")}</h1>
    <p class="welcome-about">${t("welcome.folder_about")}</p>
    ${!isReading &&
    html`<div
      class=${`welcome-drop${isOver.value ? " over" : ""}`}
      onDragOver=${(/** @type {DragEvent} */ event) => {
        event.preventDefault();
        isOver.value = true;
      }}
      onDragLeave=${() => (isOver.value = false)}
      onDrop=${drop}
    >
      ${places.value !== null &&
      html`<div class="welcome-places">
        ${places.value.map(
          (path) => html`<button key=${path} type="button" class="welcome-place" title=${path} onClick=${() => addFolder({ path, watch: true })}>
            <${Icon} name="folder" size=${26} /><span>${path.split("/").pop()}</span>
          </button>`,
        )}
        <button type="button" class="welcome-place" onClick=${() => (isChoosing.value = true)}>
          <${Icon} name=${places.value.length ? "search" : "folder"} size=${26} /><span>${t(places.value.length ? "welcome.other_folder" : "welcome.choose_folder")}</span>
        </button>
      </div>`}
      <p class="muted">
        ${t("welcome.drop")}${" "}
        <button type="button" class="welcome-link" onClick=${() => input.current?.click()}>${t("welcome.choose_files")}</button>
      </p>
      <input
        ref=${input}
        class="hidden"
        type="file"
        multiple
        tabindex="-1"
        aria-label=${t("welcome.choose_files")}
        onChange=${(/** @type {any} */ event) => take([...event.currentTarget.files].map((file) => ({ file, name: file.name })))}
      />
    </div>`}
    ${readings.value.map((one) => html`<${Reading} key=${one.id} reading=${one} />`)}
    ${documents.value > 0 && !isReading && html`<${FirstQuestions} documents=${documents.value} isNew=${isRead} />`}
    ${isChoosing.value && html`<${AddFolder} collection="" onClose=${() => (isChoosing.value = false)} />`}
  </div>`;
}

/** @param {{reading: import("../documents/reading.js").Reading}} props */
function Reading({ reading }) {
  if (reading.state === "running") {
    const share = reading.total ? reading.completed / reading.total : null;
    return html`<div class="card stack welcome-reading">
      <div class="row spread">
        <strong>${t("welcome.reading")}</strong>
        <${Button} small icon="stop" onClick=${() => reading.stop.abort()}>${t("welcome.enough")}<//>
      </div>
      <${Progress}
        label=${t("welcome.reading")}
        value=${share}
        text=${share === null ? "" : t("welcome.n_of_m", { n: number(reading.completed), m: number(reading.total), share: percent(share) })}
      />
      <p class="muted small-text welcome-now">${reading.current.split("/").pop() || " "}</p>
    </div>`;
  }
  if (reading.error) return html`<p class="notice bad" role="alert">${reading.error}</p>`;
  const failed = reading.failures.length;
  return failed ? html`<p class="notice warn" role="status">${t("welcome.not_read", { count: number(failed) })}</p>` : null;
}

/** @param {{documents: number, isNew: boolean}} props */
function FirstQuestions({ documents, isNew }) {
  const known = topics.value ?? [];
  return html`<section class="welcome-questions" aria-labelledby="welcome-questions">
    <h2 id="welcome-questions" role="status">
      <${Icon} name="check" />${t(isNew ? "welcome.read" : "welcome.have", { count: number(documents) })}
    </h2>
    ${known.length > 0 &&
    html`<p class="muted">${t("welcome.ask")}</p>
      <ul>
        ${QUESTIONS.map((key, index) => t(key, { topic: known[index % known.length] })).map(
          (question) => html`<li key=${question}>
            <button type="button" class="welcome-question" onClick=${() => finish(`chat?text=${encodeURIComponent(question)}`)}>
              <span>${question}</span><${Icon} name="next" size=${16} />
            </button>
          </li>`,
        )}
      </ul>`}
  </section>`;
}
