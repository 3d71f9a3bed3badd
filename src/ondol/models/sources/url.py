"""A GGUF file at an http(s) address, ``#sha256=…`` optional; of a model in several, all of them."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urldefrag, urlsplit

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.models.download import Wanted, download
from ondol.models.patience import Watch
from ondol.models.resume import shown
from ondol.models.sources import Context, Offer, RemoteFile, key_of
from ondol.models.sources.file import parts_of


class UrlSource:
    """One file, or the parts of a split model; a digest is that of the file it was given with."""

    def __init__(self, reference: str, context: Context) -> None:
        self._url, fragment = urldefrag(reference)
        self._context = context
        self._sha256 = ""
        if fragment:
            found = re.fullmatch(r"sha256[=:]([0-9a-fA-F]{64})", fragment)
            if not found:
                raise UsageError(t("models.bad_fragment"), t("models.bad_fragment_hint"))
            self._sha256 = found[1].lower()

    def offer(self) -> Offer:
        name = PurePosixPath(unquote(urlsplit(self._url).path)).name
        if not name.lower().endswith(".gguf"):
            raise UsageError(t("models.not_gguf_name", name=shown(self._url)))
        return Offer(tuple(self._file(part, part == name) for part in parts_of(name)))

    def _file(self, name: str, is_named: bool) -> RemoteFile:
        if is_named and self._sha256:
            return RemoteFile("weights", name, self._sha256, f"sha256:{self._sha256}")
        return RemoteFile("weights", name, key_of(self._address(name)))

    def _address(self, name: str) -> str:
        """Where the part called ``name`` is: beside the one that was asked for."""
        parts = urlsplit(self._url)
        folder, _, given = parts.path.rpartition("/")
        if unquote(given) == name:
            return self._url
        return parts._replace(path=f"{folder}/{quote(name)}").geturl()

    def fetch(self, file: RemoteFile, partial: Path, watch: Watch) -> None:
        sha256 = file.digest.removeprefix("sha256:")
        wanted = Wanted(self._address(file.name), sha256=sha256, magic=b"GGUF")
        download(wanted, partial, self._context.egress, watch, self._context.patience)
