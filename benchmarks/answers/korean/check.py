"""Check the Korean set: python3 check.py (standard library only; exit status 1 on an error)."""

import json
import re
import sys
import unicodedata
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOW, HIGH = 120, 450  # words between spaces (eojeol) in one document


def load(name):
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def stems(question):  # the first two syllables of every longer word: a rough sign of shared context
    return {w[:2] for w in re.findall(r"[가-힣A-Za-z0-9]+", question) if len(w) > 1}


errors, reports = [], []
docs = {p.name: p.read_text(encoding="utf-8") for p in sorted((HERE / "documents").iterdir())}
asked, none = load("questions.jsonl"), load("unanswerable.jsonl")
for name, text in docs.items():
    words = len(text.split())
    if not LOW <= words <= HIGH:
        errors.append(f"{name}: {words} words")
    if text != unicodedata.normalize("NFC", text):
        errors.append(f"{name}: not NFC")
for field in ("id", "question"):
    values = [q[field] for q in asked + none]
    errors += [f"{field} twice: {v}" for v in sorted({v for v in values if values.count(v) > 1})]
for q in none:
    if q["answers"]:
        errors.append(f"{q['id']}: unanswerable, yet has answers")
for q in asked:
    if not q["answers"] or q["document"] not in docs:
        errors.append(f"{q['id']}: no answers, or no such document")
        continue
    for answer in q["answers"]:
        if answer not in docs[q["document"]]:
            errors.append(f"{q['id']}: not verbatim: {answer}")
        if answer in q["question"]:
            errors.append(f"{q['id']}: the question holds its answer: {answer}")
    # Ambiguity: the answer in another document's line that shares two question stems or more.
    for name, text in docs.items():
        for line in text.splitlines() if name != q["document"] else ():
            found = [a for a in q["answers"] if a in line]
            shared = sorted(s for s in stems(q["question"]) if s in line)
            if found and len(shared) >= 2:
                where = f"{found} in {name} with {shared}"
                reports.append(f"look: {q['id']} {q['question']} -> {where}")
if len(docs) < 48 or len(asked) < 90 or len(none) != 20:
    errors.append("counts are below what README.md promises")
unused = sorted(set(docs) - {q["document"] for q in asked})
print(*reports, *(f"ERROR {e}" for e in errors), sep="\n")
print(
    f"{len(docs)} documents, {sum(len(t.split()) for t in docs.values())} words; "
    f"{len(asked)} questions; "
    f"{len(none)} unanswerable; {len(unused)} documents without a question; "
    f"{len(reports)} to look at; {len(errors)} errors"
)
sys.exit(bool(errors))
