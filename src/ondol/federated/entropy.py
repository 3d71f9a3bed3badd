"""Randomness for what must stay unknown: noise that somebody could draw again is no noise."""

from __future__ import annotations

import os


class SystemEntropy:
    """The operating system's generator, with ``numpy.random.Generator.bytes``'s call."""

    def bytes(self, length: int, /) -> bytes:
        return os.urandom(length)


SYSTEM = SystemEntropy()
