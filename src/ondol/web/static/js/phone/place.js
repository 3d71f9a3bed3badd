// @ts-check
// Whether this browser runs on the computer that Ondol runs on, or elsewhere; and what to call it.

const name = location.hostname.replace(/^\[|\]$/g, "");

const isLoopback = name === "localhost" || name.endsWith(".localhost") || name === "::1" || /^127\./.test(name);

/** At the computer itself: what comes by TLS comes by the phones' door. */
export const isHere = isLoopback && location.protocol === "http:";

/** An iPhone or iPad; `null` where it cannot be told. */
export const isApple = /iPhone|iPad/.test(navigator.userAgent) ? true : /Android/.test(navigator.userAgent) ? false : null;

/** What the list of devices calls this one. */
export function deviceName() {
  const agent = navigator.userAgent;
  const kind = ["iPhone", "iPad", "Android", "Macintosh", "Windows", "CrOS", "Linux"].find((one) => agent.includes(one));
  const model = /Android [\d.]+; ([^;)]+)/.exec(agent)?.[1]?.replace(/ Build.*/, "").trim();
  if (kind === "Android" && model && model !== "K") return model;
  return { Macintosh: "Mac", CrOS: "Chromebook" }[kind ?? ""] ?? kind ?? "";
}
