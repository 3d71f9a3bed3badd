"""What compiles here: a C++ compiler of the machine's, cmake, and ninja or make.

cmake and ninja may be given as programs that were fetched; a compiler never is. Raises
``NoCompilerError`` where there is none.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ondol import keys
from ondol.errors import EngineBuildError, NoCompilerError
from ondol.i18n import t

# What is tried, where CC and CXX name nothing.
COMPILERS = (("cc", "c++"), ("gcc", "g++"), ("clang", "clang++"))
NEEDED = ("cmake", "ninja")
VERSION_SECONDS = 30
# What a compiler takes for the largest of the files.
JOB_BYTES = 1500 << 20


@dataclass(frozen=True, slots=True)
class Compiler:
    """A pair of compilers that work; ``version`` is the first line of what C++'s says."""

    c: str
    cxx: str
    version: str


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Everything that a build needs; ``maker`` is ninja, or make."""

    compiler: Compiler
    cmake: str
    maker: str

    @property
    def generator(self) -> str:
        return "Ninja" if Path(self.maker).name.startswith("ninja") else "Unix Makefiles"


def find_compiler() -> Compiler:
    """The compiler that the environment names, or that the system has."""
    named = os.environ.get("CC"), os.environ.get("CXX")
    pairs: Sequence[tuple[str, str]] = COMPILERS
    if named[0] and named[1]:
        pairs = ((named[0], named[1]),)
    for c, cxx in pairs:
        versions = [_version(one) for one in (c, cxx)]
        if all(versions):
            return Compiler(c, cxx, str(versions[1]))
    raise NoCompilerError(t("native.no_compiler"), t(f"native.no_compiler_hint_{_system()}"))


def missing() -> list[str]:
    """Which of cmake and ninja are to be fetched; make does for ninja."""
    here = {name: bool(_version(name)) for name in (*NEEDED, "make")}
    wanted = [] if here["cmake"] else ["cmake"]
    return wanted if here["ninja"] or here["make"] else [*wanted, "ninja"]


def find(fetched: Path | None = None) -> Toolchain:
    """The toolchain; cmake and ninja of the machine come before those in the folder ``fetched``."""
    compiler = find_compiler()
    cmake = _tool("cmake", fetched)
    maker = _tool("ninja", fetched) or ("make" if _version("make") else "")
    if not cmake or not maker:
        lacking = ", ".join(n for n, f in (("cmake", cmake), ("ninja", maker)) if not f)
        raise EngineBuildError(t("native.no_tool", name=lacking), t("native.no_tool_hint"))
    return Toolchain(compiler, cmake, maker)


def jobs(available_bytes: int) -> int:
    """How many files to compile at once: as many as cores, and as memory holds."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, available_bytes // JOB_BYTES))


def _tool(name: str, fetched: Path | None) -> str:
    found = shutil.which(name)
    if found and _version(found):
        return found
    # A wheel's own program, not the Python script that starts it.
    places = sorted(fetched.glob(f"**/bin/{name}")) if fetched else []
    return next((str(p) for p in places if p.is_file() and _version(p)), "")


def _version(program: str | Path) -> str:
    """The first line of what ``program --version`` says; "" for one that does not work."""
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERSION_SECONDS,
            env=keys.public_environ(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    told = done.stdout.decode(errors="replace").strip().splitlines()
    return told[0] if done.returncode == 0 and told else ""


def _system() -> str:
    return {"Darwin": "mac", "Windows": "windows"}.get(platform.system(), "linux")
