"""Which samples are the same, nearly the same, or the same reply over and over.

Two texts are compared by the fingerprints of their passages (``winnowing``): Jaccard's index of the
two sets (Broder 1997, "On the resemblance and containment of documents"). A few of a text's
fingerprints, the smallest ones, are kept as its marks, by which alike texts are found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from ondol.folding import letters
from ondol.samples.records import Draft, Sample

LEAST_LETTERS, SURE_LETTERS = 12, 24
NEAR = 0.8
MARKS = 16
# Secret nowhere: the texts stand beside their marks.
_KEY = b"samples"


def digest(draft: Draft) -> str:
    """Of all that is learned from, however it is spaced."""
    said = [[one.role, " ".join(one.content.split())] for one in draft.messages]
    reply = " ".join(draft.reply.split())
    rejected = None if draft.rejected is None else " ".join(draft.rejected.split())
    return _hash([draft.kind, said, reply, rejected, draft.is_desirable])


def opposite(draft: Draft) -> str | None:
    """The digest of a draft that says the contrary: the other thumb, the pair the other way round.
    ``None`` for what has no contrary."""
    if draft.kind == "thumb":
        is_desirable = not draft.is_desirable
        return digest(
            Draft("thumb", "", draft.messages, draft.reply, None, is_desirable=is_desirable)
        )
    if draft.kind == "preference" and draft.rejected is not None:
        return digest(
            Draft("preference", "", draft.messages, draft.rejected, draft.reply, None),
        )
    return None


def passages(text: str) -> frozenset[int]:
    """The fingerprints of ``text``; one of a text too short to have passages."""
    from ondol.winnowing import winnow

    folded = letters(text) or text
    marks, _ = winnow(folded, _KEY, least=LEAST_LETTERS, sure=SURE_LETTERS)
    if len(marks):
        return frozenset(int(mark) for mark in marks)
    whole = hashlib.sha256(folded.encode("utf-8", "replace")).digest()
    return frozenset([int.from_bytes(whole[:7], "big")])


def marks(found: frozenset[int]) -> list[int]:
    """Those of a text's passages that it is looked up by."""
    return sorted(found)[:MARKS]


def resemblance(one: frozenset[int], other: frozenset[int]) -> float:
    """Jaccard's index, from 0 to 1."""
    return len(one & other) / len(one | other)


def are_near(one: frozenset[int], other: frozenset[int]) -> bool:
    return resemblance(one, other) >= NEAR


def prompt_of(draft: Draft | Sample) -> str:
    """What a draft answers: the owner's last message. What was said before it is the same for all
    turns of a conversation."""
    return draft.messages[-1].content


def taught(draft: Draft | Sample) -> str:
    """What a draft teaches to say or not to say; a reply beside the rejected one."""
    return draft.reply if draft.rejected is None else f"{draft.reply}\n{draft.rejected}"


def _hash(parts: Iterable[object]) -> str:
    written = json.dumps(list(parts), ensure_ascii=False).encode("utf-8", "replace")
    return hashlib.sha256(written).hexdigest()
