"""A GGUF file at an http(s) address, ``#sha256=…`` optional."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urldefrag, urlsplit

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.models.download import Wanted, download
from ondol.models.patience import Watch
from ondol.models.resume import shown
from ondol.models.sources import Context, Offer, RemoteFile, key_of


class UrlSource:
    """One file."""

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
        digest = f"sha256:{self._sha256}" if self._sha256 else ""
        key = self._sha256 or key_of(self._url)
        return Offer((RemoteFile("weights", name, key, digest),))

    def fetch(self, file: RemoteFile, partial: Path, watch: Watch) -> None:
        wanted = Wanted(self._url, sha256=self._sha256, magic=b"GGUF")
        download(wanted, partial, self._context.egress, watch, self._context.patience)
