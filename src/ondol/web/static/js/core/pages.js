// @ts-check
// Every page: its name in the address, its icon, where it stands in the navigation.

/** @typedef {{name: string, icon: string, main?: boolean, hidden?: boolean}} Page */

/** `main` pages are in the phone's bottom bar; `hidden` ones are reached from elsewhere.
 * @type {Page[]} */
export const PAGES = [
  { name: "chat", icon: "chat", main: true },
  { name: "documents", icon: "documents", main: true },
  { name: "models", icon: "cube", main: true },
  { name: "ledger", icon: "shield", main: true },
  { name: "hub", icon: "hub" },
  { name: "memory", icon: "bookmark" },
  { name: "personal", icon: "person" },
  { name: "federation", icon: "people" },
  { name: "lab", icon: "sliders" },
  { name: "connect", icon: "plug" },
  { name: "pair", icon: "phone" },
  { name: "settings", icon: "gear" },
  { name: "welcome", icon: "flame", hidden: true },
];

/** @type {Map<string, Promise<any>>} */
const loading = new Map();

/** The page's module with its catalogues and style sheet loaded. @param {string} name */
export function open(name) {
  const known = PAGES.some((page) => page.name === name) ? name : "chat";
  let found = loading.get(known);
  if (!found) {
    found = Promise.all([import(`../pages/${known}.js`), style(known)]).then(async ([module]) => {
      const { load } = await import("./i18n.js");
      await load(...(module.catalogues ?? [known]));
      return module;
    });
    found.catch(() => loading.delete(known));
    loading.set(known, found);
  }
  return found;
}

/** @param {string} name */
export function style(name) {
  const address = `/web/css/${name}.css`;
  if (document.querySelector(`link[href="${address}"]`)) return Promise.resolve();
  return new Promise((done) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: address });
    // A page without a style sheet of its own is still a page.
    link.onload = link.onerror = () => done(undefined);
    document.head.append(link);
  });
}
