"""What a request of huggingface_hub's asks for, read from its address.

Names and revisions are taken apart before they are decoded, for a revision may have a slash in it
(``refs%2Fpr%2F1``). Whether there is such a thing is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from ondol.hub.mirror.origin import LONGEST_PATH, is_path, is_repository
from ondol.hub.mirror.shelf import MAIN


@dataclass(frozen=True, slots=True)
class Asked:
    """A repository, a revision, and a path in it ("": all of it)."""

    repository: str
    revision: str = MAIN
    path: str = ""


def repository_at(rest: str, word: str) -> Asked | None:
    """What ``owner/name/<word>/<revision>/<path>`` asks for, or ``name/<word>/…``; with the empty
    ``word`` the repository alone. None where it is no such address."""
    segments = rest.split("/")
    if not word:
        return _checked(rest, MAIN, "") if len(segments) <= 2 else None
    for length in (2, 1):
        if len(segments) > length + 1 and segments[length] == word:
            repository = "/".join(segments[:length])
            return _checked(repository, segments[length + 1], "/".join(segments[length + 2 :]))
    return None


def _checked(repository: str, revision: str, path: str) -> Asked | None:
    repository, revision, path = unquote(repository), unquote(revision), unquote(path)
    if not is_repository(repository) or not 0 < len(revision) <= LONGEST_PATH:
        return None
    if path and not is_path(path):
        return None
    return Asked(repository, revision, path)
