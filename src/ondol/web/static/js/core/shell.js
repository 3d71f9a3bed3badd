// @ts-check
// What stands around every page: navigation, the word when the server is away, toasts.

import { Fragment, html, useEffect, useSignal } from "./ui.js";
import { t } from "./i18n.js";
import { NotLoaded } from "./lazy.js";
import { PAGES, open } from "./pages.js";
import { href, route } from "./router.js";
import { health, key } from "./state.js";
import { get } from "./api.js";
import { isHere } from "../phone/place.js";
import { Icon } from "../parts/icon.js";
import { Button } from "../parts/button.js";
import { Dialog } from "../parts/dialog.js";
import { Toasts } from "../parts/toasts.js";

export function Shell() {
  const shown = useSignal(/** @type {{name: string, Page: any} | null} */ (null));
  const failed = useSignal("");
  const page = route.value.page;

  useEffect(() => {
    let current = true;
    failed.value = "";
    open(page).then(
      (module) => {
        if (!current) return;
        shown.value = { name: page, Page: module.default };
        document.title = `${t(`shell.${PAGES.some((one) => one.name === page) ? page : "chat"}`)} · Ondol`;
      },
      (error) => {
        if (current) failed.value = String(error?.message ?? error);
      },
    );
    return () => {
      current = false;
    };
  }, [page]);

  return html`<${Fragment}>
    <a class="skip" href="#main" onClick=${skip}>${t("shell.skip")}</a>
    <div class=${`shell shell-${page}`}>
      <${Navigation} page=${page} />
      <main id="main" tabindex="-1">
        <${Away} />
        ${failed.value
          ? html`<${NotLoaded} />`
          : shown.value && html`<${shown.value.Page} key=${shown.value.name} />`}
      </main>
    </div>
    <${Unlock} />
    <${Toasts} />
  <//>`;
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** @param {{page: string}} props */
function Navigation({ page }) {
  const isMoreOpen = useSignal(false);
  const known = PAGES.filter((one) => !one.hidden);
  useEffect(() => {
    isMoreOpen.value = false;
  }, [page]);
  return html`<nav class="rail" aria-label=${t("shell.navigation")}>
    <a class="rail-mark" href=${href("chat")} aria-label="Ondol"><img src="/web/icons/ondol.svg" alt="" width="28" height="28" /></a>
    ${known.map((one) => html`<${Place} key=${one.name} page=${one} current=${page === one.name} />`)}
    <button
      type="button"
      class=${`rail-place rail-more${known.some((one) => !one.main && one.name === page) ? " current" : ""}`}
      aria-expanded=${isMoreOpen.value}
      onClick=${() => {
        isMoreOpen.value = true;
      }}
    >
      <${Icon} name="more" /><span>${t("shell.more")}</span>
    </button>
    ${isMoreOpen.value &&
    html`<${Dialog}
      title=${t("shell.more")}
      onClose=${() => {
        isMoreOpen.value = false;
      }}
    >
      <div class="more-places">
        ${known.filter((one) => !one.main).map((one) => html`<${Place} key=${one.name} page=${one} current=${page === one.name} />`)}
      </div>
    <//>`}
  </nav>`;
}

/** @param {{page: import("./pages.js").Page, current: boolean}} props */
function Place({ page, current }) {
  return html`<a
    class=${`rail-place${page.main ? " main" : ""}${current ? " current" : ""}`}
    href=${href(page.name)}
    aria-current=${current ? "page" : undefined}
  >
    <${Icon} name=${page.icon} /><span>${t(`shell.${page.name}`)}</span>
  </a>`;
}

function Away() {
  const isAway = health.value === "offline";
  useEffect(() => {
    if (!isAway) return undefined;
    const timer = setInterval(check, 3000);
    return () => clearInterval(timer);
  }, [isAway]);
  if (!isAway) return null;
  return html`<div class="away" role="status">
    <${Icon} name="offline" />
    <span>${t("shell.away")}</span>
    <${Button} small onClick=${check}>${t("shell.try_again")}<//>
  </div>`;
}

function check() {
  get("/ondol/v1/health").catch(() => {});
}

function Unlock() {
  const typed = useSignal("");
  // On a phone the key comes with a code, and this page takes it.
  if (health.value !== "locked" || (route.value.page === "pair" && !isHere)) return null;
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    key.value = typed.value.trim();
    location.reload();
  };
  return html`<${Dialog} title=${t("shell.locked")} onClose=${null}>
    <form class="stack" onSubmit=${submit}>
      <p>${t("shell.locked_why")}</p>
      <label class="field">
        <span>${t("shell.key")}</span>
        <input
          type="password"
          autocomplete="current-password"
          value=${typed.value}
          onInput=${(/** @type {any} */ event) => {
            typed.value = event.currentTarget.value;
          }}
        />
      </label>
      <${Button} kind="primary" type="submit">${t("shell.unlock")}<//>
      ${!isHere && html`<a href=${href("pair")}>${t("shell.pair_instead")}</a>`}
    </form>
  <//>`;
}
