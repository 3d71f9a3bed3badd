// @ts-check
/**
 * Listens to a run until it ends. The run goes on in the server whoever listens; so a lost line, a sleeping
 * phone or a reloaded page loses nothing: it asks again for what came after the last event it has.
 */
import { events } from "../core/api.js";

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 5000;

/**
 * @typedef {{event: string, data: any, id?: string|number|null}} RunEvent
 * @typedef {object} Listener
 * @property {(event: RunEvent) => void} heard each event once, in order; `end` is the last
 * @property {() => void} gone the run failed or is no longer known: read the message itself
 * @property {(lost: boolean) => void} lost the line is cut (true) or back (false)
 */

/**
 * @param {string} run
 * @param {Listener} listener
 * @returns {() => void} stop listening (the run itself goes on)
 */
export function follow(run, listener) {
  let after = 0;
  let closed = false;
  let wait = FIRST_WAIT_MS;
  /** @type {AbortController|null} */
  let line = null;
  /** @type {(() => void)|null} */
  let wake = null;

  /** Ends a pause at once, and replaces a line that may be dead without having said so. */
  const rouse = () => {
    if (document.visibilityState === "hidden") return;
    wait = FIRST_WAIT_MS;
    line?.abort();
    wake?.();
  };
  const occasions = /** @type {[EventTarget, string][]} */ ([
    [document, "visibilitychange"], [window, "online"], [window, "pageshow"],
  ]);
  for (const [target, name] of occasions) target.addEventListener(name, rouse);

  const close = () => {
    closed = true;
    for (const [target, name] of occasions) target.removeEventListener(name, rouse);
    line?.abort();
    wake?.();
  };

  /** @returns {Promise<boolean>} whether the run has ended */
  async function listen() {
    line = new AbortController();
    const path = `/ondol/v1/runs/${encodeURIComponent(run)}/events?after=${after}`;
    for await (const event of events(path, { signal: line.signal })) {
      if (closed) return true;
      const id = Number(event.id);
      if (Number.isFinite(id) && id > 0) {
        if (id <= after) continue;
        after = id;
      }
      wait = FIRST_WAIT_MS;
      listener.lost(false);
      listener.heard(event);
      if (event.event === "end") return true;
    }
    return false;
  }

  async function keepListening() {
    while (!closed) {
      try {
        if (await listen()) break;
      } catch (error) {
        if (closed) break;
        const { name, status = 0 } = /** @type {any} */ (error);
        if (status >= 400) {
          close();
          listener.gone();
          break;
        }
        if (name !== "AbortError") listener.lost(true);
      }
      if (!closed) await pause();
    }
    close();
  }

  function pause() {
    return new Promise((resolve) => {
      const timer = setTimeout(done, wait);
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
      function done() {
        clearTimeout(timer);
        wake = null;
        resolve(undefined);
      }
      wake = done;
    });
  }

  keepListening();
  return close;
}
