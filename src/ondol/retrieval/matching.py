"""Which documents hold certain words, wherever in them: for forgetting, where none may be missed.

No stems and no ranking: every word has to be there as it is written, within a longer word too
(Korean particles), in any case and any Unicode form; what stands in quotes, in that order.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping

from ondol.database import Connection

_PIECES = re.compile(r'["“”]([^"“”]+)["“”]|(\S+)')


def holding(connection: Connection, documents: Mapping[int, str], words: str) -> dict[int, str]:
    """Those of ``documents`` (source by id) whose text, title or path holds all of ``words``."""
    wanted = [_plain(quoted or word) for quoted, word in _PIECES.findall(words)]
    if not wanted:
        return {}
    holders = dict(
        connection.execute(
            "SELECT id, coalesce(duplicate_of, id) FROM documents "
            "WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(documents)),),
        ).fetchall()
    )
    titles = dict(connection.execute("SELECT id, title FROM documents").fetchall())
    said: dict[int, str] = {}
    found = {}
    for document_id, source in documents.items():
        holder = holders[document_id]
        if holder not in said:
            said[holder] = _text(connection, holder)
        text = f"{_plain(source)}\n{_plain(titles[document_id])}\n{said[holder]}"
        if all(word in text for word in wanted):
            found[document_id] = source
    return found


def _text(connection: Connection, document_id: int) -> str:
    """A document put together from its chunks, which may overlap, with their headings."""
    text, end, headings = "", 0, set()
    for heading, begin, chunk_end, chunk in connection.execute(
        'SELECT heading, start, "end", text FROM chunks WHERE document_id = ? ORDER BY start',
        (document_id,),
    ):
        headings.add(heading)
        text += (" " if begin > end else "") + chunk[max(0, end - begin) :]
        end = max(end, chunk_end)
    return "\n".join([_plain(text), *map(_plain, sorted(headings))])


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
