"""A file of a release, from one mirror after the other: a delta where there is one, else the whole.

Nobody is trusted on the way: what comes is measured against the length and the digest that were
signed. A mirror that lies, stalls or sends without end is named, left, and the next one goes on
from the bytes that are here. Raises what ``Hub.fetch`` says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from ondol.egress import Egress
from ondol.egress.connections import Pace, TooSlowError
from ondol.errors import (
    DownloadError,
    EgressError,
    HubError,
    HubUnreachableError,
    OndolError,
    UntrustedError,
)
from ondol.hub.client.limits import PURPOSE, too_slow
from ondol.hub.client.refusing import untrusted
from ondol.hub.release import ReleaseFile
from ondol.i18n import t
from ondol.models.blobs import Blobs, digest_of, discard, sidecar
from ondol.models.download import Wanted, download
from ondol.models.patience import Patience, Watch
from ondol.models.resume import size_of

_BLOB = re.compile(r"sha256-[0-9a-f]{64}")


def _now() -> float:
    return monotonic()


@dataclass(slots=True)
class Meter:
    """Counts what one mirror sends: holds it to the owner's ``limit_bytes_per_second``, leaves it
    when it is slower than ``pace`` over all its tries, or sends more than ``most_bytes``."""

    mirror: str
    most_bytes: int
    pace: Pace
    watch: Watch
    limit_bytes_per_second: float | None = None
    done: int = 0
    received: int = 0
    waited_seconds: float = 0.0
    begun_at: float = field(default_factory=_now)

    def on_bytes(self, done: int, total: int | None) -> None:
        """``done`` bytes of the file are here."""
        self.received += done - self.done if done > self.done else done
        self.done = done
        if done > self.most_bytes or (total or 0) > self.most_bytes:
            raise untrusted("endless", self.mirror)
        self._keep_to_limit()
        allowed = self.pace.grace_seconds + self.received / self.pace.least_bytes_per_second
        if _now() - self.begun_at - self.waited_seconds > allowed:
            raise too_slow(self.mirror)
        self.watch.on_bytes(done, total)

    def _keep_to_limit(self) -> None:
        if not self.limit_bytes_per_second:
            return
        early = self.received / self.limit_bytes_per_second - (_now() - self.begun_at)
        if early > 0:
            self.waited_seconds += early
            self.watch.cancel.wait(early)
            self.watch.check()


@dataclass(frozen=True, slots=True)
class Fetching:
    """One file on its way. ``on_left`` hears of each mirror that was left, and why."""

    file: ReleaseFile
    partial: Path
    egress: Egress
    patience: Patience
    pace: Pace
    watch: Watch
    limit_bytes_per_second: float | None
    on_left: Callable[[str, OndolError], None]
    lied: set[str] = field(default_factory=set)

    def run(self, urls: Sequence[str], have: Sequence[Path]) -> Path:
        """``partial``, once its content is what was signed."""
        for url in urls:
            self.egress.declare(PURPOSE, url)
        if self._patch(urls, have):
            return self.partial
        errors: list[OndolError] = []
        for url in sorted(urls, key=lambda url: url in self.lied):
            try:
                self._whole(url)
                return self.partial
            except (HubError, EgressError) as error:
                self.on_left(url, error)
                errors.append(error)
        order = (UntrustedError, HubUnreachableError)
        raise next((one for kind in order for one in errors if isinstance(one, kind)), errors[0])

    def _whole(self, url: str) -> None:
        """All of the file from ``url``, or what is missing of it."""
        resumed = size_of(self.partial) > 0
        self._bring(url)
        if digest_of(self.partial, self._verifying) == self.file.digest:
            return
        discard(self.partial)
        if resumed:
            # The part that was here may have been somebody else's lie: once more, from nothing.
            self._bring(url)
            if digest_of(self.partial, self._verifying) == self.file.digest:
                return
            discard(self.partial)
        raise untrusted("content", url, file=self.file.name)

    def _bring(self, url: str) -> None:
        # Each mirror has its own entity tags for the same bytes: the digest tells in the end.
        sidecar(self.partial).unlink(missing_ok=True)
        wanted = Wanted(
            f"{url}/blobs/sha256-{self.file.hex}",
            size_bytes=self.file.size_bytes,
            sha256=self.file.hex,
            purpose=PURPOSE,
            is_verbatim=True,
            pace=self._allowed(),
        )
        try:
            self._download(wanted, self.partial, url, self.file.size_bytes)
        except UntrustedError:
            discard(self.partial)
            raise

    def _patch(self, urls: Sequence[str], have: Sequence[Path]) -> bool:
        """Whether a delta from what is here made it."""
        from ondol.hub.delta import is_worth, most_bytes, offers

        if size_of(self.partial) or not is_worth(self.file.role, self.file.size_bytes):
            return False
        offered = ((old, path) for old in have for path in offers(_digest(old), self.file.digest))
        return any(
            self._patch_from(old, f"{url}/{path}", url, most_bytes(self.file.size_bytes))
            for old, path in offered
            for url in urls
        )

    def _patch_from(self, old: Path, at: str, url: str, most: int) -> bool:
        delta = self.partial.with_name(f"{self.partial.name}.delta")
        wanted = Wanted(at, purpose=PURPOSE, is_verbatim=True, pace=self._allowed())
        try:
            self._download(wanted, delta, url, most)
            self._apply(old, delta, url)
        except UntrustedError as error:
            self.lied.add(url)
            self.on_left(url, error)
            return False
        except (HubError, EgressError):
            return False  # mostly there is none
        finally:
            # Whoever is called off goes on from here the next time.
            if not self.watch.cancel.is_set():
                discard(delta)
        return True

    def _apply(self, old: Path, delta: Path, url: str) -> None:
        from ondol.hub.delta import apply

        patched = self.partial.with_name(f"{self.partial.name}.patched")
        size = self.file.size_bytes
        Blobs(self.partial.parent).check_space(size)
        try:
            digest = apply(old, delta, patched, most_bytes=size, on_bytes=self._verifying)
            if digest != self.file.digest:
                raise untrusted("content", url, file=self.file.name)
            patched.replace(self.partial)
        finally:
            patched.unlink(missing_ok=True)

    def _download(self, wanted: Wanted, partial: Path, url: str, most_bytes: int) -> None:
        # What is here already was neither waited for nor sent too slowly.
        limit, done = self.limit_bytes_per_second, size_of(partial)
        meter = Meter(url, most_bytes, self._allowed(), self.watch, limit, done)
        watch = Watch(meter.on_bytes, self.watch.cancel)
        try:
            download(wanted, partial, self.egress, watch, self.patience)
        except TooSlowError as error:
            raise too_slow(url) from error
        except DownloadError as error:
            self._check()
            told = t("hub_client.no_file", mirror=url, file=self.file.name)
            raise HubUnreachableError(told, t("hub_client.mirror_hint")) from error

    def _allowed(self) -> Pace:
        """Who is held back by the owner's limit is not slow by that."""
        least = self.pace.least_bytes_per_second
        if self.limit_bytes_per_second:
            least = min(least, self.limit_bytes_per_second / 2)
        return Pace(self.pace.grace_seconds, least)

    def _verifying(self, done: int) -> None:
        self._check()

    def _check(self) -> None:
        if self.watch.cancel.is_set():
            raise DownloadError(t("hub_client.cancelled"), t("hub_client.cancelled_hint"))


def _digest(file: Path) -> str:
    """That of a blob is its name."""
    if _BLOB.fullmatch(file.name):
        return file.name.replace("-", ":", 1)
    return digest_of(file)
