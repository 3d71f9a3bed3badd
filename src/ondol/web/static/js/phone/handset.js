// @ts-check
// The page on the phone: give the code, then make an app of it.

import { Fragment, html, useEffect, useSignal } from "../core/ui.js";
import { del, get, post } from "../core/api.js";
import { t } from "../core/i18n.js";
import { go, route } from "../core/router.js";
import { complain, health, key } from "../core/state.js";
import { forget } from "../core/storage.js";
import { Button, Field, Icon, PageHead } from "../parts/index.js";
import { install, installing } from "./install.js";
import { deviceName, isApple } from "./place.js";

const OF_THE_DEVICE = ["theme", "language"];

export function AtPhone() {
  return key.value ? html`<${Paired} />` : html`<${Unpaired} />`;
}

function Unpaired() {
  const code = useSignal(route.value.query.code ?? "");
  const error = useSignal("");
  const isBusy = useSignal(false);
  const send = async () => {
    isBusy.value = true;
    error.value = "";
    try {
      const told = await post("/ondol/v1/pairing", { code: code.value, name: deviceName() });
      key.value = told.key;
      health.value = "online";
    } catch (/** @type {any} */ failed) {
      error.value = [failed.message, failed.hint].filter(Boolean).join(" ");
    }
    isBusy.value = false;
  };
  useEffect(() => {
    if (!code.value) return;
    // A code is good once: it stays neither in the address nor in the history.
    go("pair", { replace: true });
    send();
  }, []);
  return html`<${Fragment}>
    <${PageHead} title=${t("pair.enter")} about=${t("pair.enter_about")} />
    <form
      class="card stack enter"
      onSubmit=${(/** @type {Event} */ event) => {
        event.preventDefault();
        send();
      }}
    >
      <${Field} label=${t("pair.code")} hint=${t("pair.code_hint")} error=${error.value}>
        ${(/** @type {any} */ about) => html`<input
          ...${about}
          type="text"
          class="code"
          autocomplete="one-time-code"
          autocapitalize="characters"
          spellcheck=${false}
          value=${code.value}
          onInput=${(/** @type {any} */ event) => {
            code.value = event.currentTarget.value;
          }}
        />`}
      <//>
      <${Button} kind="primary" type="submit" busy=${isBusy.value} disabled=${!code.value.trim()}>${t("pair.pair")}<//>
    </form>
  <//>`;
}

function Paired() {
  const device = useSignal(/** @type {any} */ (null));
  useEffect(() => {
    get("/ondol/v1/pairing/devices").then(
      (found) => {
        device.value = found.devices.find((/** @type {any} */ one) => one.id === found.this) ?? null;
      },
      () => {},
    );
  }, []);
  const leave = async () => {
    await del(`/ondol/v1/pairing/devices/${device.value.id}`).catch(complain);
    key.value = "";
    // Nothing of the owner's stays on it.
    forget((name) => !OF_THE_DEVICE.includes(name));
  };
  return html`<${Fragment}>
    <${PageHead} title=${t("pair.done")} about=${t("pair.done_about")} />
    <div class="card stack">
      <${Button} kind="primary" icon="chat" onClick=${() => go("chat")}>${t("pair.start")}<//>
    </div>
    <${AsApp} />
    ${device.value &&
    html`<section class="card device this-device" aria-label=${t("pair.this_device")}>
      <${Icon} name="phone" />
      <div><strong>${device.value.name}</strong><span class="muted small-text">${t("pair.this_device")}</span></div>
      <${Button} small onClick=${leave}>${t("pair.leave")}<//>
    </section>`}
  <//>`;
}

function AsApp() {
  const state = installing.value;
  if (state === "installed" || state === "no") return null;
  return html`<section class="card stack" aria-labelledby="as-app">
    <h2 id="as-app">${t("pair.as_app")}</h2>
    ${state === "offered" &&
    html`<p>${t("pair.as_app_why")}</p>
      <${Button} icon="download" onClick=${() => install().catch(complain)}>${t("pair.install")}<//>`}
    ${state === "by_hand" && html`<p>${t("pair.install_ios")}</p>`}
    ${state === "untrusted" &&
    html`<p>${t("pair.untrusted")}</p>
      <a class="button" href="/ondol/v1/pairing/certificate">${t("pair.get_certificate")}</a>
      <ul class="ways">
        ${isApple !== false && html`<li><strong>${t("pair.trust_ios")}</strong><span>${t("pair.trust_ios_how")}</span></li>`}
        ${isApple !== true && html`<li><strong>${t("pair.trust_android")}</strong><span>${t("pair.trust_android_how")}</span></li>`}
      </ul>`}
  </section>`;
}
