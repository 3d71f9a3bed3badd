"""How the building of an engine stands, in a file: any process may read it, and end the work.

A lock that is held for as long as somebody builds, not the file, says whether it goes on; what was
killed is "interrupted". Knows nothing of compilers. Raises ``EngineBuildError``.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ondol import keys, paths, whole_file
from ondol.engine.native.records import folder, now
from ondol.engine.native.stepping_back import NICENESS
from ondol.errors import EngineBuildError, OndolError
from ondol.i18n import t

State = Literal[
    "fetching",
    "unpacking",
    "compiling",
    "checking",
    "done",
    "failed",
    "cancelled",
    "interrupted",
]
RUNNING = ("fetching", "unpacking", "compiling", "checking")
WRITE_SECONDS = 0.5
START_SECONDS = 30.0
PATIENCE_SECONDS = 0.5
END_SECONDS = 20.0
COMMAND = (sys.executable, "-P", "-m", "ondol", "engine", "build", "--here", "--quiet")


@dataclass(frozen=True, slots=True)
class Job:
    """``step`` of ``steps`` of the state it is in; ``name`` is that of the engine, once that is
    known; ``error`` and ``hint`` say why it failed."""

    state: State
    name: str = ""
    step: int = 0
    steps: int = 0
    pid: int = 0
    error: str = ""
    hint: str = ""
    code: str = ""
    started_at: str = ""
    updated_at: str = ""

    @property
    def is_running(self) -> bool:
        return self.state in RUNNING

    def json(self) -> dict[str, Any]:
        """As CLI and API give it."""
        own = asdict(self)
        del own["pid"]
        return own


def log_file() -> Path:
    """What the compiler, and who runs it, had to say."""
    return folder() / "build.log"


def read() -> Job | None:
    """The latest building as it stands; None where there never was one."""
    try:
        found = Job(**json.loads(_file().read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return replace(found, state="interrupted") if found.is_running and not _is_held() else found


class Writer:
    """Of the process that builds: says how it stands, not more often than anybody looks."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._written = 0.0
        self.say(job.state)

    def say(self, state: State, step: int = 0, steps: int = 0, **more: Any) -> None:
        """It is in ``state`` now, at ``step`` of ``steps``."""
        changed = state != self.job.state or bool(more)
        self.job = replace(self.job, state=state, step=step, steps=steps, updated_at=now(), **more)
        at = time.monotonic()
        if changed or at - self._written > WRITE_SECONDS or not self._written:
            whole_file.write(_file(), json.dumps(asdict(self.job)))
            self._written = at


@contextmanager
def alone() -> Iterator[Writer]:
    """Be the one who builds, for the length of the block; how it ends is written down."""
    paths.ensure(folder())
    lock = os.open(_lock(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(lock)
        writer = Writer(Job("fetching", pid=os.getpid(), started_at=now()))
        try:
            yield writer
        except BaseException as error:
            ended: State = "failed" if isinstance(error, Exception) else "cancelled"
            writer.say(ended, **_told(error))
            raise
        writer.say("done")
    finally:
        os.close(lock)


def start(arguments: Sequence[str] = (), command: Sequence[str] = COMMAND) -> Job:
    """Build in a process of its own, which outlives this one and its terminal; how it stands once
    it has begun. What runs already goes on."""
    before = read()
    if before is not None and before.is_running:
        return before
    paths.ensure(folder())
    begun_at = before.started_at if before else ""
    with log_file().open("wb") as log, keys.hand_over() as (environ, descriptors):
        child = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | environ,
            pass_fds=descriptors,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = read()
        code = child.poll()
        if found is not None and (found.pid == child.pid or found.is_running):
            # It outlives us on purpose: tell subprocess that nobody will wait for it.
            child.returncode = 0 if code is None else code
            return found
        if code is not None and (found is None or found.started_at == begun_at):
            break
        time.sleep(0.05)
    raise EngineBuildError(t("native.did_not_start"), t("native.see_log", file=log_file()))


def step_back() -> None:
    """Let this session weigh least, where Linux weighs sessions against each other before it looks
    at what is nice; only a building of its own session, or a terminal's owner would feel it."""
    if os.getsid(0) == os.getpid():
        with suppress(OSError), open("/proc/self/autogroup", "w") as group:
            group.write(str(NICENESS))


def cancel() -> bool:
    """End the building that goes on, with all that it started; False where none does. What was
    compiled stays, and the next one goes on from there."""
    found = read()
    if found is None or not found.is_running:
        return False
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            # The lock is held, so the process is the one that was written down.
            if os.getpgid(found.pid) == found.pid:
                os.killpg(found.pid, how)
            else:
                os.kill(found.pid, how)
        deadline = time.monotonic() + END_SECONDS
        while _is_held() and time.monotonic() < deadline:
            time.sleep(0.05)
        if not _is_held():
            break
    return True


def _told(error: BaseException) -> dict[str, Any]:
    if isinstance(error, OndolError):
        return {"error": error.message, "hint": error.hint, "code": error.code}
    return {"error": type(error).__name__, "code": OndolError.code}


def _take(lock: int) -> None:
    """Who only looks (``_is_held``) has the lock for a moment, and is no reason to give up."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise EngineBuildError(t("native.busy"), t("native.busy_hint")) from None
            time.sleep(0.02)


def _file() -> Path:
    return folder() / "build.json"


def _lock() -> Path:
    return folder() / "build.lock"


def _is_held() -> bool:
    """Only looks, so that who begins meanwhile is not in the way of anybody."""
    try:
        descriptor = os.open(_lock(), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
