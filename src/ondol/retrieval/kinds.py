"""The words people have for kinds of files: ``pdf``, ``mail``, ``code``, ``text/html``.

A word is the ending of a file's name, a media type, or a group of these. Knows which files a word
means, as a condition in SQL over ``documents d``.
"""

from __future__ import annotations

import re

from ondol.retrieval.loaders import media_types as media

_GROUPS: dict[str, tuple[str, ...]] = {
    "mail": (media.EML, media.MBOX),
    "word": (media.DOCX, media.ODT, media.HWPX),
    "sheet": (media.XLSX, media.ODS, media.CSV, media.TSV),
    "slides": (media.PPTX,),
    "book": (media.EPUB,),
    "web": (media.HTML,),
    "notebook": (media.IPYNB,),
    "image": ("image/*",),
    "code": (*media.CODE, "text/x-sql", media.IPYNB),
    "text": (media.PLAIN, "text/markdown", "text/rst"),
}
_ALSO_CALLED = {
    "email": "mail", "e-mail": "mail", "메일": "mail", "이메일": "mail",
    "document": "word", "워드": "word", "한글": "hwpx",
    "excel": "sheet", "spreadsheet": "sheet", "table": "sheet", "엑셀": "sheet", "표": "sheet",
    "powerpoint": "slides", "presentation": "slides", "파워포인트": "slides", "발표": "slides",
    "ebook": "book", "책": "book", "html": "web", "웹": "web",
    "picture": "image", "photo": "image", "그림": "image", "사진": "image",
    "source": "code", "코드": "code", "markdown": "md", "마크다운": "md", "글": "text",
    "python": "py", "javascript": "js", "typescript": "ts", "rust": "rs",
}  # fmt: skip
_MEDIA_TYPE = re.compile(r"[a-z]+/(?:\*|[a-z0-9][a-z0-9.+-]*\*?)")


def read(word: str) -> str | None:
    """The one spelling of ``word`` that ``condition`` takes; ``None`` when it is no kind of file
    that Ondol knows."""
    plain = word.strip().lower().removeprefix("*").removeprefix(".")
    plain = _ALSO_CALLED.get(plain, plain)
    known = plain in _GROUPS or media.of_extension(plain) or plain in media.NOT_YET
    return plain if known or _MEDIA_TYPE.fullmatch(plain) else None


def condition(word: str) -> tuple[str, list[object]]:
    """SQL that holds for a file of that kind. An ending also finds what is the same inside: a PDF
    under another name, ``.htm`` for ``html``."""
    if word in _GROUPS:
        patterns = _GROUPS[word]
    elif "/" in word:
        patterns = (word,)
    else:
        of_name = media.of_extension(word)
        patterns = (of_name,) if of_name else ()
    parts = ["d.media_type GLOB ?"] * len(patterns)
    values: list[object] = [*patterns]
    if word not in _GROUPS and "/" not in word:
        parts.append("d.source LIKE ?")
        values.append(f"%.{word}")
    return " OR ".join(parts), values
