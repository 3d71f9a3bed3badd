// @ts-check
// A setting's value as a field shows it, and what somebody typed as a value; what cannot be is said
// before it is sent.

/**
 * @typedef {{name: string, value: any, default: any, source: "default" | "file" | "environment" | "flag",
 *   type: "boolean" | "integer" | "number" | "choice" | "list" | "text", choices: string[], minimum: number | null,
 *   maximum: number | null, description: string, variable: string, secret: boolean, is_set: boolean,
 *   when: "now" | "loading" | "restart", restart: boolean, pending: boolean, here_only: boolean}} Setting
 */

/** The groups in the order in which people look for them; a setting is in that of its first word. */
export const GROUPS = ["general", "models", "answer", "memory", "retrieval", "engine", "routing", "server", "home", "update", "packs", "ledger"];

/** @param {Setting} setting */
export const groupOf = (setting) => (setting.name.includes(".") ? setting.name.split(".")[0] : "general");

/** @param {any} value @returns {string} */
export const shown = (value) => (Array.isArray(value) ? value.join(", ") : value === null ? "" : String(value));

/**
 * What somebody typed, as the value to send; or the reason why it cannot be, as a key of the catalogue.
 * @param {Setting} setting @param {string} typed
 * @returns {{value?: any, wrong?: string}}
 */
export function read(setting, typed) {
  const text = typed.trim();
  if (setting.type === "list") return { value: text.split(",").map((one) => one.trim()).filter(Boolean) };
  if (setting.type !== "integer" && setting.type !== "number") return { value: text };
  const value = Number(text);
  if (text === "" || !Number.isFinite(value)) return { wrong: "not_a_number" };
  if (setting.type === "integer" && !Number.isInteger(value)) return { wrong: "not_whole" };
  const { minimum, maximum } = setting;
  if ((minimum !== null && value < minimum) || (maximum !== null && value > maximum)) return { wrong: "out_of_range" };
  return { value };
}

/** Whether all words stand somewhere in what is said of the setting. @param {Setting} setting @param {string} query */
export function matches(setting, query) {
  const text = `${setting.name} ${setting.variable} ${setting.description}`.toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}
