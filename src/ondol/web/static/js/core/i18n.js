// @ts-check
// English and Korean. `t("chat.send")` is `send` in static/i18n/<language>/chat.json, which a page
// loads before it shows. Numbers, sizes and times as the language writes them.

import { particle } from "./particles.js";
import { computed, signal } from "./ui.js";
import { recall, remember } from "./storage.js";

export const LANGUAGES = ["en", "ko"];

const guessed = navigator.languages?.some((one) => one.startsWith("ko")) ? "ko" : "en";
const stored = recall("language", "");

/** The language in force, "en" or "ko". */
export const language = signal(LANGUAGES.includes(stored) ? stored : guessed);

/** @type {import("../../vendor/signals.js").Signal<Record<string, Record<string, string>>>} */
const catalogues = signal({});
/** @type {Map<string, Promise<void>>} */
const loading = new Map();
/** @type {Set<string>} */
const wanted = new Set();

/** Fetch catalogues by name, once. @param {...string} names */
export async function load(...names) {
  await Promise.all(names.map((name) => one(name, language.value)));
}

/** @param {string} name @param {string} code */
function one(name, code) {
  wanted.add(name);
  const id = `${code}/${name}`;
  let found = loading.get(id);
  if (!found) {
    found = fetch(`/web/i18n/${id}.json`)
      .then((response) => {
        if (!response.ok) throw new Error(`${id}: ${response.status}`);
        return response.json();
      })
      .then((texts) => {
        catalogues.value = { ...catalogues.value, [id]: texts };
      });
    found.catch(() => loading.delete(id));
    loading.set(id, found);
  }
  return found;
}

/** Speak another language, at once and from now on. @param {string} code */
export async function speak(code) {
  await Promise.all([...wanted].map((name) => one(name, code)));
  remember("language", code);
  language.value = code;
  document.documentElement.lang = code;
}

/**
 * The sentence for `key`, with `{name}` filled in from `values`. A key that is missing shows itself.
 * @param {string} key @param {Record<string, any>} [values]
 */
export function t(key, values) {
  const dot = key.indexOf(".");
  const text = catalogues.value[`${language.value}/${key.slice(0, dot)}`]?.[key.slice(dot + 1)] ?? key;
  if (!values) return text;
  return text.replace(/\{(\w+)\}([^{}]*)/g, (whole, name, after) => {
    if (!(name in values)) return whole;
    const value = String(values[name]);
    return value + (language.value === "ko" ? particle(value, after) : after);
  });
}

/** @param {Intl.NumberFormatOptions} options */
const formatter = (options) => computed(() => new Intl.NumberFormat(language.value, options));

const plain = formatter({ maximumFractionDigits: 2 });
const share = formatter({ style: "percent", maximumFractionDigits: 0 });

/** @param {number} value */
export const number = (value) => plain.value.format(value);

/** A share between 0 and 1. @param {number} value */
export const percent = (value) => share.value.format(value);

/** @param {number} size */
export function bytes(size) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let step = 0;
  let left = size;
  while (left >= 1000 && step < units.length - 1) {
    left /= 1000;
    step += 1;
  }
  return `${number(left < 10 && step ? Math.round(left * 10) / 10 : Math.round(left))} ${units[step]}`;
}

/** @param {number} value seconds */
export function seconds(value) {
  if (value >= 5400) return unit(Math.round(value / 360) / 10, "hour");
  if (value >= 90) return unit(Math.round(value / 60), "minute");
  const step = value < 0.1 ? 100 : value < 10 ? 10 : 1;
  return unit(Math.round(value * step) / step, "second");
}

/** @param {number} value @param {string} name */
const unit = (value, name) =>
  new Intl.NumberFormat(language.value, { style: "unit", unit: name, unitDisplay: "short" }).format(value);

/** @param {Intl.DateTimeFormatOptions} options made once for a language: making one is dear */
const dated = (options) => computed(() => new Intl.DateTimeFormat(language.value, options));

const time = dated({ hour: "numeric", minute: "2-digit" });
const day = dated({ month: "short", day: "numeric" });
const year = dated({ year: "numeric", month: "short", day: "numeric" });
const full = dated({ dateStyle: "medium", timeStyle: "short" });

/** A moment, short: the time today, the day this year, else the date. @param {string | number | Date} moment */
export function when(moment) {
  const date = new Date(moment);
  const now = new Date();
  const shape =
    date.toDateString() === now.toDateString() ? time : date.getFullYear() === now.getFullYear() ? day : year;
  return shape.value.format(date);
}

/** A moment, in full. @param {string | number | Date} moment */
export const moment = (moment) => full.value.format(new Date(moment));

document.documentElement.lang = language.value;
