// @ts-check
// Parts that are fetched when they are first shown, so that the app begins light.

import { html, useEffect, useState } from "./ui.js";
import { t } from "./i18n.js";
import { Button } from "../parts/button.js";

const PAUSE_MS = 1000;
// Some browsers remember that a module could not be fetched until the page is loaded again.
const TRIES = 4;

/**
 * A component that stands for one of another module. Nothing is shown until it is here; while it is
 * shown it is asked for again, and once that has failed for seconds, loading the page anew is offered.
 * `Part.ready()` fetches it ahead of time.
 * @param {() => Promise<any>} load "() => import(…)"
 * @param {string} [name] what the module calls it
 * @returns {any}
 */
export function lazy(load, name = "default") {
  /** @type {any} */
  let found = null;
  /** @type {Promise<any> | null} */
  let loading = null;
  const ready = () => {
    loading ??= load().then(
      (module) => {
        found = module[name];
      },
      (error) => {
        loading = null;
        throw error;
      },
    );
    return loading;
  };
  /** @param {any} props */
  function Lazy(props) {
    const [, setIsHere] = useState(found !== null);
    const [failures, setFailures] = useState(0);
    useEffect(() => {
      let timer = 0;
      let isShown = true;
      // Also where it came between the first drawing and now: nobody else would draw it.
      ready().then(
        () => isShown && setIsHere(true),
        () => {
          if (isShown) timer = setTimeout(() => setFailures(failures + 1), failures && PAUSE_MS);
        },
      );
      return () => {
        isShown = false;
        clearTimeout(timer);
      };
    }, [failures]);
    if (!found && failures >= TRIES) return html`<${NotLoaded} />`;
    return found ? html`<${found} ...${props} />` : null;
  }
  Lazy.ready = ready;
  return Lazy;
}

/** Stands where a page or a part of it could not be fetched. */
export function NotLoaded() {
  return html`<div class="notice bad" role="alert">
    <p>${t("shell.page_failed")}</p>
    <${Button} onClick=${() => location.reload()}>${t("shell.try_again")}<//>
  </div>`;
}
