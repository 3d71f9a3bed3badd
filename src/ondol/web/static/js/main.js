// @ts-check
// Starts the app: the catalogues, the page that the address names, the service worker.

import { html, render } from "./core/ui.js";
import { load } from "./core/i18n.js";
import { Shell } from "./core/shell.js";
import { keepShell } from "./phone/install.js";
import { greet } from "./welcome/first.js";

await load("shell");
const root = /** @type {HTMLElement} */ (document.getElementById("app"));
root.replaceChildren();
render(html`<${Shell} />`, root);

keepShell();
greet();
