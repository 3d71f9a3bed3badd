// @ts-check
// Evidence and trust, for any page that shows an answer: what it quotes, how sure it is, where it came
// from, what it cost. Every component takes `answer` (what the server's answer JSON says, null before
// there is one) and `events` (those of the run so far, null or [] afterwards).

import { load } from "../core/i18n.js";
import { style } from "../core/pages.js";

await Promise.all([load("trust"), style("trust")]);

export { ConfidenceBadge } from "./confidence.js";
export { DraftThenBetter } from "./drafts.js";
export { EvidenceDrawer } from "./drawer.js";
export { Quotes } from "./quotes.js";
export { RouteLine } from "./route.js";
export { PrivacyStrip } from "./strip.js";
export { SupportMarks } from "./support.js";
