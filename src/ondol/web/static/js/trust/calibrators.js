// @ts-check
// How well the probabilities hold, as the server has measured it: asked once, and again now and then.

import { get } from "../core/api.js";
import { signal } from "../core/ui.js";

/**
 * @typedef {{name: string, model: string, task: string, n: number, ece: number, auroc: number | null,
 *   threshold: number | null, feasible: boolean, coverage: number | null, own: boolean,
 *   possible: {target_error: number, coverage: number} | null}} Calibrator
 */

const STALE_MS = 5 * 60 * 1000;

/** @type {import("../../vendor/signals.js").Signal<{target_error: number, calibrators: Calibrator[]} | null>} */
export const calibrators = signal(null);

let asked = 0;

/** Have them here, if they are not. */
export function wantCalibrators() {
  if (Date.now() - asked < STALE_MS) return;
  asked = Date.now();
  get("/ondol/v1/confidence/calibrators").then(
    (told) => {
      calibrators.value = told;
    },
    () => {
      asked = 0; // a badge without them says what it knows
    },
  );
}

/** @param {string | undefined} name "model/task@version", as an answer names it */
export const calibratorOf = (name) => calibrators.value?.calibrators.find((one) => one.name === name) ?? null;
