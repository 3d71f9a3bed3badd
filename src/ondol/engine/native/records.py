"""The engines beside the bundled one that this machine has, and which of them serves.

A folder ``engines`` in the data directory holds one folder an engine with its ``engine.json``, and
the file ``active`` with the name of the one that serves. An engine serves while it is the program
that was checked, on the processor it was made for, and has not failed since. Raises
``EngineNotFoundError`` and ``StorageError``.
"""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ondol import paths, whole_file
from ondol.engine.native import processor
from ondol.errors import EngineNotFoundError
from ondol.i18n import t

BUNDLED = "bundled"
FILE = "engine.json"
ACTIVE = "active"

Kind = Literal["built", "adopted"]
State = Literal[
    "serving",
    "ready",
    "unchecked",
    "unhealthy",
    "failed",
    "changed",
    "gone",
    "other_processor",
]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an engine was left, and when; ``told`` once its owner has heard of it."""

    reason: str
    at: str
    told: bool = False


@dataclass(frozen=True, slots=True)
class NativeEngine:
    """A llama-server and what is known of it. ``stamp`` is its size and time when it was checked;
    ``processor`` is "" for one that is not made for one; ``health`` what the check found."""

    name: str
    kind: Kind
    binary: str
    version: str = ""
    stamp: tuple[int, int] = (0, 0)
    processor: str = ""
    compiler: str = ""
    devices: tuple[str, ...] = ()
    takes_socket: bool = False
    seconds: float = 0.0
    added_at: str = ""
    health: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None

    @property
    def path(self) -> Path:
        return Path(self.binary)

    @property
    def is_healthy(self) -> bool:
        """Whether it passed the check."""
        return bool(self.health.get("ok"))

    def tool(self, name: str) -> Path | None:
        """Another program of the same build, such as ``llama-quantize``."""
        found = self.path.with_name(name)
        return found if found.is_file() else None

    def state(self, active: str | None = None) -> State:
        """How it stands; ``active`` is the name of the engine that should serve."""
        if self.failure is not None:
            return "failed"
        found = stamp_of(self.path)
        if found is None:
            return "gone"
        if found != self.stamp:
            return "changed"
        if self.processor and self.processor != processor.fingerprint():
            return "other_processor"
        if not self.is_healthy:
            return "unhealthy" if self.health else "unchecked"
        return "serving" if self.name == active else "ready"

    def json(self, active: str | None = None) -> dict[str, Any]:
        """As CLI and API give it."""
        own = asdict(self)
        del own["stamp"]
        return own | {"state": self.state(active), "devices": list(self.devices)}


def folder() -> Path:
    """Where engines are kept."""
    return paths.data_dir() / "engines"


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def stamp_of(binary: Path) -> tuple[int, int] | None:
    """What tells a program from the one that takes its place; None for one that is gone."""
    try:
        found = binary.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def listed() -> list[NativeEngine]:
    """Every engine, the latest first."""
    found = [_read(file) for file in folder().glob(f"*/{FILE}")]
    return sorted(filter(None, found), key=lambda one: one.added_at, reverse=True)


def get(name: str) -> NativeEngine:
    """The engine called ``name``."""
    found = _read(folder() / name / FILE) if _NAME.fullmatch(name) else None
    if found is None:
        raise EngineNotFoundError(t("native.no_engine", name=name), t("native.no_engine_hint"))
    return found


def write(engine: NativeEngine) -> NativeEngine:
    """Keep what is known of ``engine``."""
    home = paths.ensure(folder() / engine.name)
    whole_file.write(home / FILE, json.dumps(asdict(engine), indent=1))
    return engine


def remove(name: str) -> NativeEngine:
    """Forget the engine; what was built here goes with it, what was adopted stays where it is."""
    engine = get(name)
    if active() == name:
        use(BUNDLED)
    try:
        shutil.rmtree(folder() / name)
    except OSError as error:
        raise paths.storage_error(error, folder() / name) from error
    return engine


def active() -> str | None:
    """The name of the engine that should serve; None for the bundled one."""
    try:
        name = (folder() / ACTIVE).read_text("ascii").strip()
    except (OSError, ValueError):
        return None
    return name if _NAME.fullmatch(name) else None


def use(name: str) -> None:
    """Let the engine called ``name`` serve from the next time that a model is loaded, or with
    ``BUNDLED`` no other than the bundled one. That it failed before is forgotten."""
    if name == BUNDLED:
        (folder() / ACTIVE).unlink(missing_ok=True)
        return
    engine = get(name)
    if engine.failure is not None:
        write(replace(engine, failure=None))
    whole_file.write(paths.ensure(folder()) / ACTIVE, name)


def serving() -> NativeEngine | None:
    """The engine that starts the next model; None: the bundled one does."""
    name = active()
    engine = _read(folder() / name / FILE) if name else None
    return engine if engine is not None and engine.state(name) == "serving" else None


def blame(name: str, reason: str) -> None:
    """The engine called ``name`` failed, and is not tried again until somebody says so."""
    with suppress(EngineNotFoundError):
        engine = get(name)
        if engine.failure is None:
            write(replace(engine, failure=Failure(reason, now())))


def untold() -> list[NativeEngine]:
    """Engines whose failure their owner has not heard of; said once, they are told."""
    found = [one for one in listed() if one.failure is not None and not one.failure.told]
    for one in found:
        assert one.failure is not None
        write(replace(one, failure=replace(one.failure, told=True)))
    return found


def _read(file: Path) -> NativeEngine | None:
    """None for what is no engine, or one of another version of Ondol."""
    try:
        values = json.loads(file.read_text("utf-8"))
        known = {one.name for one in fields(NativeEngine)}
        values = {name: value for name, value in values.items() if name in known}
        values["stamp"] = tuple(values["stamp"])
        values["devices"] = tuple(values.get("devices", ()))
        if values.get("failure"):
            values["failure"] = Failure(**values["failure"])
        return NativeEngine(**{**values, "name": file.parent.name})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
