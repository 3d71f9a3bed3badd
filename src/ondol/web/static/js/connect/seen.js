// @ts-check
// Who talked to this server lately: asked again and again while the page is looked at.

import { signal, useEffect } from "../core/ui.js";
import { get } from "../core/api.js";

/** @typedef {{family: string, dialect: string, first_at: string, last_at: string, count: number, last_path: string, is_here: boolean}} Client */

const EVERY_MS = 2000;

/** @type {import("../../vendor/signals.js").Signal<Client[]>} */
export const clients = signal([]);

/** Requests so far of each family, when the page was opened. @type {import("../../vendor/signals.js").Signal<Record<string, number> | null>} */
const before = signal(null);

/** Keep `clients` up to date while a component is there. */
export function useClients() {
  useEffect(() => {
    before.value = null;
    let isOver = false;
    const look = async () => {
      if (document.visibilityState === "hidden") return;
      try {
        const answer = await get("/ondol/v1/clients");
        if (isOver) return;
        clients.value = answer.clients;
        before.value ??= counts(answer.clients);
      } catch {
        // The shell says so where the server is away.
      }
    };
    look();
    const timer = setInterval(look, EVERY_MS);
    return () => {
      isOver = true;
      clearInterval(timer);
    };
  }, []);
}

/** @param {Client[]} all */
function counts(all) {
  /** @type {Record<string, number>} */
  const found = {};
  for (const one of all) found[one.family] = (found[one.family] ?? 0) + one.count;
  return found;
}

/**
 * What is known of a program by the families that it may come as: the latest, how many requests, and
 * whether one came since the page was opened.
 * @param {string[]} families
 */
export function seen(families) {
  const mine = clients.value.filter((one) => families.includes(one.family));
  if (!mine.length) return null;
  const count = mine.reduce((sum, one) => sum + one.count, 0);
  const known = before.value ?? {};
  const earlier = families.reduce((sum, family) => sum + (known[family] ?? 0), 0);
  return { latest: mine[0], count, isNew: before.value !== null && count > earlier };
}
