"""An adapter of random numbers that fits a model, to see whether an engine applies adapters.

Knows GGUF only through ``gguf``. Raises what that raises for a file that is none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

RANK = 4
ALPHA = 8.0
STRENGTH = 0.2
SEED = 1
MODULE = ".attn_q.weight"


def write(model: Path, file: Path) -> bool:
    """Write the adapter for ``model`` to ``file``; False where it has no such matrices."""
    import gguf
    import numpy as np

    reader = gguf.GGUFReader(model)
    matrices = [one for one in reader.tensors if one.name.endswith(MODULE)]
    architecture: Any = reader.fields["general.architecture"].contents()
    if not matrices:
        return False
    random = np.random.default_rng(SEED)
    writer = gguf.GGUFWriter(file, str(architecture))
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", ALPHA)
    for one in matrices:
        columns, rows = (int(size) for size in one.shape[:2])
        a = random.normal(0, columns**-0.5, (RANK, columns)).astype(np.float32)
        b = random.normal(0, STRENGTH, (rows, RANK)).astype(np.float32)
        writer.add_tensor(f"{one.name}.lora_a", a)
        writer.add_tensor(f"{one.name}.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return True
