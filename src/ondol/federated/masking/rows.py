"""What members and home send each other: rows of one width, each beginning with a node id.

Ids are 8 bytes, little-endian, and ascend: the same rows are always the same bytes, so that a hash
of them speaks of the rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ondol.errors import MaskingError
from ondol.i18n import t

ID_BYTES = 8
LARGEST_ID = (1 << (8 * ID_BYTES)) - 1


def id_bytes(node: int) -> bytes:
    """A node id as it is sent, signed and hashed."""
    return node.to_bytes(ID_BYTES, "little")


def join(rows: Mapping[int, bytes]) -> bytes:
    """The rows as bytes; all of one width."""
    return b"".join(id_bytes(node) + rows[node] for node in sorted(rows))


def split(data: bytes, width: int, known: Collection[int], what: str) -> dict[int, bytes]:
    """The rows that ``join`` wrote, ``width`` bytes each behind its id. Raises ``MaskingError`` for
    a piece of a row, ids that do not ascend, and ids that are not in ``known``."""
    step = ID_BYTES + width
    if len(data) % step or len(data) > step * len(known):
        raise malformed(what)
    nodes = set(known)
    rows: dict[int, bytes] = {}
    last = -1
    for at in range(0, len(data), step):
        node = int.from_bytes(data[at : at + ID_BYTES], "little")
        if node <= last or node not in nodes:
            raise malformed(what)
        rows[node] = data[at + ID_BYTES : at + step]
        last = node
    return rows


def malformed(what: str) -> MaskingError:
    """That a message (``what``: its stage) cannot be what it should be."""
    return MaskingError(t("federated_masking.malformed", what=what))
