"""A hub as a device sees it: verified by its keys, whoever serves it.

``Hubs`` are the rows of those that the owner added; a ``Hub`` refreshes what it knows of one
(python-tuf's client workflow, TUF specification 5), answers from what was verified last, and
fetches files. A refresh that is refused takes nothing away.
"""

from ondol.hub.client.hub import Hub
from ondol.hub.client.known import Refreshed
from ondol.hub.client.rows import HubRow, Hubs

__all__ = ["Hub", "HubRow", "Hubs", "Refreshed"]
