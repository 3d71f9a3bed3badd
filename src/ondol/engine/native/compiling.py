"""Sources to programs: cmake and the compiler as children that step back and reach no network.

Knows nothing of engines that are kept. What a build that was interrupted left is gone on with.
Raises ``EngineBuildError`` with the compiler's first complaint; the whole log is in a file.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ondol import keys, paths
from ondol.engine.native import changes, processor
from ondol.engine.native.source import PINNED, Archive
from ondol.engine.native.toolchain import Compiler, Toolchain
from ondol.errors import EngineBuildError
from ondol.i18n import t

SERVER = "llama-server"
TOOLS = ("llama-quantize", "llama-perplexity", "llama-bench", "llama-imatrix")
# Everything in one program that needs nothing of this tree; no part that loads, runs or shows
# anything else: no TLS, no subprocesses, no web page, and nothing fetched while it is made.
DEFINITIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "BUILD_SHARED_LIBS": "OFF",
    "GGML_NATIVE": "ON",
    "GGML_CCACHE": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_SUBPROCESS": "OFF",
    "LLAMA_BUILD_NUMBER": "0",
}
LAUNCHER = (sys.executable, "-P", "-m", "ondol.engine.native.stepping_back")

_NINJA = re.compile(r"^\[(\d+)/(\d+)\]")
_MAKE = re.compile(r"^\[ *(\d+)%\]")
_COMPLAINT = re.compile(r"(?:\b(?:fatal )?error\b[: ]|CMake Error|undefined reference|Killed)")

OnStep = Callable[[int, int], None]


def name_of(compiler: Compiler, archive: Archive = PINNED) -> str:
    """The name of what is built: the same where source, processor, compiler and options are."""
    told = [
        archive.digest,
        changes.DIGEST,
        processor.fingerprint(),
        compiler.version,
        *_definitions(compiler),
    ]
    return f"native-{archive.release}-{hashlib.sha256(chr(0).join(told).encode()).hexdigest()[:8]}"


def build(
    source: Path,
    folder: Path,
    toolchain: Toolchain,
    jobs: int,
    on_step: OnStep = lambda step, steps: None,
    log: Path | None = None,
) -> dict[str, Path]:
    """Compile ``source`` in ``folder``; the programs by name, ``SERVER`` among them."""
    log = log or folder.with_suffix(".log")
    paths.ensure(folder)
    configure = [
        *(toolchain.cmake, "-S", str(source), "-B", str(folder)),
        *("-G", toolchain.generator, f"-DCMAKE_MAKE_PROGRAM={shutil.which(toolchain.maker)}"),
        *_definitions(toolchain.compiler),
    ]
    _run(configure, source, log, on_step)
    compile_ = [toolchain.cmake, "--build", str(folder), "--parallel", str(jobs), "--target"]
    _run([*compile_, SERVER, *TOOLS], source, log, on_step)
    found = {name: folder / "bin" / name for name in (SERVER, *TOOLS)}
    if not found[SERVER].is_file():
        raise EngineBuildError(t("native.nothing_built"), t("native.see_log", file=log))
    return {name: file for name, file in found.items() if file.is_file()}


def _definitions(compiler: Compiler) -> list[str]:
    named = {"CMAKE_C_COMPILER": compiler.c, "CMAKE_CXX_COMPILER": compiler.cxx}
    return [f"-D{name}={value}" for name, value in (DEFINITIONS | named).items()]


def _run(command: Sequence[str], source: Path, log: Path, on_step: OnStep) -> None:
    complaints: list[str] = []
    environ = keys.public_environ() | {
        "NINJA_STATUS": "[%f/%t] ",
        # The commit of whatever this folder happens to lie in is not that of the source.
        "GIT_CEILING_DIRECTORIES": str(source.parent),
        "LC_ALL": "C",
    }
    try:
        with (
            log.open("ab") as kept,
            subprocess.Popen(
                [*LAUNCHER, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environ,
            ) as child,
        ):
            assert child.stdout is not None
            try:
                for line in child.stdout:
                    kept.write(line)
                    kept.flush()
                    text = line.decode(errors="replace").rstrip()
                    _count(text, on_step)
                    if _COMPLAINT.search(text):
                        complaints.append(text.strip()[:300])
            except BaseException:
                child.kill()
                raise
    except OSError as error:
        raise EngineBuildError(
            t("native.build_failed", reason=error.strerror or error),
            t("native.see_log", file=log),
        ) from error
    if child.returncode:
        reason = complaints[0] if complaints else t("engine.ended_with_code", code=child.returncode)
        raise EngineBuildError(
            t("native.build_failed", reason=reason.rstrip(".")), t("native.see_log", file=log)
        )


def _count(line: str, on_step: OnStep) -> None:
    if found := _NINJA.match(line):
        on_step(int(found[1]), int(found[2]))
    elif found := _MAKE.match(line):
        on_step(int(found[1]), 100)
