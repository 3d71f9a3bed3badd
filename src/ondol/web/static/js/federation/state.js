// @ts-check
// What the Federation page shows: the federations that this device belongs to, and what it asks for.

import { computed, signal } from "../core/ui.js";
import { del, get, post, put } from "../core/api.js";
import { t } from "../core/i18n.js";
import { complain, toast } from "../core/state.js";

/**
 * @typedef {{digest: string, name: string, model: string, task: "style" | "grounding", strategy: string, r: number, aggregation: "secure" | "individual", defence: string, rounds: number, min_clients: number, threshold: number, clip_norm: number, noise_multiplier: number, example_noise: number, delta: number, epsilon_budget: number}} Plan
 * @typedef {{pseudonym: string, node: number, is_me: boolean, joined_at: string}} Member
 * @typedef {{id: string, kind: string, name: string, num_examples: number, is_agreed: boolean}} Source
 * @typedef {{took_part: boolean, reason: string, num_examples: number, bytes_up: number, bytes_down: number, loss_before: number | null, loss_after: number | null, digest: string}} Mine
 * @typedef {{number: number, at: string, clients?: number[], dropped?: Record<string, string>, refused?: Record<string, string>, bytes_up?: number, bytes_down?: number, epsilon?: number, loss_shared?: number | null, loss_local?: number | null, loss_canary?: number | null, rolled_back?: boolean, failed?: string, mine?: Mine}} Round
 * @typedef {{number: number, doing: string, clients?: number[]}} UnderWay
 * @typedef {{spent: number | null, whole: number | null, delta: number, budget: number | null}} Epsilon
 * @typedef {{id: string, name: string, home: {url: string, fingerprint: string}, plan: Plan, state: "active" | "paused" | "ended", reason: string, pseudonym: string, members: Member[], safety_number: string, epsilon: Epsilon, consent: Source[], adapter: string | null, verdict: any, joined_at: string, readiness: {is_ready: boolean, reasons: string[]}, standing: {home_state: string, link: string, failure: string} | null, under_way: UnderWay | null, gate: {state: "waiting" | "judging", done: number, total: number} | null, contribution: {rounds: number, num_examples: number, bytes_up: number, bytes_down: number}, rounds: Round[]}} Federation
 * @typedef {{pseudonym: string, node: number, device: string, joined_at: string, left_at: string | null}} Enrolled
 * @typedef {{id: string, name: string, plan: Plan, state: "open" | "running" | "done" | "stopped", is_running: boolean, epsilon: Epsilon, members: Enrolled[], safety_number: string, rounds: Round[], under_way: UnderWay | null}} Coordinated
 * @typedef {{plan: Plan, name: string, home: {url: string}, num_members: number, epsilon: Epsilon, words: string[], seen: string[], unseen: string[], is_model_here: boolean}} Offer
 * @typedef {{num_examples: number, sources: {name: string, num_examples: number}[], length: number, bytes_up: number, bytes_down: number, epsilon: Epsilon, words: string[], histogram: {edges: number[], counts: number[]}, encoded?: {edges: number[], counts: number[]}, seen: string[], unseen: string[]}} Preview
 */

const ALL = "/ondol/v1/federations";

/** null: not known yet. @type {import("../../vendor/signals.js").Signal<Federation[] | null>} */
export const federations = signal(null);
/** Those that this machine is the home of. @type {import("../../vendor/signals.js").Signal<Coordinated[]>} */
export const coordinated = signal([]);
/** The tab that is looked at, an id or `home:` and one; "" is the first. */
export const chosen = signal("");
/** A machine can be the home of a federation and a member of it. @param {Coordinated} one */
export const homeTab = ({ id }) => `home:${id}`;
export const current = computed(() => {
  const all = federations.value ?? [];
  return all.find((one) => one.id === chosen.value) ?? all[0] ?? null;
});
/** The one that this machine is the home of, where such a one is looked at. */
export const atHome = computed(() => {
  const found = coordinated.value.find((one) => homeTab(one) === chosen.value);
  return found ?? (federations.value?.length === 0 ? coordinated.value[0] : null) ?? null;
});

async function readAll() {
  const told = await get(ALL);
  coordinated.value = told.coordinated ?? [];
  federations.value = told.federations;
}

export async function load() {
  try {
    await readAll();
  } catch (error) {
    complain(error);
  }
}

/** As `load`, and silent: the frame around the page says when the server is away. */
export async function look() {
  try {
    await readAll();
  } catch {
    // What was known stays on the page.
  }
}

/** Whether it was done; then everything is read again. @param {() => Promise<any>} work */
async function change(work) {
  try {
    await work();
    await load();
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

/** What a code is for; nothing is joined. @param {string} code @returns {Promise<Offer>} */
export const read = (code) => post(`${ALL}/look`, { code });
/** All that could teach, none of it agreed to. @returns {Promise<Source[]>} */
export async function allSources() {
  const { sources } = await get("/ondol/v1/sources");
  return sources.map((/** @type {any} */ { id, kind, name, samples }) => {
    const { sft = 0, preference = 0, thumb = 0, held_out: kept = 0 } = samples;
    return { id, kind, name, num_examples: sft + preference + thumb - kept, is_agreed: false };
  });
}
/** @param {string} code @param {string[]} sources ids @param {string} plan the digest of what was shown */
export const join = (code, sources, plan) =>
  change(async () => {
    chosen.value = (await post(ALL, { code, sources, plan })).id;
  });
/** @param {string} id */
export const pause = (id) => change(() => post(`${ALL}/${id}/pause`));
/** @param {string} id */
export const resume = (id) => change(() => post(`${ALL}/${id}/resume`));
/** @param {string} id @param {{sources: string[], folders?: string[]}} what ids, and places of folders */
export const agree = (id, what) => change(() => put(`${ALL}/${id}/consent`, what));
/** @param {string} id @returns {Promise<Preview>} */
export const preview = (id) => get(`${ALL}/${id}/preview`);
/** Leave and erase; then what remains elsewhere is said. @param {Federation} federation */
export const leave = ({ id, name }) =>
  change(async () => {
    const { words } = await del(`${ALL}/${id}`);
    toast([t("federation.left", { name }), ...words].join(" "), { kind: "good", seconds: words.length ? 0 : 5 });
  });
