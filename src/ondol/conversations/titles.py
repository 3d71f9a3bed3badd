"""A conversation's title: the first line of its first question, cut at a word."""

from __future__ import annotations

MOST_LETTERS = 60


def title_of(question: str) -> str:
    """The title that ``question`` gives; "" for one without words."""
    line = next((" ".join(line.split()) for line in question.splitlines() if line.strip()), "")
    line = "".join(letter for letter in line if letter.isprintable())
    if len(line) <= MOST_LETTERS:
        return line
    cut = line[:MOST_LETTERS]
    # Not in the middle of a word, unless it is all one.
    whole = cut.rpartition(" ")[0] if line[MOST_LETTERS] != " " else cut
    return f"{whole if len(whole) > MOST_LETTERS // 2 else cut}…"
