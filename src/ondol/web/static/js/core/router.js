// @ts-check
// Routes are "#/page/rest/of/path?name=value": they work offline and need nothing of the server.

import { signal } from "./ui.js";

/** @typedef {{page: string, path: string[], query: Record<string, string>}} Route */

/** @returns {Route} */
function read() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [page, ...rest] = (path || "chat").split("/").map(decoded);
  return { page: page || "chat", path: rest.filter(Boolean), query: Object.fromEntries(new URLSearchParams(query ?? "")) };
}

/** As it was written, where a stranger's link wrote nonsense. @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Where we are. */
export const route = signal(read());

addEventListener("hashchange", () => {
  route.value = read();
});

/** "#/…" of a target. @param {string} target "documents/notes?x=y" */
export const href = (target) => `#/${target}`;

/** @param {string} target @param {{replace?: boolean}} [how] */
export function go(target, { replace = false } = {}) {
  if (replace) {
    history.replaceState(null, "", href(target));
    route.value = read();
  } else location.hash = href(target);
}
