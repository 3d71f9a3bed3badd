// @ts-check
// How far files are on their way into the library, and what became of them.

import { html, useSignal } from "../core/ui.js";
import { number, seconds, t } from "../core/i18n.js";
import { Button, Icon, IconButton, Progress } from "../parts/index.js";
import { dismiss, pace, readings } from "./reading.js";
import { nameOf } from "./shelf.js";

const OUTCOMES = ["added", "updated", "moved", "removed", "unchanged", "failed"];
const SHOWN = 200;

export function Readings() {
  if (!readings.value.length) return null;
  return html`<section class="readings" aria-label=${t("documents.reading")}>
    ${readings.value.map((one) => html`<${Card} key=${one.id} reading=${one} />`)}
  </section>`;
}

/** @param {{reading: import("./reading.js").Reading}} props */
function Card({ reading }) {
  const isRunning = reading.state === "running";
  const tone = { running: "", done: reading.failures.length ? "warn" : "good", failed: "bad", stopped: "warn" }[reading.state];
  return html`<article class=${`card reading ${tone}`}>
    <div class="reading-head">
      <h2>${title(reading)}</h2>
      ${isRunning
        ? html`<${Button} small icon="stop" onClick=${() => reading.stop.abort()}>${t("documents.stop")}<//>`
        : html`<${IconButton} icon="close" label=${t("shell.dismiss")} onClick=${() => dismiss(reading.id)} />`}
    </div>
    ${isRunning && html`<${Running} reading=${reading} />`}
    <p class="hidden" role="status">${isRunning ? "" : `${title(reading)} ${summary(reading)}`}</p>
    ${!isRunning && html`<p>${reading.error || summary(reading)}</p>`}
    ${reading.missing.map((path) => html`<p key=${path} class="small-text">${t("documents.missing_kept", { path })}</p>`)}
    ${reading.failures.length > 0 && html`<${Failures} failures=${reading.failures} />`}
  </article>`;
}

/** @param {{reading: import("./reading.js").Reading}} props */
function Running({ reading }) {
  const { rate, left } = pace(reading);
  const parts = [
    reading.total ? t("documents.n_of_m", { n: number(reading.completed), m: number(reading.total) }) : t("documents.looking"),
    rate ? t("documents.pace", { rate: number(rate < 10 ? Math.round(rate * 10) / 10 : Math.round(rate)) }) : "",
    left >= 1 ? t("documents.left", { time: seconds(left) }) : "",
  ];
  return html`<${Progress}
      label=${title(reading)}
      value=${reading.total ? reading.completed / reading.total : null}
      text=${parts.filter(Boolean).join(" · ")}
    />
    <p class="reading-now" title=${reading.current}>${reading.current ? nameOf(reading.current) : " "}</p>`;
}

/** @param {{failures: import("./reading.js").Failure[]}} props */
function Failures({ failures }) {
  const isOpen = useSignal(failures.length <= 3);
  const toggle = () => {
    isOpen.value = !isOpen.value;
  };
  return html`<div class="failures">
    <button type="button" class="disclosure" aria-expanded=${String(isOpen.value)} onClick=${toggle}>
      <${Icon} name=${isOpen.value ? "down" : "next"} size=${16} />
      ${failures.length === 1 ? t("documents.not_read_one") : t("documents.not_read", { count: number(failures.length) })}
    </button>
    ${isOpen.value &&
    html`<ul>
      ${failures.slice(0, SHOWN).map((one, index) => html`<li key=${index} title=${one.name}>${names(one) ? "" : html`<strong>${nameOf(one.name)}</strong> `}<span>${one.reason}</span></li>`)}
    </ul>`}
  </div>`;
}

/** Whether the reason names the file itself. @param {import("./reading.js").Failure} failure */
const names = ({ name, reason }) => reason.includes(nameOf(name));

/** @param {import("./reading.js").Reading} reading */
function title({ kind, state, what, total }) {
  const place = what && kind !== "upload" ? nameOf(what) : what;
  if (state === "stopped") return t("documents.stopped");
  if (state === "failed") return t("documents.reading_failed");
  if (kind === "sync") return state === "done" ? t("documents.synced") : t("documents.syncing");
  if (place) return t(state === "done" ? "documents.added_what" : "documents.adding_what", { what: place });
  return t(state === "done" ? "documents.added_files" : "documents.adding_files", { count: number(total) });
}

/** @param {import("./reading.js").Reading} reading */
function summary(reading) {
  const counts = OUTCOMES.filter((name) => reading.counts[name]);
  const told = counts.map((name) => t(`documents.outcome_${name}`, { count: number(reading.counts[name]) }));
  return told.join(" · ") || t("documents.nothing_new");
}
