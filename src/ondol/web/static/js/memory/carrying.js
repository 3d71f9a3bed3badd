// @ts-check
// All that is remembered as a file, and taken in again.

import { get, post } from "../core/api.js";
import { number, t } from "../core/i18n.js";
import { complain, toast } from "../core/state.js";

const ALL = "/ondol/v1/memories";

/** All of it as a file. */
export async function save() {
  try {
    const everything = await get(`${ALL}/export`);
    const file = new Blob([`${JSON.stringify(everything, null, 2)}\n`], { type: "application/json" });
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: "ondol-memories.json" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  } catch (error) {
    complain(error);
  }
}

/** Ask for a file that was saved, and take it in. @param {() => Promise<void>} onTaken */
export function takeIn(onTaken) {
  const input = Object.assign(document.createElement("input"), { type: "file", accept: ".json,application/json" });
  input.onchange = async () => {
    const file = input.files?.[0];
    if (!file) return;
    try {
      const taken = await post(`${ALL}/import`, parse(await file.text()));
      toast(t("memory.imported", { count: number(taken.memories), personas: number(taken.personas), known: number(taken.known) }), { kind: "good" });
      await onTaken();
    } catch (error) {
      complain(error);
    }
  };
  input.click();
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(t("memory.not_json"));
  }
}
