// @ts-check
// The way to the server: JSON, bytes and server-sent events. Nothing here knows a page.

import { language } from "./i18n.js";
import { health, key } from "./state.js";

/** What went wrong, in the server's words. `status` 0: nobody answered. */
export class ApiError extends Error {
  /** @param {{status: number, code?: string, message: string, hint?: string, details?: any}} what */
  constructor({ status, code = "", message, hint = "", details = null }) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.hint = hint;
    this.details = details;
  }
}

/** What is chosen right before a page is left, or read again, is told all the same: browsers send
 * up to 64 KB after the page has gone. */
const CHANGES = new Set(["PATCH", "PUT", "DELETE"]);
const KEPT_ALIVE = 16_000;

/**
 * @param {string} method @param {string} path
 * @param {{body?: any, headers?: Record<string, string>, signal?: AbortSignal}} [how]
 * @returns {Promise<Response>} a response that is not an error
 */
export async function call(method, path, { body, headers = {}, signal } = {}) {
  const sent = new Headers({ "Accept-Language": language.value, ...headers });
  if (key.value) sent.set("Authorization", `Bearer ${key.value}`);
  const isRaw = body instanceof Blob || body instanceof ArrayBuffer;
  const told = body === undefined || isRaw ? body : JSON.stringify(body);
  if (body !== undefined && !isRaw) sent.set("Content-Type", "application/json");
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: sent,
      body: told,
      signal,
      keepalive: CHANGES.has(method) && (told === undefined || (!isRaw && told.length < KEPT_ALIVE)),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    health.value = "offline";
    throw new ApiError({ status: 0, code: "offline", message: String(error) });
  }
  health.value = "online";
  if (response.ok) return response;
  throw await failure(response);
}

/** @param {Response} response */
async function failure(response) {
  if (response.status === 401) health.value = "locked";
  let told;
  try {
    told = (await response.json()).error;
  } catch {
    told = null;
  }
  return new ApiError({
    status: response.status,
    code: told?.code ?? "",
    message: told?.message ?? `${response.status} ${response.statusText}`,
    hint: told?.hint ?? "",
    details: told,
  });
}

/** @param {string} path @param {AbortSignal} [signal] @returns {Promise<any>} */
export const get = async (path, signal) => (await call("GET", path, { signal })).json();

/** @param {string} path @param {any} [body] @returns {Promise<any>} */
export const post = (path, body = {}) => json("POST", path, body);

/** @param {string} path @param {any} body @returns {Promise<any>} */
export const put = (path, body) => json("PUT", path, body);

/** @param {string} path @param {any} body @returns {Promise<any>} */
export const patch = (path, body) => json("PATCH", path, body);

/** @param {string} path @param {any} [body] @returns {Promise<any>} */
export const del = (path, body) => json("DELETE", path, body);

/** @param {string} path @param {Blob} bytes @param {Record<string, string>} [headers] @returns {Promise<any>} */
export const upload = async (path, bytes, headers) => read(await call("POST", path, { body: bytes, headers }));

/** @param {string} path @returns {Promise<Blob>} */
export const blob = async (path) => (await call("GET", path)).blob();

/** @param {string} method @param {string} path @param {any} body */
const json = async (method, path, body) => read(await call(method, path, { body }));

/** @param {Response} response */
async function read(response) {
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/**
 * The events of a stream, as they come. An event "error" is thrown as an ApiError; the stream ends
 * with the response.
 * @param {string} path
 * @param {{method?: string, body?: any, signal?: AbortSignal}} [how]
 * @returns {AsyncGenerator<{event: string, data: any, id: string}>}
 */
export async function* events(path, { method = "GET", body, signal } = {}) {
  const response = await call(method, path, { body, signal, headers: { Accept: "text/event-stream" } });
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop() ?? "";
      for (const part of parts) {
        const found = parse(part);
        if (!found) continue;
        if (found.event === "error") throw streamed(found.data);
        yield found;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @param {any} data */
function streamed(data) {
  const told = data.error ?? data;
  return new ApiError({ status: 500, code: told.code, message: told.message, hint: told.hint, details: told });
}

/** @param {string} text @returns {{event: string, data: any, id: string} | null} */
function parse(text) {
  let event = "message";
  let id = "";
  const data = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
    else if (line.startsWith("id:")) id = line.slice(3).trim();
  }
  // OpenAI's streams end with a word that is no JSON.
  return data.length && data[0] !== "[DONE]" ? { event, data: JSON.parse(data.join("\n")), id } : null;
}
