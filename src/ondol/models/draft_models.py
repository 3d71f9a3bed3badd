"""Which small model may guess for a large one: the one that the catalogue names for it, where it is
installed and writes with the same tokens.

Reads files of the store only; what that takes of the memory is for whoever starts it to count.
Raises ``InvalidModelError`` for a file that cannot be read.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from ondol.errors import ModelError
from ondol.models import catalog
from ondol.models.gguf_reader import open_reader
from ondol.models.store import Model, ModelStore

# What makes the same ids the same texts; merges and templates only decide what is written.
_KEYS = ("tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.tokens")


def drafter(store: ModelStore, model: Model) -> Path | None:
    """The weights of the small model that may draft for ``model``; None where there is none."""
    entry = catalog.load().find(model.name)
    if entry is None or not entry.draft:
        return None
    try:
        small = store.get(entry.draft)
    except ModelError:
        return None
    path, large = store.path(small), store.path(model)
    return path if vocabulary(path) == vocabulary(large) != "" else None


# A blob is named after its content.
@lru_cache(maxsize=32)
def vocabulary(path: Path) -> str:
    """Names the tokens of a GGUF file, by the bytes that it has for them; "" for none."""
    found = hashlib.sha256()
    seen = 0
    with open_reader(path) as reader, path.open("rb") as file:
        reader.take(8, "")
        _, count = reader.u64(""), reader.u64("")
        for _ in range(count):
            key, start = reader.name(""), reader.position
            reader.value(reader.u32(key), key)
            if key in _KEYS:
                file.seek(start)
                found.update(key.encode() + b"\0" + file.read(reader.position - start))
                seen += 1
    return found.hexdigest() if seen == len(_KEYS) else ""
