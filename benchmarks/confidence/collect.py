"""Ask every question once and keep all that came of it, so that signals can be tried without a
model: evidence, tokens, log-probabilities and alternatives, one JSON object a question.

What a model said to a prompt is kept too, and said again only when the prompt has changed.
See README.md; the file holds texts of XQuAD and is not committed.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.util
import json
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ondol import config
from ondol.answering import can_read, gather
from ondol.parts import Parts
from ondol.prompt import build_prompt
from ondol.retrieval.library import Library
from ondol.training import grounding
from ondol.training.evaluation import Case
from ondol.types import (
    Alternative,
    Chunk,
    Completion,
    Engine,
    Evidence,
    GenerateOptions,
    Hit,
    Message,
    Quote,
    Token,
    Usage,
)

HERE = Path(__file__).parent
# The sets and their libraries are that benchmark's; its file is called run.py like all of them.
_SPEC = importlib.util.spec_from_file_location("exams", HERE.parent / "grounding" / "run.py")
assert _SPEC is not None and _SPEC.loader is not None
exams: Any = importlib.util.module_from_spec(_SPEC)
sys.modules["exams"] = exams
_SPEC.loader.exec_module(exams)

ALTERNATIVES = 10
SAMPLES = 3
CHAT = "chat"
CHAT_FILE = "chat.jsonl"
CHAT_OPTIONS = GenerateOptions(max_tokens=128, temperature=0.0)
MISSING = {"passage missing": 160, "article missing": 60}


@dataclass(frozen=True)
class Row:
    """A question and what came of it. ``completion`` is None where no model was asked; ``samples``
    are further answers to the same prompt, drawn at temperature 0.7, and ``backwards`` is the one
    to the same sentences in the opposite order, with the marks that they have there."""

    set: str
    case: Case
    evidence: Evidence
    given: tuple[Quote, ...]
    completion: Completion | None
    samples: tuple[str, ...] = ()
    backwards: Completion | None = None

    @property
    def is_read(self) -> bool:
        return self.completion is not None


class Memory:
    """What the model said to which prompt, in a file that only grows."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._said: dict[str, dict[str, Any]] = {}
        if file.exists():
            for line in file.read_text("utf-8").split("\n"):
                if line.strip():
                    entry = json.loads(line)
                    self._said[entry["key"]] = entry["completion"]

    def ask(
        self,
        model: str,
        messages: Sequence[Message],
        options: GenerateOptions,
        engine: Engine,
    ) -> Completion:
        asked = [model, [asdict(m) for m in messages], asdict(options)]
        key = hashlib.sha256(json.dumps(asked, ensure_ascii=False).encode()).hexdigest()[:24]
        if key not in self._said:
            completion = packed(gather(list(engine.generate(messages, options))))
            self._said[key] = completion
            with self._file.open("a", encoding="utf-8") as file:
                line = json.dumps({"key": key, "completion": completion}, ensure_ascii=False)
                file.write(line + "\n")
        return unpacked(self._said[key])


def packed(completion: Completion) -> dict[str, Any]:
    return {
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "seconds": round(completion.usage.total_seconds, 4),
        "prompt_tokens": completion.usage.prompt_tokens,
        "tokens": [
            [t.text, t.logprob, [[a.text, round(a.logprob, 5)] for a in t.top]]
            for t in completion.tokens
        ],
    }


def unpacked(fields: dict[str, Any]) -> Completion:
    tokens = tuple(
        Token(text, logprob, tuple(Alternative(*a) for a in top))
        for text, logprob, top in fields["tokens"]
    )
    usage = Usage(prompt_tokens=fields["prompt_tokens"], total_seconds=fields["seconds"])
    return Completion(fields["text"], tokens, fields["finish_reason"], usage)


def row_json(row: Row) -> dict[str, Any]:
    return {
        "set": row.set,
        "case": asdict(row.case),
        "hits": [[h.chunk.source, h.chunk.start, h.chunk.end, h.score] for h in row.evidence.hits],
        "quotes": [
            [q.number, q.text, q.source, q.start, q.end, q.score] for q in row.evidence.quotes
        ],
        "given": len(row.given),
        "completion": packed(row.completion) if row.completion else None,
        "samples": list(row.samples),
        "backwards": packed(row.backwards) if row.backwards else None,
    }


def read_rows(file: Path) -> list[Row]:
    """The rows that ``main`` wrote. Of a hit's passage only its place is kept, not its text."""
    rows = []
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            fields = json.loads(line)
            case = fields["case"]
            for name in ("answers", "support"):
                case[name] = tuple(case[name])
            quotes = tuple(Quote(*q) for q in fields["quotes"])
            hits = tuple(
                Hit(Chunk("", start, end, source), score, rank)
                for rank, (source, start, end, score) in enumerate(fields["hits"], start=1)
            )
            said, turned = fields["completion"], fields.get("backwards")
            rows.append(
                Row(
                    fields["set"],
                    Case(**case),
                    Evidence(hits, quotes),
                    quotes[: fields["given"]],
                    unpacked(said) if said else None,
                    tuple(fields["samples"]),
                    unpacked(turned) if turned else None,
                )
            )
    return rows


def documents() -> list[Path]:
    """The files of documents with questions."""
    return sorted(p for p in (HERE / "data").glob("*.jsonl") if p.name != CHAT_FILE)


def fresh(file: Path) -> exams.Exam:
    """Documents that were written for this benchmark and that nothing was ever trained on; asked
    in a library of all documents of their language."""
    kept = {path.stem: grounding.read_documents(path) for path in documents()}
    language = kept[file.stem][0].language
    every = [d for some in kept.values() for d in some if d.language == language]
    texts = tuple(exams.Text(f"/{d.id}.md", d.text, d.id, "text/markdown") for d in every)
    cases = tuple(exams.cases_of(kept[file.stem]))
    return exams.Exam(texts, cases, ((),) * len(cases))


def chat_cases() -> list[Case]:
    """Questions for the model alone."""
    return [
        Case(q["question"], tuple(q["answers"]), "en", q["group"], "chat")
        for q in exams.lines(HERE / "data" / CHAT_FILE)
    ]


def chatted(parts: Parts, memory: Memory, limit: int) -> Iterator[Row]:
    """Every chat question asked as ``ondol calibrate --chat`` asks it."""
    name = parts.store.get(parts.config["models.chat"]).name
    engine = parts.engine(name)
    options = replace(CHAT_OPTIONS, logprobs=ALTERNATIVES)
    cases = chat_cases()
    for case in random.Random(0).sample(cases, limit) if limit else cases:
        said = memory.ask(name, [Message("user", case.question)], options, engine)
        yield Row(CHAT, case, Evidence(), (), said)


def all_sets(data: Path) -> dict[str, exams.Exam]:
    found = {path.stem: fresh(path) for path in documents()}
    found |= exams.own_documents() | exams.korean()
    if data.exists():
        articles = exams.unseen_articles(data)
        found |= {n: exams.some(exam, MISSING.get(n, 0)) for n, exam in articles.items()}
    return found


def turned_around(given: Sequence[Quote]) -> list[Quote]:
    """The last sentence first, numbered as they then stand."""
    return [replace(quote, number=n) for n, quote in enumerate(reversed(given), start=1)]


def collected(
    name: str, exam: exams.Exam, parts: Parts, memory: Memory, samples: int, backwards: bool
) -> Iterator[Row]:
    """Every case of ``exam`` through retrieval and the model, as ``ask`` goes."""
    library: Library = exams.library_of(exam.texts, parts)
    manner, engine = parts.manner(), parts.engine()
    by_source = {text.source: text for text in exam.texts}
    options = replace(manner.options, logprobs=ALTERNATIVES)
    drawn = [replace(manner.options, temperature=0.7, seed=s) for s in range(1, samples + 1)]
    for sources, cases in exams.stretches(exam):
        if sources:
            library.forget([Path(source) for source in sources])
        for case in cases:
            evidence = library.evidence(case.question)
            given = manner.given(evidence.quotes)
            row = Row(name, case, evidence, given, None)
            if given and can_read(engine, case.question):
                prompt = build_prompt(case.question, given, (), manner.template)
                said = [memory.ask(manner.model, prompt, one, engine) for one in (options, *drawn)]
                row = replace(row, completion=said[0], samples=tuple(c.text for c in said[1:]))
                if backwards and len(given) > 1:
                    turned = build_prompt(case.question, turned_around(given), (), manner.template)
                    row = replace(row, backwards=memory.ask(manner.model, turned, options, engine))
            yield row
        for source in sources:
            text = by_source[source]
            library.add_text(source, text.text, media_type=text.media_type)
    library.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=exams.XQUAD)
    parser.add_argument("--folder", type=Path, required=True, help="where the outcomes are kept")
    parser.add_argument("--only", action="append", help="a set's name; may be given again")
    parser.add_argument("--limit", type=int, default=0, help="questions of each set (0: all)")
    parser.add_argument(
        "--samples", type=int, default=0, help="further answers, for self-consistency"
    )
    parser.add_argument(
        "--backwards", action="store_true", help="ask again with the sentences turned around"
    )
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    memory = Memory(arguments.folder / "said.jsonl")
    sets = all_sets(arguments.data)
    with ExitStack() as stack:
        parts = stack.enter_context(Parts(config.load()))
        for name in arguments.only or [*sets, CHAT]:
            if name == CHAT:
                found = chatted(parts, memory, arguments.limit)
            else:
                exam = exams.some(sets[name], arguments.limit)
                again = arguments.samples, arguments.backwards
                found = collected(name, exam, parts, memory, *again)
            rows = []
            for row in found:
                rows.append(row)
                print(f"\r{name}: {len(rows)} ", end="", file=sys.stderr)
            print(file=sys.stderr)
            file = arguments.folder / f"{name.replace(' ', '-')}.jsonl.gz"
            with gzip.open(file, "wt", encoding="utf-8") as out:
                for row in rows:
                    out.write(json.dumps(row_json(row), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
