"""An answer from documents as plain text with its quotes below it, for clients that know of none.

Markdown that reads well as it is. Nothing that a document says acts in a client: an image in it
would be fetched the moment it is shown, and tell its address what else stands in the answer. Nor
do a chat template's marks in it: a client sends all of this back, perhaps to a plain model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from ondol.i18n import LANGUAGES, t, use_language
from ondol.role_marks import harmless
from ondol.types import Answer, Quote

MOST_QUOTES = 100
MOST_LETTERS = 400
DOUBTFUL = 0.4
"""Below this every client of ours calls an answer doubtful."""

# An image, and HTML that fetches or runs something: it has attributes, or is one of these.
_ACTIVE = re.compile(r"!(?=\[)|<(?=[a-z][a-z0-9:-]*[\s/]|(?:script|style|svg|math)\b)", re.I)
_PERHAPS_ACTIVE = re.compile(r"(?:!|<(?:[a-z][a-z0-9:-]{0,40})?)\Z", re.I)
_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")


class Inert:
    """Text as it comes, with a space in what would act in a client. A backslash would not do: there
    may be one before it already."""

    def __init__(self) -> None:
        self._held = ""

    def pass_on(self, text: str) -> str:
        """As much of everything so far as is known to do nothing."""
        whole = self._held + text
        found = _PERHAPS_ACTIVE.search(whole)
        end = found.start() if found else len(whole)
        self._held = whole[end:]
        return _ACTIVE.sub(r"\g<0> ", whole[:end])

    def rest(self) -> str:
        """What was held back."""
        held, self._held = self._held, ""
        return _ACTIVE.sub(r"\g<0> ", f"{held}\n")[:-1]


def language_of(question: str) -> str:
    """The language that an answer's own words are said in."""
    return "ko" if _HANGUL.search(question) else "en"


def below(answer: Answer) -> str:
    """What stands under ``answer``: the quotes that it cites, or all it has where it cites none,
    with the documents that they are from."""
    lines = []
    if "too_unsure" in answer.reasons:
        lines.append(t("grounded.too_unsure"))
    cited = [quote for quote in answer.quotes if quote.number in answer.citations]
    if quotes := cited or answer.quotes:
        is_far = "not_in_evidence" in answer.reasons or _is_doubtful(answer)
        lines.append(_head("nearest" if is_far else "quotes"))
        lines.append("\n".join(_lines(quotes)))
    return "\n\n".join(lines)


def _is_doubtful(answer: Answer) -> bool:
    """Whether a document's own words stand there for want of an answer, and hardly are one."""
    sure = answer.confidence.probability if answer.confidence else None
    return not answer.model and sure is not None and sure < DOUBTFUL


def without_quotes(text: str) -> str:
    """What an answer said, without what ``below`` put under it."""
    for language in LANGUAGES:
        with use_language(language):
            heads = [_head(word) for word in ("quotes", "nearest")]
            unsure = t("grounded.too_unsure")
        said, head, listed = max((text.rpartition(head) for head in heads), key=lambda p: len(p[0]))
        if head and all(line.startswith("- ") for line in listed.strip().splitlines()):
            return said.rstrip().removesuffix(unsure).rstrip()
    return text


def _head(word: str) -> str:
    return f"**{t(f'grounded.{word}')}**"


def _lines(quotes: Sequence[Quote]) -> Iterator[str]:
    names = _names(quotes)
    for quote in quotes[:MOST_QUOTES]:
        said = _shown(quote.text, MOST_LETTERS)
        where = _shown(names[quote.source], MOST_LETTERS)
        if quote.page is not None:
            where = t("grounded.page", name=where, page=quote.page)
        yield f"- [{quote.number}] “{said}” — {where}"
    if len(quotes) > MOST_QUOTES:
        yield f"- {t('grounded.more', count=len(quotes) - MOST_QUOTES)}"


def _names(quotes: Sequence[Quote]) -> dict[str, str]:
    """The last part of every source, with the folder it is in where two are called alike."""
    paths = {quote.source: PurePosixPath(quote.source) for quote in quotes}
    called = Counter(path.name for path in paths.values())
    return {
        source: path.name if called[path.name] == 1 else "/".join(path.parts[-2:])
        for source, path in paths.items()
    }


def _shown(text: str, most: int) -> str:
    """``text`` in one line that does nothing."""
    line = harmless(" ".join(text.split()))
    return _ACTIVE.sub(r"\g<0> ", line if len(line) <= most else line[:most].rstrip() + "…")
