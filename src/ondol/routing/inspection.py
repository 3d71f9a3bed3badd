"""A last look at a whole request before it leaves: personal data and private text, in any disguise.

Given to ``egress``, which leaves out of what it shows what the protocol made itself (signatures,
digests, the destination's own key). The second net below the labels: it does not know where a
request comes from, and it sees neither a paraphrase nor what was encrypted. See ``decoding``.
"""

from __future__ import annotations

from collections.abc import Callable

from ondol.routing import personal_data
from ondol.routing.decoding import TooLargeError, readings, rot13
from ondol.types import Sensitivity

# Keys and addresses are not looked for backwards: who reverses them could as well encrypt them.
_NOT_BACKWARDS = ("secret", "address", "kr_address")
_BACKWARDS = tuple(kind for kind in personal_data.KINDS if kind not in _NOT_BACKWARDS)


class Inspector:
    """``inspector(request)`` is PRIVATE when ``request`` (request line, header lines, an empty
    line, the body) holds personal data or, by ``holds_private``, a passage of private text; else
    PUBLIC: nothing was found. What is too large to be read is PRIVATE."""

    def __init__(self, holds_private: Callable[[str], bool]) -> None:
        self._holds_private = holds_private

    def __call__(self, request: bytes) -> Sensitivity:
        try:
            texts = list(readings(request))
        except TooLargeError:
            return Sensitivity.PRIVATE
        turned = [text[::-1] for text in texts]
        if any(personal_data.holds(text) for text in texts):
            return Sensitivity.PRIVATE
        if any(personal_data.holds(text, among=_BACKWARDS) for text in turned):
            return Sensitivity.PRIVATE
        # One search for all: nothing depends on which of them it is in.
        every = "\n".join([*texts, *map(rot13, texts), *turned])
        return Sensitivity.PRIVATE if self._holds_private(every) else Sensitivity.PUBLIC
