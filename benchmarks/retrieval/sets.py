"""The sets that retrieval is measured on, each as files and questions; see README.md."""

from __future__ import annotations

import ast
import hashlib
import json
import random
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
XQUAD = HERE.parents[2] / "shared" / "data" / "xquad-en-dev"
KOREAN = HERE.parent / "answers" / "korean"
GROUNDING = HERE.parents[1] / "src" / "ondol" / "training" / "grounding"
QUESTIONS = HERE.parent / "confidence" / "data"
NOT_READ = ("test", "idlelib", "site-packages", "dist-packages", "turtledemo", "lib2to3")


@dataclass(frozen=True)
class Question:
    """``relevant`` maps a file's name to how relevant it is; ``group`` decides the half."""

    text: str
    relevant: Mapping[str, int]
    group: str
    answers: tuple[str, ...] = ()

    @property
    def is_tuned_on(self) -> bool:
        return int(hashlib.sha1(self.group.encode()).hexdigest(), 16) % 2 == 0


@dataclass(frozen=True)
class Collection:
    name: str
    files: Mapping[str, str]
    questions: tuple[Question, ...]


def read_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]


def english(data: Path) -> Collection:
    files = {f"{p['id']}.txt": p["text"] for p in read_lines(data / "passages.jsonl")}
    questions = [
        Question(
            q["question"],
            {f"{q['passage']}.txt": 1},
            q["passage"].split("-")[0],
            tuple(q["answers"]),
        )
        for q in read_lines(data / "questions.jsonl")
    ]
    return Collection("XQuAD English, half", files, tuple(questions))


def korean() -> Collection:
    files = {f.name: f.read_text("utf-8") for f in sorted((KOREAN / "documents").iterdir())}
    questions = [
        Question(q["question"], {q["document"]: 1}, q["document"], tuple(q["answers"]))
        for q in read_lines(KOREAN / "questions.jsonl")
    ]
    return Collection("Korean, our own", files, tuple(questions))


def long_questions(data: Path) -> Collection:
    """Three questions about one article in one, and its title alone; every passage of the article
    is relevant, those that answer more so."""
    passages = read_lines(data / "passages.jsonl")
    articles: dict[str, list[dict[str, Any]]] = {}
    for question in read_lines(data / "questions.jsonl"):
        articles.setdefault(question["passage"].split("-")[0], []).append(question)
    titles = {p["id"].split("-")[0]: p["title"].replace("_", " ") for p in passages}
    shuffle = random.Random(0)
    questions = []
    for article, asked in sorted(articles.items()):
        mine = {f"{p['id']}.txt": 1 for p in passages if p["id"].split("-")[0] == article}
        shuffle.shuffle(asked)
        for start in range(0, len(asked) - 2, 3):
            three = asked[start : start + 3]
            relevant = mine | {f"{q['passage']}.txt": 2 for q in three}
            questions.append(Question(" ".join(q["question"] for q in three), relevant, article))
        questions.append(Question(titles[article], mine, article))
    return Collection("XQuAD, long questions", english(data).files, tuple(questions))


def abstracts() -> Collection:
    files, questions = {}, []
    for line in (HERE / "abstracts" / "documents.txt").read_text("utf-8").splitlines():
        name, title, text = line.split(" | ", 2)
        files[f"{name}.txt"] = f"{title}\n\n{text}\n"
    for line in (HERE / "abstracts" / "queries.txt").read_text("utf-8").splitlines():
        query, judged = line.rsplit(" | ", 1)
        pairs = (entry.split("=") for entry in judged.split())
        questions.append(Question(query, {f"{d}.txt": int(grade) for d, grade in pairs}, query))
    return Collection("Abstracts, our own", files, tuple(questions))


def fresh(name: str, title: str) -> Collection:
    """Documents with questions that search was not tuned on before; the sentence that answers is
    known by a few of its words."""
    documents = read_lines(QUESTIONS / f"{name}.jsonl")
    questions = [
        Question(q["question"], {f"{d['id']}.md": 1}, d["id"], tuple(q["support"]))
        for d in documents
        for q in d["questions"]
        if q["support"]
    ]
    return Collection(title, dict(map(_file, documents)), tuple(questions))


def remembered() -> Collection:
    """What one remembers of a document, without its names, among all of our own in English."""
    files = {}
    for document in [
        *(d for name in ("articles", "everyday") for d in read_lines(QUESTIONS / f"{name}.jsonl")),
        *(d for file in sorted(GROUNDING.glob("*.jsonl")) for d in read_lines(file)),
    ]:
        if document["language"] == "en":
            name, text = _file(document)
            files[name] = text
    lines = (HERE / "remembered" / "queries.txt").read_text("utf-8").splitlines()
    pairs = [line.rsplit(" | ", 1) for line in lines]
    questions = tuple(Question(query, {f"{d}.md": 1}, d) for query, d in pairs)
    return Collection("Remembered, our own", files, questions)


def _file(document: Mapping[str, Any]) -> tuple[str, str]:
    return f"{document['id']}.md", f"# {document['title']}\n\n{document['text']}\n"


def docstrings() -> Collection:
    """The standard library of the Python that runs this: a docstring's first line asks for the
    rest of it."""
    files: dict[str, str] = {}
    questions, seen = [], set()
    for head, body in _docstrings(Path(sysconfig.get_path("stdlib"))):
        if head in seen or body in seen:
            continue
        seen |= {head, body}
        name = f"d{len(files):04}.txt"
        files[name] = body
        questions.append(Question(head, {name: 1}, head))
    return Collection("Python docstrings", files, tuple(questions))


def _docstrings(root: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(root.rglob("*.py")):
        if any(name in str(file.relative_to(root)) for name in NOT_READ):
            continue
        try:
            tree = ast.parse(file.read_text("utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                continue
            head, _, body = (ast.get_docstring(node) or "").partition("\n\n")
            head = " ".join(head.split())
            if 25 <= len(head) <= 160 and len(body) >= 200:
                yield head, body
