// @ts-check
/**
 * A conversation is a tree: an edited question or another try at an answer stands beside the first. What
 * the person reads is one branch of it, from a root to the leaf. Pure functions over lists of messages.
 */

/**
 * @typedef {object} Message
 * @property {string} id
 * @property {string|null} parent
 * @property {"user"|"assistant"} role
 * @property {string} content
 * @property {string} created_at
 * @property {"done"|"running"|"stopped"|"failed"} status
 * @property {any} error
 * @property {any} answer what `ondol ask --json` prints; null for questions and plain replies without one
 * @property {{right: boolean|null, reasons: string[], edited: string|null, at: string}|null} feedback
 * @property {string[]} [siblings]
 */

/** @param {Message[]} messages @param {string|null} parent */
export function childrenOf(messages, parent) {
  return messages.filter((one) => (one.parent ?? null) === parent);
}

/**
 * The branch that ends at the leaf; of the newest messages where the leaf is not known.
 * @param {Message[]} messages in the order they were made
 * @param {string|null|undefined} leaf
 * @returns {Message[]}
 */
export function branch(messages, leaf) {
  const known = new Map(messages.map((one) => [one.id, one]));
  const end = leaf && known.has(leaf) ? leaf : newestLeaf(messages, null);
  const path = [];
  for (let at = end ? known.get(end) : undefined; at; at = at.parent ? known.get(at.parent) : undefined) {
    path.push(at);
  }
  return path.reverse();
}

/**
 * Where the newest continuation below a message ends.
 * @param {Message[]} messages
 * @param {string|null} from null begins at the newest root
 * @returns {string|null}
 */
export function newestLeaf(messages, from) {
  let at = from;
  for (;;) {
    const below = childrenOf(messages, at);
    if (!below.length) return at;
    at = below[below.length - 1].id;
  }
}

/**
 * Which of its versions a message is.
 * @param {Message[]} messages
 * @param {Message} message
 * @returns {{index: number, versions: Message[]}} index counts from 0
 */
export function versionsOf(messages, message) {
  const versions = childrenOf(messages, message.parent ?? null);
  return { index: versions.findIndex((one) => one.id === message.id), versions };
}

/**
 * The leaf to show when the person steps to the version before or after.
 * @param {Message[]} messages
 * @param {Message} message
 * @param {number} step -1 or 1
 * @returns {string|null} null where there is none
 */
export function stepTo(messages, message, step) {
  const { index, versions } = versionsOf(messages, message);
  const other = versions[index + step];
  return other ? newestLeaf(messages, other.id) : null;
}
