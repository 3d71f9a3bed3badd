// @ts-check
// Models on their way here: how far, how fast, and what is the matter when nothing moves.

import { html, useEffect, useSignal } from "../core/ui.js";
import { bytes, number, seconds, t } from "../core/i18n.js";
import { Button, Confirm, Icon, IconButton, Progress } from "../parts/index.js";
import { giveUp, pulls, turn } from "./pulls.js";
import { shortName } from "./words.js";

const VERIFYING = "verifying sha256 digest";

export function PullCards() {
  const shown = pulls.value.filter((one) => one.state !== "done");
  if (!shown.length) return null;
  return html`<section class="pulls" aria-labelledby="pulls-title">
    <h2 id="pulls-title">${t("models.on_their_way")}</h2>
    ${shown.map((one) => html`<${Card} key=${one.id} pull=${one} />`)}
  </section>`;
}

/** @param {{pull: import("./pulls.js").Pull}} props */
function Card({ pull }) {
  const isLeaving = useSignal(false);
  const isRunning = pull.state === "running";
  const name = shortName(pull.model);
  const share = pull.total_bytes ? pull.completed_bytes / pull.total_bytes : null;
  return html`<article class=${`card pull ${pull.state}`}>
    <div class="pull-head">
      <h3 title=${pull.model}>${name}</h3>
      <div class="row">
        ${isRunning || pull.state === "waiting"
          ? html`<${Button} small icon="pause" onClick=${() => turn(pull, "pause")}>${t("models.pause")}<//>`
          : html`<${Button} small icon="play" onClick=${() => turn(pull, "resume")}>${t(pull.state === "failed" ? "models.try_again" : "models.resume")}<//>`}
        <${IconButton}
          icon="close"
          label=${t("models.give_up", { name })}
          onClick=${() => {
            isLeaving.value = true;
          }}
        />
      </div>
    </div>
    <${Progress} label=${name} value=${isRunning && !pull.completed_bytes ? null : (share ?? 0)} text=${share === null ? "" : `${number(Math.floor(share * 100))} %`} />
    <p class="pull-state" role="status">
      ${pull.state === "waiting" && html`<${Icon} name="offline" size=${16} />`}
      <span>${told(pull)}</span>
    </p>
    ${pull.state === "waiting" && html`<${Waiting} pull=${pull} />`}
    ${pull.error && html`<p class=${`notice ${pull.state === "failed" ? "bad" : "warn"}`}>${[pull.error.message, pull.state === "failed" ? pull.error.hint : ""].join(" ")}</p>`}
    ${isLeaving.value &&
    html`<${Confirm}
      title=${t("models.give_up", { name })}
      action=${t("models.give_up_action")}
      onConfirm=${() => giveUp(pull)}
      onClose=${() => {
        isLeaving.value = false;
      }}
    >
      <p>${t("models.give_up_ask", { size: bytes(pull.completed_bytes) })}</p>
    <//>`}
  </article>`;
}

/** @param {import("./pulls.js").Pull} pull */
function told(pull) {
  const { state, status, completed_bytes: done, total_bytes: total, bytes_per_second: speed } = pull;
  const size = total ? t("models.of_bytes", { done: bytes(done), total: bytes(total) }) : done ? bytes(done) : "";
  if (state === "waiting") return t("models.waiting");
  if (state === "paused") return [t("models.paused"), size].filter(Boolean).join(" · ");
  if (state === "failed") return t("models.failed");
  if (status === VERIFYING) return t("models.verifying");
  if (!done) return t("models.looking");
  const left = speed && total ? t("models.left", { time: seconds((total - done) / speed) }) : "";
  return [size, speed ? t("models.speed", { size: bytes(speed) }) : t("models.stalled"), left].filter(Boolean).join(" · ");
}

/** When it will be tried again, and the way not to wait. @param {{pull: import("./pulls.js").Pull}} props */
function Waiting({ pull }) {
  const now = useSignal(Date.now());
  useEffect(() => {
    const timer = setInterval(() => {
      now.value = Date.now();
    }, 500);
    return () => clearInterval(timer);
  }, []);
  const left = pull.tries_again_at ? Math.max(0, Math.ceil((new Date(pull.tries_again_at).getTime() - now.value) / 1000)) : 0;
  return html`<div class="row pull-waiting">
    <span class="muted small-text">${left ? t("models.tries_in", { time: seconds(left) }) : t("models.tries_now")}</span>
    <${Button} small icon="refresh" onClick=${() => turn(pull, "resume")}>${t("models.try_now")}<//>
  </div>`;
}
