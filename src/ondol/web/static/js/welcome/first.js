// @ts-check
// Whether this is the first run, which the server knows: then the first steps come before the chat.

import { get, patch } from "../core/api.js";
import { go } from "../core/router.js";

/** Show the first steps to who has come for the first time, unless the address says where to go. */
export async function greet() {
  if (location.hash.replace(/^#\/?/, "")) return;
  try {
    const state = await get("/ondol/v1/onboarding");
    if (!state.done && !location.hash.replace(/^#\/?/, "")) go("welcome", { replace: true });
  } catch {
    // A server that is away or asks for a key says so itself.
  }
}

/** It is over; go on to `target`. @param {string} target */
export async function finish(target) {
  try {
    await patch("/ondol/v1/onboarding", { done: true });
  } catch {
    // Then the first steps come once more; nobody is kept here for that.
  }
  go(target);
}
