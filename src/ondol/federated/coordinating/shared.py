"""The shared vector as a device holds it: sent once, used for training and measuring."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ondol.errors import MalformedMessageError, RoundRefusedError
from ondol.federated import wire
from ondol.federated.coordinating import messages
from ondol.federated.coordinating.journal import keep
from ondol.federated.coordinating.messages import Message
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.federated.coordinating.protocols import Vector

MOST_VECTOR_BYTES = 256 * 1024 * 1024


class SharedVector:
    """One at a time, in ``folder``, with its digest; of ``longest`` numbers at most."""

    def __init__(self, folder: Path, longest: int = messages.MOST_LENGTH) -> None:
        self._file, self._longest = folder / "shared.vector", longest

    def digest(self) -> str:
        """Of the one that is here, or empty."""
        found = self._read()
        return messages.digest(found) if found is not None else ""

    def of(self, message: Message) -> Vector:
        """The vector that ``message`` speaks of: its own, which is kept, or the one that is here.
        Raises where it brings another than it says."""
        wanted = message.text("start")
        if message.has("vector"):
            came = message.vector(self._longest)
            if messages.digest(came) != wanted:
                raise MalformedMessageError(t("federated_rounds.malformed", what="vector"))
            keep(self._file, wire.pack({"vector": messages.downlink(came)}))
            return came
        found = self._read()
        if found is None or messages.digest(found) != wanted:
            raise RoundRefusedError(t("federated_rounds.no_vector"))
        return found

    def _read(self) -> Vector | None:
        import numpy as np

        try:
            fields = wire.unpack(self._file.read_bytes(), MOST_VECTOR_BYTES)
        except (FileNotFoundError, MalformedMessageError):
            return None
        vector: Vector = fields["vector"].astype(np.float32)
        return vector
