"""The only door: every connection that can reach beyond this machine is made, or allowed, here.

``Egress.client`` is the way out for a declared purpose; ``guard`` refuses every other one that
Python's sockets offer. Loopback is inside the house.
"""

from ondol.egress.addresses import is_loopback
from ondol.egress.door import Egress
from ondol.egress.passage import Passage
from ondol.egress.purposes import PURPOSES, Purpose

__all__ = ["PURPOSES", "Egress", "Passage", "Purpose", "is_loopback"]
