"""What is said between a device and the process in which it learns: JSON lines, vectors in base64.

Examples pass through a pipe and never through a file. No pickle: neither side runs what it reads.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from ondol.training.lines import examples_of, to_lines

if TYPE_CHECKING:
    from ondol.federated.learning.layout import Vector
    from ondol.training.dataset import Example


def write(stream: IO[bytes], **fields: Any) -> None:
    """One message, at once."""
    stream.write(json.dumps(fields).encode() + b"\n")
    stream.flush()


def read(line: bytes) -> dict[str, Any]:
    """The message of a line."""
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def of_vector(vector: Vector) -> str:
    """Little endian, as it is on every machine that Ondol runs on."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


def to_vector(text: str) -> Vector:
    """A copy of its own, which may be written to."""
    import numpy as np

    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)


def of_examples(examples: Sequence[Example]) -> str:
    return to_lines(examples)


def to_examples(message: Mapping[str, Any]) -> list[Example]:
    return examples_of(str(message["examples"]))
