"""Why a mirror does not serve what it is asked for, in the words of huggingface_hub's protocol.

``code`` is what its client reads in ``X-Error-Code``. Something that waits for the operator is a
gated repository to it: there is one, and somebody has to open it.
"""

from __future__ import annotations

from typing import Literal

from ondol.errors import HubNotFoundError, NotApprovedError, OndolError, ScanRefusedError

What = Literal["repository", "revision", "file"]

_CODES = {"repository": "RepoNotFound", "revision": "RevisionNotFound", "file": "EntryNotFound"}
GATED = "GatedRepo"


class MissingError(HubNotFoundError):
    """The hub has no such repository, revision or file; nor has its upstream, if it has one."""

    def __init__(self, what: What, message: str, hint: str = "", *, commit: str = "") -> None:
        super().__init__(message, hint)
        self.what = what
        self.commit = commit


def code_of(error: OndolError) -> tuple[int, str]:
    """The status and the error code that huggingface_hub is told."""
    if isinstance(error, MissingError):
        return 404, _CODES[error.what]
    if isinstance(error, HubNotFoundError):
        return 404, _CODES["repository"]
    if isinstance(error, NotApprovedError | ScanRefusedError):
        return 403, GATED
    # Nothing that its client would try again by itself: somebody waits.
    return 424, ""
