"""A hub on a plain folder: The Update Framework's metadata over blobs named by their SHA-256.

``Repository`` is the operator's and the publishers' side; any web server serves the folder, and
``ondol.hub.client`` reads it. The order of steps is in ``settling``, the form in ``docs/hub.md``.
"""

from ondol.hub.repository.repository import Repository

__all__ = ["Repository"]
