"""The questions that a pack is measured with: JSON Lines, ``{"question", "answer"}`` and what
decides.

``expects``: the model answers freely, and is right where its answer has one of these, and none of
``avoids``. ``wrong``: it is right where it finds ``answer`` likelier than each of these. Raises
``InvalidPackError`` with the line that is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ondol.folding import fold
from ondol.i18n import t
from ondol.models.json_lines import Line, read_lines

MOST_BYTES = 1024 * 1024
MOST_QUESTIONS = 500
LONGEST = 1_000
MOST_CHOICES = 10


@dataclass(frozen=True, slots=True)
class Question:
    """``answer`` is what a person would say; at least one of ``expects`` and ``wrong`` is there."""

    question: str
    answer: str
    expects: tuple[str, ...] = ()
    avoids: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    def is_right(self, said: str) -> bool:
        """Whether a free answer has what it must, whatever else it says."""
        text = _plain(said)
        has = any(_wanted(one) in text for one in self.expects)
        return has and not any(_wanted(one) in text for one in self.avoids)


def read(path: Path, file: str = "evaluation.jsonl") -> tuple[Question, ...]:
    """The questions in ``path``, which people call ``file``."""
    return tuple(map(_question, read_lines(path, file, MOST_BYTES, MOST_QUESTIONS)))


def _question(line: Line) -> Question:
    line.only("question", "answer", "expects", "avoids", "wrong")
    found = Question(
        line.text("question", LONGEST),
        line.text("answer", LONGEST),
        line.texts("expects", LONGEST, MOST_CHOICES),
        line.texts("avoids", LONGEST, MOST_CHOICES),
        line.texts("wrong", LONGEST, MOST_CHOICES),
    )
    if not found.expects and not found.wrong:
        raise line.wrong(t("packs.nothing_decides"))
    asked = _plain(found.question)
    for one in found.expects:
        if _wanted(one) in asked:
            # Who only repeats the question would be right.
            raise line.wrong(t("packs.given_away", text=one))
    if found.expects and not found.is_right(found.answer):
        raise line.wrong(t("packs.own_answer"))
    if found.answer in found.wrong:
        raise line.wrong(t("packs.own_answer"))
    return found


def _plain(text: str) -> str:
    """Words with one space between and around them, so that "12" is not in "123"."""
    folded = fold(text).text.casefold()
    words = "".join(one if one.isalnum() else " " for one in folded).split()
    return f" {' '.join(words)} "


def _wanted(text: str) -> str:
    """What is looked for among such words; a particle may follow where words have them."""
    plain = _plain(text)
    return plain if plain.isascii() else plain.rstrip()
