// @ts-check
// What another app of the phone shared with Ondol: the service worker kept it, the new chat takes it.

const SHARED = "ondol-shared";

/**
 * What was shared, once: after that it is gone from the browser. `null` where nothing waits.
 * @returns {Promise<{text: string, files: File[]} | null>}
 */
export async function takeShared() {
  if (!("caches" in globalThis) || !(await caches.has(SHARED))) return null;
  const waiting = await caches.open(SHARED);
  const text = (await (await waiting.match("/shared/text"))?.text()) ?? "";
  const files = [];
  for (const request of await waiting.keys()) {
    const response = await waiting.match(request);
    if (!response || !request.url.includes("/shared/file/")) continue;
    const name = decodeURIComponent(response.headers.get("X-Name") ?? "");
    const bytes = await response.blob();
    files.push(new File([bytes], name || "shared", { type: bytes.type }));
  }
  await caches.delete(SHARED);
  return text || files.length ? { text, files } : null;
}
