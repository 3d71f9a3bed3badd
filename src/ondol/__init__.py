"""Ondol: a personal AI that lives on its owner's own machines."""

from __future__ import annotations

import os

from ondol.errors import OndolError

__version__ = "0.1.0"

# Before any library is imported: none of them reports to its maker from this house. All switches
# are here: those of what we use, of what runs beside it, and the ones that many tools respect.
_SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",  # its chunk protocol is native code that opens connections itself
    "FLWR_TELEMETRY_ENABLED": "0",
    "QDRANT__TELEMETRY_DISABLED": "true",
    "VLLM_NO_USAGE_STATS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "WANDB_MODE": "disabled",
    "ANONYMIZED_TELEMETRY": "False",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
os.environ.update(_SWITCHES)

__all__ = ["OndolError", "__version__"]
