"""Ondol: a personal AI that lives on its owner's own machines."""

from __future__ import annotations

from ondol.errors import OndolError

__version__ = "0.1.0"

__all__ = ["OndolError", "__version__"]
