"""Where a mirrored release came from: the repository, its commit, what each file is called there.

A release's files have plain names; a repository's have paths. ``origin.json`` is one file of the
release, signed with the others, and says which is which. Reading it trusts nothing: ``HubError``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any, Self

from ondol.errors import HubError
from ondol.hub.targets import FILE_NAME, NAME
from ondol.i18n import t

ORIGIN = "origin.json"
ROLE = "origin"
PUBLISHER = "mirror"
"""Whose releases answer under the names of an upstream: of any other publisher an origin is just a
file, or one could pass for somebody else's repository."""

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
MOST_BYTES = 1 << 20
MOST_FILES = 190
"""Of one release; its card names each."""

MOST_OTHERS = 4000
LONGEST_PATH = 512
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_GIT_OID = re.compile(r"(?:[0-9a-f]{40})?")


@dataclass(frozen=True, slots=True)
class OriginFile:
    """A file: its ``path`` there, its ``name`` in the release. ``git_oid`` is git's name of it."""

    path: str
    name: str
    digest: str
    size_bytes: int
    git_oid: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """``revision`` is the branch, tag or commit that was asked for; ``others`` are paths that the
    repository has at this commit and that were not brought along; ``about`` is what it says of
    itself: tags, task, library, last_modified."""

    repository: str
    commit: str
    files: tuple[OriginFile, ...]
    revision: str = "main"
    others: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    def content(self) -> bytes:
        """The content of ``origin.json``: the same for the same origin."""
        fields = {**asdict(self), "about": dict(self.about)}
        return json.dumps(fields, ensure_ascii=False, sort_keys=True, indent=1).encode()

    @classmethod
    def of(cls, content: bytes) -> Self:
        """The origin that ``content`` describes; HubError unless every field is what it must be."""
        try:
            if len(content) > MOST_BYTES:
                raise ValueError("size")
            found = json.loads(content)
            origin = cls(
                found["repository"],
                found["commit"],
                tuple(OriginFile(**file) for file in found["files"]),
                found.get("revision", "main"),
                tuple(found.get("others", ())),
                found.get("about", {}),
            )
            _check(origin)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise HubError(t("hub_mirror.bad_origin")) from error
        return origin


def _check(origin: Origin) -> None:
    if not is_repository(origin.repository) or not COMMIT.fullmatch(origin.commit):
        raise ValueError("repository")
    if not isinstance(origin.revision, str) or not 0 < len(origin.revision) <= LONGEST_PATH:
        raise ValueError("revision")
    if len(origin.files) > MOST_FILES or len(origin.others) > MOST_OTHERS:
        raise ValueError("files")
    for file in origin.files:
        if not FILE_NAME.fullmatch(file.name) or not _DIGEST.fullmatch(file.digest):
            raise ValueError("file")
        if type(file.size_bytes) is not int or not _GIT_OID.fullmatch(file.git_oid):
            raise ValueError("size")  # the other becomes a header
    paths = [*(file.path for file in origin.files), *origin.others]
    if len(set(paths)) != len(paths) or not all(is_path(path) for path in paths):
        raise ValueError("path")
    if not isinstance(origin.about, dict):
        raise ValueError("about")


def is_repository(text: str) -> bool:
    """Whether a repository may be called ``text``: ``owner/name``, or ``name`` as old ones are."""
    return bool(REPOSITORY.fullmatch(text)) and ".." not in text and "--" not in text


def is_path(text: Any) -> bool:
    """Whether ``text`` is a file's path in a repository, in its one form."""
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST_PATH or "\\" in text:
        return False
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        return False
    return (
        str(PurePosixPath(text)) == text
        and not text.startswith(("/", "../"))
        and not ({"..", "."} & set(PurePosixPath(text).parts))
    )


def item_of(repository: str) -> str:
    """What a repository's mirror is called as an item: ``owner--name`` in small letters. Of one
    that is too long the end is a digest."""
    plain = repository.lower().replace("/", "--").strip("._-")
    if NAME.fullmatch(plain) and ".." not in plain:
        return plain
    digest = hashlib.sha256(repository.lower().encode()).hexdigest()[:12]
    kept = re.sub(r"[^a-z0-9._-]+|\.\.+", "-", plain)[:48].strip("._-") or "model"
    return f"{kept}-{digest}"


def names_of(paths: Iterable[str]) -> dict[str, str]:
    """A release's name for each path: ``onnx/model.onnx`` is ``onnx--model.onnx``. The extension
    stays; of two that would be called alike, both carry a digest of their path."""
    plain = {path: _plain(path) for path in paths}
    taken = list(map(str.lower, plain.values()))
    return {
        path: name if taken.count(name.lower()) == 1 and name != ORIGIN else _marked(path, name)
        for path, name in plain.items()
    }


def _plain(path: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]", "_", path.replace("/", "--")).strip("._-")
    return name if FILE_NAME.fullmatch(name) else _marked(path, name)


def _marked(path: str, name: str) -> str:
    suffix = re.sub(r"[^A-Za-z0-9.]", "", PurePosixPath(path).suffix)[:16].rstrip(".")
    digest = hashlib.sha256(path.encode()).hexdigest()[:12]
    stem = name.removesuffix(suffix)[:80].strip("._-") or "file"
    return f"{stem}-{digest}{suffix}"
