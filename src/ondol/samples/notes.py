"""The owner's own texts to samples of a style: what was written, and a request it could be from.

A Markdown or plain text is cut at its headings, and a long part between paragraphs; what goes on
answers "Go on.". Code, tables and front matter have no style. (Instructions for texts that are
there already: Li et al. 2023, "Self-alignment with instruction backtranslation", arXiv:2308.06259;
here they are templates, no model is asked.)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from ondol.samples.records import Draft
from ondol.types import Message

PIECE_LETTERS = 1500
LEAST_LETTERS = 80
"""A shorter piece is a list's item or a heading's line."""

# By the title's hash one of them: the same title always asks in the same words.
WRITE = {
    "en": ("Write about {title}.", "Write a few paragraphs about {title}.", "Tell me of {title}."),
    "ko": ("{title}에 대해 써 줘.", "{title}에 관한 글을 써 줘.", "{title} 이야기를 글로 써 줘."),
}
GO_ON = {"en": "Go on.", "ko": "이어서 써 줘."}

_FRONT_MATTER = re.compile(r"\A---\n.*?\n(?:---|\.\.\.)\n", re.DOTALL)
_FENCE = re.compile(r"(```|~~~)")
_HEADING = re.compile(r"^#{1,6}[ \t]+(\S.*)$", re.MULTILINE)
_UNDERLINED = re.compile(r"^(\S.*)\n(?:={3,}|-{3,})\s*$", re.MULTILINE)
_NO_PROSE = re.compile(r"\s*(?:\||!\[|\[[^\]]+\]:|<|\$\$)")
_HANGUL = re.compile(r"[가-힣]")


def drafts_of(conversation: str, title: str, text: str) -> Iterator[Draft]:
    """The samples that ``text`` makes; ``title`` is what it is called where it has no headings."""
    for heading, body in sections(text):
        said: tuple[Message, ...] = ()
        for piece in pieces(body):
            language = "ko" if _HANGUL.search(piece) else "en"
            asked = Message("user", request(heading or title, language))
            prompt = (*said, Message("user", GO_ON[language])) if said else (asked,)
            yield Draft("sft", conversation, prompt, piece)
            # What goes on sees the piece before it, no more.
            said = (asked, Message("assistant", piece))


def sections(text: str) -> Iterator[tuple[str, str]]:
    """Each heading with what stands below it; "" is the heading of what comes before all."""
    text = _without_code(_FRONT_MATTER.sub("", text.lstrip("\ufeff")))
    text = _UNDERLINED.sub(r"# \1", text)
    begin, heading = 0, ""
    for match in _HEADING.finditer(text):
        yield heading, text[begin : match.start()]
        begin, heading = match.end(), match[1].rstrip().rstrip("#").rstrip()
    yield heading, text[begin:]


def _without_code(text: str) -> str:
    """``text`` without what stands between fences; an end that is missing leaves all as it is."""
    kept: list[str] = []
    code: list[str] = []
    fence = ""
    for line in text.split("\n"):
        if not fence and (found := _FENCE.match(line)):
            fence, code = found[1], [line]
        elif fence:
            code.append(line)
            if line.startswith(fence) and not line.rstrip().strip("`~"):
                fence, code = "", []
                kept.append("")
        else:
            kept.append(line)
    return "\n".join([*kept, *code])


def pieces(text: str) -> Iterator[str]:
    """Paragraphs, several together up to ``PIECE_LETTERS``; those too short for a style are left
    out."""
    gathered: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        prose = paragraph.strip("\n").rstrip()
        if not prose.strip() or _NO_PROSE.match(prose):
            continue
        if gathered and sum(map(len, gathered)) + len(prose) > PIECE_LETTERS:
            yield from _long_enough(gathered)
            gathered = []
        gathered.append(prose)
    yield from _long_enough(gathered)


def _long_enough(paragraphs: list[str]) -> Iterator[str]:
    piece = "\n\n".join(paragraphs)
    # A syllable of Hangul says as much as two letters.
    if len(piece) + len(_HANGUL.findall(piece)) >= LEAST_LETTERS:
        yield piece


def request(title: str, language: str) -> str:
    """How somebody could have asked for a text of that title."""
    choices = WRITE[language]
    number = hashlib.sha256(title.encode("utf-8", "replace")).digest()[0] % len(choices)
    return choices[number].format(title=" ".join(title.split()))
