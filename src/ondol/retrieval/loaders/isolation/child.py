"""The parent's end of the child that reads documents."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ondol.confinement import child
from ondol.confinement.child import ChildGoneError
from ondol.retrieval.loaders import ocr
from ondol.retrieval.loaders.isolation import wire
from ondol.types import Document

__all__ = ["COMMAND", "Child", "ChildGoneError"]

COMMAND = (sys.executable, "-P", "-m", "ondol.retrieval.loaders.isolated")


class Child(child.Child):
    """A child that is ready, or ``ChildGoneError`` or ``OSError``."""

    def __init__(self, command: Sequence[str], memory_bytes: int) -> None:
        program = ocr.find_program()
        more = {"PATH": str(Path(program).parent) if program else ""}
        if "TESSDATA_PREFIX" in os.environ:
            more["TESSDATA_PREFIX"] = os.environ["TESSDATA_PREFIX"]
        super().__init__(command, memory_bytes, answer_bytes=wire.MAX_ANSWER_BYTES, more=more)

    def hear_document(self, first: Mapping[str, Any], source: str, deadline: float) -> Document:
        """The rest of a document that began with ``first``."""
        return self.hear_with(
            lambda incoming, until: wire.receive_document(incoming, first, source, until), deadline
        )
