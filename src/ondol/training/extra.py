"""Whether the libraries of the ``train`` extra are here, told without importing them.

Training is the only part of Ondol that needs them; raises ``TrainingError`` when one is missing.
"""

from __future__ import annotations

from importlib.util import find_spec

from ondol.errors import TrainingError
from ondol.i18n import t

LIBRARIES = ("torch", "transformers", "peft", "gguf", "safetensors")


def require(*libraries: str) -> None:
    """Raise TrainingError naming those of ``libraries``, by default all, that are not installed;
    takes no time."""
    missing = [name for name in libraries or LIBRARIES if find_spec(name) is None]
    if missing:
        raise TrainingError(
            t("training.extra_missing", names=", ".join(missing)), t("training.extra_missing_hint")
        )
