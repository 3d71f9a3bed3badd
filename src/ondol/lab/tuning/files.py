"""The files that are tried: a model's weights in other formats, gone when the trial is over.

Formats that gguf writes are written by it; those of llama.cpp alone by llama-quantize, where a
native engine brought it. Raises ``StorageError`` where there is no room for them.
"""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ondol import keys
from ondol.errors import EngineError
from ondol.i18n import t
from ondol.models import formats
from ondol.models.gguf import GgufHeader, read_header

if TYPE_CHECKING:
    from ondol.models.store import ModelStore

TRIED = ("F16", "BF16", "Q8_0", "Q4_0")
"""From what every machine has kernels for: the two that compute in 16 bits, the one that keeps
nearly all, the one that is smallest."""

BY_LLAMA_QUANTIZE = {"Q6_K": 0.83, "Q5_K_M": 0.71, "Q4_K_M": 0.61}
"""With the bytes of a weight, about; the format must divide the rows."""

BLOCK = 256
SECONDS = 1800


class TrialFiles:
    """Those of one file of weights. A context manager."""

    def __init__(self, store: ModelStore, source: Path, quantiser: Path | None = None) -> None:
        self._store, self._source, self._quantiser = store, source, quantiser
        self._made: dict[str, Path] = {}
        self._cleaning = ExitStack()
        self.header: GgufHeader = read_header(source)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleaning.close()

    def known(self) -> tuple[str, ...]:
        """All formats that can be made here, beside the one that came."""
        more = tuple(BY_LLAMA_QUANTIZE) if self._quantiser and self._has_long_rows() else ()
        found = (*formats.FORMATS, *more)
        return tuple(one for one in found if one != self.header.quantization)

    def tried(self) -> tuple[str, ...]:
        """Those worth trying."""
        known = self.known()
        return tuple(one for one in (*TRIED, *BY_LLAMA_QUANTIZE) if one in known)

    def size(self, format: str) -> int:
        """The bytes of a file in ``format``, or about as many."""
        if format in formats.FORMATS:
            return formats.size_in(self.header, format)
        return int(self.header.parameters * BY_LLAMA_QUANTIZE[format])

    def make(self, format: str) -> Path:
        """The file in ``format``, made once."""
        if format not in self._made:
            self._store.blobs.prepare()
            self._store.blobs.check_space(self.size(format))
            path = self._store.blobs.partial()
            self._cleaning.callback(path.unlink, missing_ok=True)
            if format in formats.FORMATS:
                formats.requantise(self._source, path, format)
            else:
                self._quantise(path, format)
            self._made[format] = path
        return self._made[format]

    def _quantise(self, path: Path, format: str) -> None:
        command = [str(self._quantiser), "--allow-requantize", str(self._source), str(path), format]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
                env=keys.public_environ(),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineError(t("tune.not_quantised", format=format, reason=error)) from error
        if done.returncode or read_header(path).quantization != format:
            reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["?"])[-1][:200]
            raise EngineError(t("tune.not_quantised", format=format, reason=reason))

    def _has_long_rows(self) -> bool:
        """Whether the formats that need rows of whole 256s would be what they are called: else
        llama-quantize takes others for most of them."""
        matrices = [one for one in self.header.tensors if len(one.shape) > 1]
        fitting = sum(one.size_bytes for one in matrices if one.shape[0] % BLOCK == 0)
        return 2 * fitting > sum(one.size_bytes for one in matrices)
