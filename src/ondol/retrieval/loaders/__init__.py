"""Files to documents: ``load`` reads one file of any kind that ``media_type`` knows.

Whatever a file is or does, the outcome is a ``Document`` or a ``DocumentError`` of one sentence.
"""

from ondol.retrieval.loaders.loader import load
from ondol.retrieval.loaders.media_types import media_type

__all__ = ["load", "media_type"]
