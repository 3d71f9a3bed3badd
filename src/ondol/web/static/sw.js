// The service worker: keeps the app's own files, so that it opens while the server is off, and takes
// what other apps of a phone share with it. Nothing of the API is ever kept. The server puts STAMP
// and FILES before this text (server/worker.py).
/* global STAMP, FILES */

const SHELL = `ondol-shell-${STAMP}`;
const SHARED = "ondol-shared";
const PAGE = "/web/index.html";
const KNOWN = new Set(FILES);

self.addEventListener("install", (event) => {
  event.waitUntil(keepShell().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(dropOlder().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== location.origin) return;
  if (request.method === "POST" && url.pathname === "/share") event.respondWith(takeShared(request));
  else if (request.method !== "GET") return;
  else if (request.mode === "navigate" && url.pathname === "/") event.respondWith(kept(PAGE, request));
  else if (KNOWN.has(url.pathname)) event.respondWith(kept(url.pathname, request));
});

async function keepShell() {
  const shell = await caches.open(SHELL);
  // Asked again with the browser's own copy in hand: what has not changed is not sent again.
  await shell.addAll(FILES.map((path) => new Request(path, { cache: "no-cache" })));
}

async function dropOlder() {
  const names = await caches.keys();
  const older = names.filter((name) => name.startsWith("ondol-shell-") && name !== SHELL);
  await Promise.all(older.map((name) => caches.delete(name)));
}

async function kept(path, request) {
  const shell = await caches.open(SHELL);
  return (await shell.match(path)) ?? fetch(request);
}

/** What another app shares waits in a cache of its own until the page takes it (js/phone/shared.js). */
async function takeShared(request) {
  const form = await request.formData();
  const waiting = await caches.open(SHARED);
  const text = ["title", "text", "url"].map((name) => form.get(name)).filter((one) => typeof one === "string" && one.trim());
  const files = form.getAll("files").filter((one) => typeof one !== "string");
  await waiting.put("/shared/text", new Response([...new Set(text)].join("\n")));
  await Promise.all(
    files.map((file, index) =>
      waiting.put(`/shared/file/${index}`, new Response(file, { headers: { "X-Name": encodeURIComponent(file.name) } })),
    ),
  );
  return Response.redirect("/#/chat?shared=1", 303);
}
