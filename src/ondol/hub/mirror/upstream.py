"""The hub that a mirror brings models from: whatever speaks Hugging Face's API, another mirror too.

A revision is asked for once and pinned to its commit; every file is then fetched of that commit and
is known by a digest before its first byte comes. Everything goes out by the purpose ``download``.
Raises ``MissingError`` where the upstream has no such thing, ``HubUnreachableError`` where it
does not answer, or not as such a hub, and what ``models.download`` raises.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ondol.egress import Egress
from ondol.errors import HubUnreachableError
from ondol.hub.mirror.missing import MissingError
from ondol.hub.mirror.origin import COMMIT, LONGEST_PATH, is_path, is_repository
from ondol.i18n import t
from ondol.models.download import PURPOSE, Wanted, as_sentences, download, retry_after
from ondol.models.patience import STATUSES, Patience, TryAgainError, Watch, persist
from ondol.models.resume import shown

MOST_ANSWER_BYTES = 16 << 20
MOST_SIBLINGS = 20_000
ASKING = Patience(
    read_timeout_seconds=10.0, attempts=2, backoff_seconds=0.2, longest_wait_seconds=2
)
"""Somebody waits for the answer."""


@dataclass(frozen=True, slots=True)
class UpstreamFile:
    """``digest`` is ``sha256:…`` where the upstream says it (large files), else ""; ``git_oid`` is
    git's name of a small one, or of a large one's pointer."""

    path: str
    size_bytes: int
    digest: str
    git_oid: str

    @property
    def is_known(self) -> bool:
        """Whether there is anything to check its content by."""
        return bool(self.digest or self.git_oid)


@dataclass(frozen=True, slots=True)
class Pinned:
    """A repository at one commit. ``revision`` is what was asked for."""

    repository: str
    commit: str
    revision: str
    files: tuple[UpstreamFile, ...]
    about: Mapping[str, Any]

    def file(self, path: str) -> UpstreamFile | None:
        return next((file for file in self.files if file.path == path), None)


class Upstream:
    """One hub. ``token`` opens what its owner may read there; it goes to that host alone."""

    def __init__(
        self, url: str, egress: Egress, *, token: str = "", patience: Patience | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self._egress = egress
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._patience = patience or Patience()

    def pin(self, repository: str, revision: str = "main") -> Pinned:
        """``repository`` at the commit that ``revision`` stands for now."""
        if not is_repository(repository):
            raise MissingError("repository", t("hub_mirror.no_repository", name=repository[:100]))
        if not 0 < len(revision) <= LONGEST_PATH:
            raise _no_revision(repository, revision)
        url = f"{self.url}/api/models/{repository}/revision/{quote(revision, safe='')}"
        found = persist(
            lambda: self._ask(url, repository, revision), ASKING, Watch(), shown(self.url)
        )
        return self._pinned(found, repository, revision)

    def fetch(self, pinned: Pinned, file: UpstreamFile, partial: Path, watch: Watch) -> None:
        """Bring ``partial`` to the whole content of ``file``, going on from what is there. Checks
        its length; who calls checks its digest."""
        path = quote(file.path, safe="/")
        wanted = Wanted(
            f"{self.url}/{pinned.repository}/resolve/{pinned.commit}/{path}",
            headers=self._headers,
            size_bytes=file.size_bytes,
            sha256=file.digest.removeprefix("sha256:"),
        )
        download(wanted, partial, self._egress, watch, self._patience)

    def _ask(self, url: str, repository: str, revision: str) -> Any:
        with (
            as_sentences(shown(self.url)),
            self._egress.client(
                url,
                PURPOSE,
                headers={"Accept": "application/json", **self._headers},
                timeout_seconds=ASKING.read_timeout_seconds,
            ) as client,
            client.stream("GET", url, params={"blobs": "true"}) as response,
        ):
            status = response.status_code
            if status == 200:
                return self._json(response.iter_bytes())
            if status in STATUSES:
                raise TryAgainError(
                    t("models.status", status=status), retry_after(response.headers)
                )
            if response.headers.get("X-Error-Code") == "RevisionNotFound":
                raise _no_revision(repository, revision)
            if status in (401, 403, 404, 410):
                raise MissingError(
                    "repository",
                    t("hub_mirror.not_upstream", name=repository),
                    t("hub_mirror.not_upstream_hint"),
                )
            raise self._no_hub(t("models.status", status=status))

    def _json(self, blocks: Iterable[bytes]) -> Any:
        content = bytearray()
        for block in blocks:
            content += block
            if len(content) > MOST_ANSWER_BYTES:
                raise self._no_hub(t("hub_mirror.too_long"))
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self._no_hub(t("hub_mirror.no_json")) from error

    def _pinned(self, found: Any, asked: str, revision: str) -> Pinned:
        try:
            commit, siblings, name = found["sha"], found["siblings"], found.get("id")
            if not COMMIT.fullmatch(commit) or (COMMIT.fullmatch(revision) and commit != revision):
                raise ValueError("sha")
            if len(siblings) > MOST_SIBLINGS:
                raise ValueError("siblings")
            files = tuple(_file(one) for one in siblings if is_path(one["rfilename"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._no_hub(t("hub_mirror.no_hub")) from error
        # A repository that has moved keeps the name that it was asked for by; capitals are its own.
        is_same = isinstance(name, str) and name.lower() == asked.lower()
        return Pinned(name if is_same else asked, commit, revision, files, _about(found))

    def _no_hub(self, why: str) -> HubUnreachableError:
        return HubUnreachableError(t("hub_mirror.unusable", url=shown(self.url), why=why))


def _no_revision(repository: str, revision: str) -> MissingError:
    told = {"name": repository, "revision": revision[:100]}
    return MissingError("revision", t("hub_mirror.no_revision", **told))


def _file(sibling: Mapping[str, Any]) -> UpstreamFile:
    large = sibling.get("lfs") or {}
    size = large.get("size", sibling.get("size"))
    digest, oid = large.get("sha256", large.get("oid", "")), sibling.get("blobId") or ""
    if type(size) is not int or size < 0:
        raise ValueError("size")
    if not _is_hexadecimal(digest, 64) or not _is_hexadecimal(oid, 40):
        raise ValueError("digest")
    return UpstreamFile(sibling["rfilename"], size, f"sha256:{digest}" if digest else "", oid)


def _is_hexadecimal(text: Any, length: int) -> bool:
    return text == "" or (
        isinstance(text, str) and len(text) == length and not set(text) - set("0123456789abcdef")
    )


def _about(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the repository says of itself, as far as a mirror passes it on."""
    about: dict[str, Any] = {}
    for key, name in (
        ("pipeline_tag", "task"),
        ("library_name", "library"),
        ("lastModified", "last_modified"),
    ):
        value = found.get(key)
        if isinstance(value, str) and 0 < len(value) <= 100:
            about[name] = value
    tags = found.get("tags")
    if isinstance(tags, list):
        about["tags"] = [tag for tag in tags if isinstance(tag, str) and len(tag) <= 100][:100]
    return about
