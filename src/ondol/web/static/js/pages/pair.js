// @ts-check
// "Your phone": at the computer the code that lets one in, and who is in; on the phone the way in.

import { html } from "../core/ui.js";
import { AtComputer } from "../phone/computer.js";
import { AtPhone } from "../phone/handset.js";
import { isHere } from "../phone/place.js";

export const catalogues = ["pair"];

export default function Pair() {
  return html`<div class="page pair">${isHere ? html`<${AtComputer} />` : html`<${AtPhone} />`}</div>`;
}
