// @ts-check
// Korean particles after a value: "{name}을(를)" becomes "문서를" or "파일을", as the value ends. The same
// rule as ondol/i18n/particles.py: after what nobody can tell the reading of, both forms stay.

/** After a final consonant, and after a vowel. @type {Record<string, [string, string]>} */
const FORMS = {
  "은(는)": ["은", "는"],
  "이(가)": ["이", "가"],
  "을(를)": ["을", "를"],
  "와(과)": ["과", "와"],
  "(으)로": ["으로", "로"],
};
const BOTH = new RegExp(`^(["'”’)\\]]*)(${Object.keys(FORMS).map((one) => one.replace(/[()]/g, "\\$&")).join("|")})`);
const FINALS = 28;
const RIEUL = 8;
/** The final consonant of each digit's name: 영 일 이 삼 사 오 육 칠 팔 구. */
const DIGITS = [21, RIEUL, 0, 16, 0, 0, 1, RIEUL, RIEUL, 0];

/** `after` a value, with the particle that fits it. @param {string} value @param {string} after */
export function particle(value, after) {
  const last = value.replace(/["'”’)\]]+$/, "").slice(-1);
  const final = /\d/.test(last) ? DIGITS[Number(last)] : /[가-힣]/.test(last) ? (last.charCodeAt(0) - 0xac00) % FINALS : null;
  if (final === null) return after;
  return after.replace(BOTH, (_, marks, both) => {
    const isOpen = final === 0 || (final === RIEUL && both === "(으)로");
    return marks + FORMS[both][isOpen ? 1 : 0];
  });
}
