"""A llama-server that is on this machine already: found, and asked what it is.

Runs it with ``--version`` and the like only; whether it may serve is for ``health`` to say. Raises
``ConfigError`` for what is no program that answers.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from ondol import keys
from ondol.engine.native import records
from ondol.engine.native.compiling import SERVER
from ondol.engine.native.records import NativeEngine
from ondol.errors import ConfigError
from ondol.i18n import t

ASK_SECONDS = 30

_VERSION = re.compile(r"version: *([^\n(]+)")
_DEVICE = re.compile(r"^ +([A-Za-z]+\d*): +(.+?)(?: \(|$)", re.M)


def find(path: str = "") -> Path:
    """The program that ``path`` names, or that is in the folder it names; without one, the
    ``llama-server`` on PATH."""
    if not path:
        found = shutil.which(SERVER)
        if found is None:
            raise ConfigError(t("native.none_on_path"), t("native.none_on_path_hint"))
        return Path(found).resolve()
    named = Path(path).expanduser().absolute()
    places = [named, named / SERVER, named / "bin" / SERVER]
    program = next((str(p) for p in places if p.is_file()), path)
    found = shutil.which(program)
    if found is None:
        key = "runtime_not_executable" if named.exists() else "runtime_missing"
        raise ConfigError(t(f"engine.{key}", path=path), t("native.none_on_path_hint"))
    return Path(found).resolve()


def describe(binary: Path) -> NativeEngine:
    """What ``binary`` says of itself; it is not kept yet."""
    version = _VERSION.search(_ask(binary, "--version"))
    if version is None:
        told = t("native.no_version", path=binary)
        raise ConfigError(told, t("native.none_on_path_hint"))
    devices = devices_of(binary)
    kind = re.sub(r"[^a-z]", "", devices[0].partition(":")[0].lower()) if devices else "cpu"
    mark = hashlib.sha256(str(binary).encode()).hexdigest()[:6]
    return NativeEngine(
        name=f"adopted-{kind}-{mark}",
        kind="adopted",
        binary=str(binary),
        version=version[1].strip()[:100],
        stamp=records.stamp_of(binary) or (0, 0),
        devices=devices,
        takes_socket=".sock" in _ask(binary, "--help"),
        added_at=records.now(),
    )


def devices_of(binary: Path) -> tuple[str, ...]:
    """The graphics cards that ``binary`` can use."""
    return tuple(f"{n}: {what}" for n, what in _DEVICE.findall(_ask(binary, "--list-devices")))


def again(engine: NativeEngine) -> NativeEngine:
    """``engine`` as its program is now, not checked yet."""
    binary = find(engine.binary)
    if engine.kind == "adopted":
        return replace(describe(binary), name=engine.name, added_at=engine.added_at)
    stamp = records.stamp_of(binary) or (0, 0)
    return replace(engine, stamp=stamp, failure=None, health={})


def _ask(binary: Path, question: str) -> str:
    """All that ``binary QUESTION`` prints; "" where it fails."""
    try:
        done = subprocess.run(
            [binary, question],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=ASK_SECONDS,
            env=keys.public_environ(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""
