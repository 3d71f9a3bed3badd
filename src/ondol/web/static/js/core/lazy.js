// @ts-check
// Parts that are fetched when they are first shown, so that the app begins light.

import { html, useEffect, useState } from "./ui.js";

/**
 * A component that stands for one of another module. Nothing is shown until it is here;
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
    useEffect(() => {
      // Also where it came between the first drawing and now: nobody else would draw it.
      ready().then(() => setIsHere(true), () => {});
    }, []);
    return found ? html`<${found} ...${props} />` : null;
  }
  Lazy.ready = ready;
  return Lazy;
}
