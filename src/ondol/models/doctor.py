"""What this machine lacks for Ondol, and how to get it.

Each check is one function that looks at one thing and never raises; ``ok`` is None where a lack
does no harm. Paths and the answers of other packages come in as arguments.
"""

from __future__ import annotations

import errno
import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ondol import keys
from ondol.i18n import t
from ondol.models.hardware import Machine
from ondol.models.recommendation import show_size

PYTHON = (3, 11)
ENGINE_SECONDS = 60
# The two default models take a quarter of this; the rest is for a library to grow.
DISK_BYTES = 2**30
# The default chat model with its default context, and the embedder.
MEMORY_BYTES = 700 * 2**20


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: what was found, and the next command where something is wrong."""

    name: str
    ok: bool | None
    sentence: str
    hint: str = ""


def diagnose(
    *,
    machine: Machine,
    models_dir: Path,
    data_dir: Path,
    missing_models: Callable[[], Sequence[str]],
    host: str,
    port: int,
    ondol_answers: Callable[[], bool],
    check_engine: Callable[[], Check] | None = None,
) -> list[Check]:
    """All checks, in the order a person would mend things.

    ``missing_models`` names the default models that are not here; ``ondol_answers`` says whether
    what listens on ``port`` is Ondol; ``check_engine`` replaces the check of the bundled engine.
    """
    return [
        check_python(sys.version_info[:3]),
        check_memory(machine),
        check_folder("data", data_dir),
        check_folder("models", models_dir),
        check_disk(models_dir),
        (check_engine or check_bundled_engine)(),
        check_models(missing_models()),
        check_port(host, port, ondol_answers),
        check_pip(),
        check_gpu(machine),
    ]


def check_python(version: tuple[int, ...]) -> Check:
    found, least = ".".join(map(str, version)), ".".join(map(str, PYTHON))
    if version[:2] >= PYTHON:
        return Check("python", True, t("hardware.python_ok", version=found))
    sentence = t("hardware.python_old", version=found, least=least)
    return Check("python", False, sentence, t("hardware.python_hint", least=least))


def check_memory(machine: Machine) -> Check:
    free, total = show_size(machine.available_ram_bytes), show_size(machine.ram_bytes)
    if machine.available_ram_bytes >= MEMORY_BYTES:
        return Check("memory", True, t("hardware.memory_ok", free=free, total=total))
    need = show_size(MEMORY_BYTES)
    sentence = t("hardware.memory_low", free=free, total=total, need=need)
    return Check("memory", False, sentence, t("hardware.memory_hint"))


def check_disk(directory: Path, need_bytes: int = DISK_BYTES) -> Check:
    try:
        free_bytes = shutil.disk_usage(_nearest(directory)).free
    except OSError as error:
        sentence = t("hardware.disk_unknown", path=directory, reason=error.strerror)
        return Check("disk", False, sentence, t("hardware.folder_hint"))
    free = show_size(free_bytes)
    if free_bytes >= need_bytes:
        return Check("disk", True, t("hardware.disk_ok", free=free, path=directory))
    sentence = t("hardware.disk_low", free=free, path=directory, need=show_size(need_bytes))
    return Check("disk", False, sentence, t("hardware.disk_hint"))


def check_folder(name: str, directory: Path) -> Check:
    """Writes and removes a file, which is the only proof; makes no folder that is not there."""
    try:
        with tempfile.TemporaryFile(dir=_nearest(directory)) as file:
            file.write(b"ondol")
    except OSError as error:
        sentence = t("core.not_writable", path=directory, reason=error.strerror or error)
        return Check(name, False, sentence, t("hardware.folder_hint"))
    return Check(name, True, t("hardware.folder_ok", path=directory))


def check_library(is_locked: bool) -> Check:
    """A plain library is a choice, not a fault."""
    if is_locked:
        return Check("library", True, t("encryption.library_locked"))
    hint = t("encryption.library_plain_hint")
    return Check("library", None, t("encryption.library_plain"), hint)


def check_reading(held: Sequence[str], wanted: Sequence[str]) -> Check:
    """``held`` are the protections, of those ``wanted``, that files are read under."""
    protections = ", ".join(t(f"isolation.{name}") for name in held) or "–"
    if set(wanted) <= set(held):
        return Check("reading", True, t("isolation.confined", protections=protections))
    sentence = t("isolation.confined_partly", protections=protections)
    return Check("reading", None, sentence)


def check_bundled_engine(program: str = "import xllamacpp") -> Check:
    """Imports the engine in a child: on an unsuitable processor that ends the process."""
    # -P: a module that lies in the folder one happens to be in is not ours.
    command = [sys.executable, "-P", "-c", program]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=ENGINE_SECONDS,
            env=keys.public_environ(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _broken_engine(t("hardware.engine_hangs", seconds=ENGINE_SECONDS))
    except OSError as error:
        return _broken_engine(str(error.strerror))
    if done.returncode == 0:
        return Check("engine", True, t("hardware.engine_ok"))
    if done.returncode < 0:
        return _broken_engine(_signal_name(-done.returncode))
    return _broken_engine((done.stderr.strip().splitlines() or ["?"])[-1][:200])


def check_models(missing: Sequence[str]) -> Check:
    if not missing:
        return Check("default models", True, t("hardware.models_ok"))
    names = ", ".join(missing)
    hint = t("hardware.models_hint", name=missing[0])
    return Check("default models", False, t("hardware.models_missing", names=names), hint)


def check_port(host: str, port: int, ondol_answers: Callable[[], bool]) -> Check:
    """The port is free, or Ondol itself is there."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            # As servers do, so that a connection just closed does not count as taken.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(1)
    except (OSError, OverflowError) as error:
        if getattr(error, "errno", None) != errno.EADDRINUSE:
            sentence = t("hardware.port_bad", host=host, port=port, reason=error)
            return Check("port", False, sentence, t("hardware.port_hint"))
        if ondol_answers():
            return Check("port", True, t("hardware.port_ondol", host=host, port=port))
        sentence = t("hardware.port_taken", host=host, port=port)
        return Check("port", False, sentence, t("hardware.port_hint"))
    return Check("port", True, t("hardware.port_free", host=host, port=port))


def check_pip() -> Check:
    if importlib.util.find_spec("pip"):
        return Check("pip", True, t("hardware.pip_ok"))
    return Check("pip", None, t("hardware.pip_missing"), t("hardware.pip_hint"))


def check_gpu(machine: Machine) -> Check:
    if not machine.gpus:
        return Check("gpu", None, t("hardware.gpu_none"))
    found = ", ".join(f"{gpu.name} ({show_size(gpu.memory_bytes)})" for gpu in machine.gpus)
    return Check("gpu", True, t("hardware.gpu_ok", gpus=found), t("hardware.gpu_hint"))


def _nearest(directory: Path) -> Path:
    """``directory``, or the first folder above it that exists."""
    for folder in (directory, *directory.parents):
        if folder.exists():
            return folder
    return directory


def _broken_engine(reason: str) -> Check:
    sentence = t("hardware.engine_broken", reason=reason)
    return Check("engine", False, sentence, t("hardware.engine_hint"))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
