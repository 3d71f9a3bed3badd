// @ts-check
/**
 * What a message that begins with a slash does. The prompts of the library are commands too: their name
 * puts their text into the composer. A word that is no command is sent as it was written.
 */
import { t } from "../core/i18n.js";

/**
 * @typedef {object} Command
 * @property {string} name without the slash
 * @property {string} about one line
 * @property {boolean} takes whether words may follow
 * @property {(rest: string) => void} run
 *
 * @typedef {object} Deeds what the page can do
 * @property {() => void} begin
 * @property {(name: string) => void} model
 * @property {(names: string) => void} documents
 * @property {(text: string) => void} system
 * @property {() => void} clear
 * @property {(format: string) => void} exportAs
 * @property {() => void} help
 * @property {(text: string) => void} insert
 */

/**
 * @param {Deeds} deeds
 * @param {{id: string, name: string, text: string}[]} prompts
 * @returns {Command[]}
 */
export function commandsOf(deeds, prompts) {
  /** @type {[string, boolean, (rest: string) => void][]} */
  const own = [
    ["new", false, () => deeds.begin()],
    ["model", true, (rest) => deeds.model(rest)],
    ["docs", true, (rest) => deeds.documents(rest)],
    ["system", true, (rest) => deeds.system(rest)],
    ["clear", false, () => deeds.clear()],
    ["export", true, (rest) => deeds.exportAs(rest === "json" ? "json" : "md")],
    ["help", false, () => deeds.help()],
  ];
  const names = new Set(own.map(([name]) => name));
  const fromLibrary = prompts.filter((one) => !names.has(word(one.name)));
  return [
    ...own.map(([name, takes, run]) => ({ name, takes, run, about: t(`chat.command_${name}`) })),
    ...fromLibrary.map(({ name, text }) => ({
      name: word(name), takes: false, about: text.split("\n")[0].slice(0, 80), run: () => deeds.insert(text),
    })),
  ];
}

/** A prompt's name as one word. @param {string} name */
export function word(name) {
  return name.trim().toLowerCase().replace(/\s+/g, "-");
}

/**
 * What to offer while a command is being typed; null where none is.
 * @param {string} text all that is typed
 * @param {Command[]} commands
 * @returns {Command[]|null}
 */
export function offered(text, commands) {
  const found = /^\/(\S*)$/.exec(text);
  if (!found) return null;
  const begun = found[1].toLowerCase();
  const fitting = commands.filter((one) => one.name.startsWith(begun));
  return fitting.length ? fitting : null;
}

/**
 * @param {string} text
 * @param {Command[]} commands
 * @returns {{command: Command, rest: string}|null} null: the text is a message
 */
export function commandIn(text, commands) {
  const found = /^\/(\S+)(?:\s+([^]*))?$/.exec(text.trim());
  const command = found && commands.find((one) => one.name === found[1].toLowerCase());
  if (!found || !command || (found[2] && !command.takes)) return null;
  return { command, rest: (found[2] ?? "").trim() };
}
