"""Differential privacy of whole devices: clipping, noise in shares, and what has been spent
(``docs/federated-privacy.md``)."""

from __future__ import annotations
