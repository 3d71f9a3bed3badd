"""Pull-through: what a client asks for and the hub has not is brought into quarantine.

A client is never served what it made the hub fetch: it hears what becomes of it, and the operator
approves. One snapshot is brought at a time; who asks for the same again hears how far it is. What
failed is tried again after a while, what was refused when the operator says so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ondol.errors import HubError, HubUnreachableError, NotApprovedError, OndolError
from ondol.hub.mirror.bringing import Bringer, name_of
from ondol.hub.mirror.choosing import chosen, why_not
from ondol.hub.mirror.missing import MissingError
from ondol.hub.mirror.upstream import Pinned
from ondol.i18n import t
from ondol.models.blobs import readable_size
from ondol.models.patience import Watch

REMEMBERED_SECONDS = 60.0
MOST_AT_ONCE = 32
MOST_REMEMBERED = 1000
MOST_REMEMBERED_FILES = 50_000
"""A repository may have twenty thousand, and who asks names as many revisions as they like."""
MOST_ASKING, MOST_WAITING = 4, 12
"""Requests that ask the upstream, and those with the ones that wait to: each has one of the threads
that what is here is served with."""


@dataclass(slots=True)
class _Job:
    """A snapshot that is being brought. ``asked`` grows while it waits for its turn."""

    asked: set[str]
    done: int = 0
    total: int | None = None
    failure: OndolError | None = None
    is_over: bool = False
    over_at: float = 0.0
    watch: Watch = field(default_factory=Watch)

    def fits(self, path: str) -> bool:
        return not path or path in self.asked


class PullThrough:
    """The pull-through of one hub. ``allow`` are patterns of repositories that may be brought, as
    in a shell (``Qwen/*``); empty: any. Safe to use from several threads."""

    def __init__(
        self,
        bringer: Bringer,
        allow: Sequence[str] = (),
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bringer = bringer
        self._allow = tuple(allow)
        self._now = now
        self._jobs: dict[str, _Job] = {}
        self._pins: dict[tuple[str, str], tuple[float, Pinned | OndolError]] = {}
        self._lock = threading.Lock()
        self._num_files = 0
        self._asking = threading.Semaphore(MOST_ASKING)
        self._waiting = threading.Semaphore(MOST_WAITING)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="mirror")

    def ask(self, repository: str, revision: str, path: str = "") -> OndolError:
        """See to it that it comes, if it may; why it cannot be served now."""
        try:
            pinned = self._pin(repository, revision)
            return self._state(pinned, path)
        except OndolError as error:
            return error

    def close(self) -> None:
        """Stop bringing; what has come so far is kept for the next time."""
        with self._lock:
            for job in self._jobs.values():
                job.watch.cancel.set()
        self._worker.shutdown(wait=True, cancel_futures=True)

    def commit_of(self, repository: str, revision: str) -> str:
        """The commit that ``revision`` is upstream; raises what ``Upstream.pin`` does."""
        return self._pin(repository, revision).commit

    def _pin(self, repository: str, revision: str) -> Pinned:
        if self._allow and not any(fnmatchcase(repository, one) for one in self._allow):
            raise MissingError("repository", t("hub_mirror.not_allowed", name=repository))
        found = self._remembered(repository, revision) or self._asked(repository, revision)
        if isinstance(found, OndolError):
            # Every time it is raised it would remember where, and what was there.
            raise found.with_traceback(None)
        return found

    def _remembered(self, repository: str, revision: str) -> Pinned | OndolError | None:
        with self._lock:
            at, found = self._pins.get((repository, revision), (float("-inf"), None))
        return found if self._now() - at <= REMEMBERED_SECONDS else None

    def _asked(self, repository: str, revision: str) -> Pinned | OndolError:
        if not self._waiting.acquire(blocking=False):
            raise HubUnreachableError(t("hub_mirror.busy"))
        try:
            if not self._asking.acquire(timeout=10):
                raise HubUnreachableError(t("hub_mirror.busy"))
            try:
                found = self._remembered(repository, revision)
                return found or self._remember(repository, revision)
            finally:
                self._asking.release()
        finally:
            self._waiting.release()

    def _remember(self, repository: str, revision: str) -> Pinned | OndolError:
        found: Pinned | OndolError
        try:
            found = self._bringer.upstream.pin(repository, revision)
            num_files = len(found.files)
        except OndolError as error:
            found, num_files = error.with_traceback(None), 0
            found.__cause__ = found.__context__ = None
        with self._lock:
            is_full = self._num_files + num_files > MOST_REMEMBERED_FILES
            if is_full or len(self._pins) >= MOST_REMEMBERED:
                self._pins.clear()
                self._num_files = 0
            self._pins[repository, revision] = (self._now(), found)
            self._num_files += num_files
        return found

    def _state(self, pinned: Pinned, path: str) -> OndolError:
        """Why ``path`` of ``pinned`` is not served, having seen to it that it comes."""
        name, quarantine = name_of(pinned), self._bringer.quarantine
        if path:
            check(pinned, path)
        if why := quarantine.refusal(name):
            return NotApprovedError(t("hub_mirror.refused", name=pinned.repository, why=why))
        with self._lock:
            job = self._jobs.get(name)
            if job and not job.is_over:
                if path:
                    job.asked.add(path)
                return _coming(pinned, job)
            if job and job.failure and self._now() - job.over_at < REMEMBERED_SECONDS:
                return job.failure
        held = quarantine.find(name)
        if held and (not path or path in {file.path for file in held.origin.files}):
            return NotApprovedError(
                t("hub_mirror.waits", name=pinned.repository, commit=pinned.commit[:12]),
                t("hub_mirror.waits_hint", held=name),
            )
        return self._start(name, pinned, {path} if path else set())

    def _start(self, name: str, pinned: Pinned, asked: set[str]) -> OndolError:
        job = _Job(asked)
        with self._lock:
            running = [one for one in self._jobs.values() if not one.is_over]
            if len(running) >= MOST_AT_ONCE:
                return HubUnreachableError(t("hub_mirror.busy"))
            if name in self._jobs and not self._jobs[name].is_over:
                return _coming(pinned, self._jobs[name])
            if len(self._jobs) >= MOST_REMEMBERED:
                self._jobs = {key: one for key, one in self._jobs.items() if not one.is_over}
            self._jobs[name] = job
        wanted = chosen(pinned, asked | self._bringer.known(pinned))
        job.total = sum(file.size_bytes for file in wanted)
        self._worker.submit(self._bring, job, pinned)
        return _coming(pinned, job)

    def _bring(self, job: _Job, pinned: Pinned) -> None:
        def told(done: int, total: int | None) -> None:
            job.done, job.total = done, total

        watch = Watch(told, job.watch.cancel)
        try:
            before: set[str] | None = None
            # Somebody may have asked for more while the first files came.
            while job.asked != before:
                before = set(job.asked)
                self._bringer.bring(pinned, before, watch)
        except OndolError as error:
            job.failure = error
        except Exception as error:
            job.failure = HubError(t("hub_mirror.failed", why=type(error).__name__))
        finally:
            job.over_at = self._now()
            job.is_over = True


def check(pinned: Pinned, path: str) -> None:
    """MissingError unless the upstream has ``path``, and a mirror may bring it."""
    file = pinned.file(path)
    told = {"path": path, "name": pinned.repository}
    if file is None:
        raise MissingError("file", t("hub_mirror.no_file", **told), commit=pinned.commit)
    why = why_not(file.path, file.size_bytes) or (
        "" if file.is_known else t("hub_mirror.unknown", path=path)
    )
    if why:
        raise MissingError("file", t("hub_mirror.left_out", **told, why=why), commit=pinned.commit)


def _coming(pinned: Pinned, job: _Job) -> NotApprovedError:
    return NotApprovedError(
        t(
            "hub_mirror.coming",
            name=pinned.repository,
            done=readable_size(job.done),
            total=readable_size(job.total or 0),
        ),
        t("hub_mirror.coming_hint"),
    )
