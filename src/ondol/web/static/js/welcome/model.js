// @ts-check
// The second screen: what answers at once, and what fits this machine and comes in the background.

import { html, useEffect, useSignal } from "../core/ui.js";
import { get, post } from "../core/api.js";
import { bytes, number, percent, t } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { Badge, Button, Icon, Progress } from "../parts/index.js";

/** @typedef {{id: string, model: string, state: "running" | "waiting" | "paused" | "done" | "failed", status: string, completed_bytes: number, total_bytes: number | null, bytes_per_second: number | null, error: any}} Pull */

const EVERY_MS = 1000;

/** @param {{state: any}} props what GET /onboarding says */
export function ModelStep({ state }) {
  const pulls = useSignal(/** @type {Pull[]} */ ([]));
  const isAsked = useSignal(false);
  const look = () =>
    get("/ondol/v1/pulls").then(
      (answer) => {
        pulls.value = answer.pulls;
      },
      () => {},
    );
  useEffect(() => {
    look();
    const timer = setInterval(look, EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  /** @param {string} model */
  const pull = async (model) => {
    isAsked.value = true;
    try {
      await post("/ondol/v1/pulls", { model });
      await look();
    } catch (error) {
      complain(error);
    }
    isAsked.value = false;
  };
  const isHere = state.models.some((/** @type {any} */ one) => one.name === state.model);
  const better = state.recommended;
  const isBetter = better && better.name !== state.model;
  /** @param {string} name */
  const pullOf = (name) => pulls.value.find((one) => one.model === name);
  return html`<div class="welcome-step">
    <h1>${t("welcome.model_title")}</h1>
    <p class="welcome-about">${t("welcome.model_about")}</p>
    <div class="welcome-models">
      <article class="card welcome-model">
        <header class="row spread">
          <h2>${state.model}</h2>
          ${isHere ? html`<${Badge} tone="good"><${Icon} name="check" size=${14} />${t("welcome.ready")}<//>` : html`<${Badge} tone="warn">${t("welcome.not_here")}<//>`}
        </header>
        <p>${t("welcome.starter_about")}</p>
        ${!isHere && html`<${Getting} name=${state.model} size=${null} pull=${pullOf(state.model)} isAsked=${isAsked.value} onPull=${() => pull(state.model)} />`}
      </article>
      ${isBetter &&
      html`<article class="card welcome-model best">
        <header class="row spread">
          <h2>${better.name}</h2>
          <${Badge} tone="accent">${t("welcome.best_here")}<//>
        </header>
        <p>${better.why}</p>
        <p class="muted small-text">
          ${t("welcome.facts", { size: bytes(better.size_bytes), parameters: number(Math.round(better.parameters / 1e8) / 10), licence: better.licence })}
        </p>
        <${Getting} name=${better.name} size=${better.size_bytes} isInstalled=${better.installed} pull=${pullOf(better.name)} isAsked=${isAsked.value} onPull=${() => pull(better.name)} />
      </article>`}
    </div>
  </div>`;
}

/** @param {{name: string, size: number | null, isInstalled?: boolean, pull?: Pull, isAsked: boolean, onPull: () => void}} props */
function Getting({ name, size, isInstalled = false, pull, isAsked, onPull }) {
  if (isInstalled || pull?.state === "done") {
    return html`<p class="row welcome-got" role="status"><${Icon} name="check" />${t("welcome.is_here")}</p>`;
  }
  if (!pull || pull.state === "paused" || pull.state === "failed") {
    return html`<div class="stack">
      ${pull?.state === "failed" && html`<p class="notice bad" role="alert">${[pull.error?.message, pull.error?.hint].filter(Boolean).join(" ")}</p>`}
      <${Button} icon="download" busy=${isAsked} onClick=${onPull}>
        ${pull ? t("welcome.resume") : size === null ? t("welcome.download") : t("welcome.download_size", { size: bytes(size) })}
      <//>
    </div>`;
  }
  const share = pull.total_bytes ? pull.completed_bytes / pull.total_bytes : null;
  const speed = pull.bytes_per_second ? ` · ${t("welcome.speed", { speed: bytes(pull.bytes_per_second) })}` : "";
  return html`<div class="stack">
    <${Progress} label=${t("welcome.downloading", { name })} value=${share} text=${`${share === null ? "" : percent(share)}${speed}`} />
    <p class="muted small-text" role="status">${t("welcome.goes_on")}</p>
  </div>`;
}
