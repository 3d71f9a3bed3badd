"""One file over HTTP, resumable: into a partial file that outlives kill -9.

A file that changed on the server is started again, never spliced. Stalls, 429 and 5xx are tried
again with growing pauses. Raises ``DownloadError`` with one sentence, ``StorageError`` when the
disk is full, ``EgressError`` when the door is shut; verifies nothing but the length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from ondol import paths
from ondol.egress import Egress
from ondol.errors import DownloadError, InvalidModelError
from ondol.i18n import t
from ondol.models.blobs import Blobs, discard
from ondol.models.patience import STATUSES, Patience, TryAgainError, Watch, failed, persist
from ondol.models.resume import Version, load, save, shown, size_of, version_of

if TYPE_CHECKING:
    import httpx2

    from ondol.egress.connections import Pace

PURPOSE = "download"
UNANNOUNCED_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fetch. With a ``sha256`` a part may always be continued: the digest tells in the end.

    ``magic`` is what the content must begin with, so that a login page is noticed at once. With
    ``is_verbatim`` nothing is taken that the server says it compressed: a little of that may be
    very much. ``pace`` is how slow it may be (``TooSlowError``).
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    size_bytes: int | None = None
    sha256: str = ""
    magic: bytes = b""
    purpose: str = PURPOSE
    is_verbatim: bool = False
    pace: Pace | None = None


def download(
    wanted: Wanted, partial: Path, egress: Egress, watch: Watch, patience: Patience
) -> None:
    """Bring ``partial`` to its full length, whatever of it is already there."""
    fetching = _Download(wanted, partial, egress, watch, patience)
    persist(fetching.attempt, patience, watch, shown(wanted.url), lambda: size_of(partial))


class _Download:
    def __init__(
        self, wanted: Wanted, partial: Path, egress: Egress, watch: Watch, patience: Patience
    ) -> None:
        self._wanted = wanted
        self._partial = partial
        self._egress = egress
        self._watch = watch
        self._patience = patience

    def attempt(self) -> None:
        """One request, from where the partial file ends; TryAgainError when that was not all."""
        have, saved = size_of(self._partial), load(self._partial)
        if self._wanted.sha256 and have and have == self._wanted.size_bytes:
            return
        with self._respond(have, saved) as response:
            now = version_of(str(response.url), response.headers)
            if response.status_code == 416 and have == now.total_bytes and saved.validator:
                # If-Range held: it is the same file, and all of it is here.
                return
            start = self._start(response, have)
            if start and saved.differs(now):
                self._start_over(t("models.changed"))
            self._write(response, start, now)
        self._check_length(now)

    @contextmanager
    def _respond(self, have: int, saved: Version) -> Iterator[httpx2.Response]:
        wanted = self._wanted
        headers = {"Accept-Encoding": "identity", **wanted.headers}
        if have and (saved.validator or wanted.sha256):
            headers["Range"] = f"bytes={have}-"
            if saved.validator and not wanted.sha256:
                headers["If-Range"] = saved.validator
        with (
            as_sentences(shown(wanted.url)),
            self._egress.client(
                wanted.url,
                wanted.purpose,
                headers=headers,
                timeout_seconds=self._patience.read_timeout_seconds,
                pace=wanted.pace,
            ) as client,
            client.stream("GET", wanted.url) as response,
        ):
            yield response

    def _start(self, response: httpx2.Response, have: int) -> int:
        """The offset at which the body begins."""
        status = response.status_code
        if status == 200:
            return 0
        if status == 206:
            if response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                return have
            self._start_over(t("models.wrong_range"))
        if status == 416:
            self._start_over(t("models.changed"))
        if status in STATUSES:
            raise TryAgainError(t("models.status", status=status), retry_after(response.headers))
        raise refused(status, shown(self._wanted.url))

    def _write(self, response: httpx2.Response, start: int, version: Version) -> None:
        total = self._total(version)
        blobs = Blobs(self._partial.parent)
        if total is not None:
            blobs.check_space(max(total - start, 0))
        encoded = response.headers.get("Content-Encoding", "identity") != "identity"
        if encoded and self._wanted.is_verbatim:
            raise failed(shown(self._wanted.url), t("models.compressed"))
        try:
            # Unbuffered, so that whatever has arrived survives kill -9.
            with self._partial.open("r+b" if start else "wb", buffering=0) as file:
                file.seek(start)
                if not start:
                    # The old content is gone before the new version is noted: no splice.
                    save(self._partial, version)
                done = start
                for block in response.iter_bytes() if encoded else response.iter_raw():
                    self._watch.check()
                    self._check_magic(block, done)
                    file.write(block)
                    done += len(block)
                    self._watch.on_bytes(done, total)
                    if total is None and done % UNANNOUNCED_BYTES < len(block):
                        blobs.check_space(UNANNOUNCED_BYTES)
        except OSError as error:
            raise paths.storage_error(error, self._partial) from error

    def _check_magic(self, block: bytes, done: int) -> None:
        magic = self._wanted.magic
        if magic and not done and block and not block.startswith(magic[: len(block)]):
            discard(self._partial)
            raise InvalidModelError(
                t("models.not_gguf", where=shown(self._wanted.url)), t("models.not_there_hint")
            )

    def _check_length(self, version: Version) -> None:
        total, size = self._total(version), size_of(self._partial)
        if total is not None and size < total:
            raise TryAgainError(t("models.cut_short"))
        if total is not None and size > total:
            self._start_over(t("models.changed"))

    def _total(self, version: Version) -> int | None:
        known = self._wanted.size_bytes
        return version.total_bytes if known is None else known

    def _start_over(self, why: str) -> None:
        discard(self._partial)
        raise TryAgainError(why)


def refused(status: int, where: str) -> DownloadError:
    """The error for a definite no from the server."""
    if status in (401, 403):
        return DownloadError(
            t("models.forbidden", where=where, status=status), t("models.forbidden_hint")
        )
    if status in (404, 410):
        return DownloadError(t("models.not_there", where=where), t("models.not_there_hint"))
    return failed(where, t("models.status", status=status))


@contextmanager
def as_sentences(where: str) -> Iterator[None]:
    """Turn the HTTP library's exceptions into ours."""
    import httpx2

    try:
        yield
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects) as error:
        raise failed(where, str(error) or type(error).__name__) from error
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        # Mostly there is simply no network: say so soon.
        raise TryAgainError(t("models.unreachable"), weight=3) from error
    except httpx2.TimeoutException as error:
        raise TryAgainError(t("models.stalled")) from error
    except (httpx2.TransportError, httpx2.DecodingError) as error:
        raise TryAgainError(t("models.cut_short")) from error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds the server asks to wait; RFC 9110 allows a number or a date."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (TypeError, ValueError):
        return None
