// @ts-check
// One line about this month: how many answers never left this device. It opens the ledger. Part of the
// chat page from its start, so that it has a catalogue ("strip") of its own.

import { html, signal, useEffect, useSignal } from "../core/ui.js";
import { get } from "../core/api.js";
import { number, t } from "../core/i18n.js";
import { href } from "../core/router.js";
import { health } from "../core/state.js";
import { Icon } from "../parts/index.js";

/** Counts up when an answer is new: the month's numbers have changed. */
const newest = signal(0);
/** @type {Set<string>} */
const seen = new Set();

/** An answer is shown; where it is a new one the strip counts again. @param {string | null | undefined} id */
export function noteAnswer(id) {
  if (!id || seen.has(id)) return;
  seen.add(id);
  newest.value += 1;
}

/** How many of a month's answers never left this device. @param {any} month */
export function stayed({ num_answers: all, stayed_here: here }) {
  if (!all) return t("strip.none");
  if (here < all) return t("strip.some", { stayed: number(here), all: number(all) });
  return t(all === 1 ? "strip.one" : "strip.all", { all: number(all) });
}

export function PrivacyStrip() {
  const month = useSignal(/** @type {any} */ (null));
  const isOnline = health.value === "online";
  useEffect(() => {
    if (!isOnline) return undefined;
    let current = true;
    // Several answers that are shown at once are one reason to look.
    const timer = setTimeout(
      () =>
        get("/ondol/v1/ledger/summary").then(
          (told) => {
            if (current) month.value = told.months.at(-1);
          },
          () => {},
        ),
      newest.value ? 400 : 0,
    );
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [newest.value, isOnline]);
  if (!month.value) return html`<div class="privacy-strip" aria-hidden="true"></div>`;
  return html`<a class="privacy-strip" href=${href("ledger")}><${Icon} name="shield" size=${16} /><span>${stayed(month.value)}</span></a>`;
}
