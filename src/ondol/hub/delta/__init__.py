"""Deltas between two blobs of a hub: made at publish, applied by a client that has the old one.

A delta is not signed and need not be: what it yields is taken only if its hash is the one that the
publisher signed. ``make`` is never worse than the whole file; ``apply`` is bounded in memory and
in what it writes, whatever it is given.
"""

from ondol.hub.delta.applying import apply
from ondol.hub.delta.making import make
from ondol.hub.delta.naming import KIND, SMALLEST_BYTES, Delta, is_worth, most_bytes, offers

__all__ = ["KIND", "SMALLEST_BYTES", "Delta", "apply", "is_worth", "make", "most_bytes", "offers"]
