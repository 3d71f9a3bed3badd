"""Ondol: a personal AI that lives on its owner's own machines."""

from __future__ import annotations

import os

from ondol.errors import OndolError

__version__ = "0.1.0"

# Before any library is imported: none of them reports to its maker from this house. The names are
# onnxruntime's, Hugging Face's, and the one that many tools respect.
for _switch in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ[_switch] = "1"

__all__ = ["OndolError", "__version__"]
