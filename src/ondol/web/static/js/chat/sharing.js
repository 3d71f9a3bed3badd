// @ts-check
/** What another app of the phone shared: its words wait in the composer, its files in a chat of their own. */
import { go } from "../core/router.js";
import { takeShared } from "../phone/shared.js";
import { attach } from "./attachments.js";
import { insert } from "./typing.js";

export async function takeIn() {
  const shared = await takeShared();
  go("chat", { replace: true });
  if (shared?.text) insert(shared.text);
  // A phone shares with the installed app alone; in a tab of the browser any website may pretend to.
  if (shared?.files.length && matchMedia("(display-mode: standalone)").matches) await attach(shared.files);
}
