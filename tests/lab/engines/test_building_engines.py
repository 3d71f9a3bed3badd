"""An engine from the package index to one that serves: fetched, compiled, checked."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from ondol.config import Config
from ondol.engine.native import (
    changes,
    compiling,
    health,
    job,
    records,
    toolchain,
    trial_adapter,
)
from ondol.engine.native.records import NativeEngine
from ondol.engine.native.source import PINNED, Archive
from ondol.engine.starter import NoProcess
from ondol.errors import (
    ConfigError,
    DownloadError,
    EngineBuildError,
    EngineCrashedError,
    EngineUnhealthyError,
    ModelTooLargeError,
    NoCompilerError,
)
from ondol.lab.engines import making
from ondol.parts import Parts

DOUBLE = Path(__file__).parents[2] / "engine" / "llama_server_double.py"

PROJECT = """
cmake_minimum_required(VERSION 3.14)
project(tiny C CXX)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
foreach(name llama-server llama-quantize llama-perplexity llama-bench llama-imatrix)
  add_executable(${name} main.c)
endforeach()
"""
MAIN = """
#include <unistd.h>
int main(int argc, char ** argv) {
    char * more[argc + 2];
    more[0] = "PYTHON"; more[1] = "DOUBLE";
    for (int i = 1; i <= argc; i++) more[i + 1] = argv[i];
    execv(more[0], more);
    return 1;
}
"""


@pytest.fixture
def parts(config: Config):
    with Parts(config) as parts:
        yield parts


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of a few tokens: what it looks at is the same."""
    monkeypatch.setattr(health, "NUM_TOKENS", 6)
    monkeypatch.setattr(health, "LONG", health.LONG[:200])
    monkeypatch.setattr(health, "FEWEST_CACHED", 16)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes packages from; the only one, where no tool is to be fetched."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    if not toolchain.missing():
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    # A source of its own has nothing that Ondol would change.
    monkeypatch.setattr(changes, "apply", lambda source: None)
    return folder


def pack(index: Path, main: str = MAIN) -> Archive:
    """The sdist of a tiny engine: it becomes the double."""
    main = main.replace("PYTHON", sys.executable).replace("DOUBLE", str(DOUBLE))
    members = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: tiny-llama\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = ["scikit-build-core"]\n'
        'build-backend = "scikit_build_core.build"\n',
        "vendor/llama.cpp/CMakeLists.txt": PROJECT,
        "vendor/llama.cpp/main.c": main,
    }
    file = index / "tiny_llama-1.0.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        for name, text in members.items():
            member = tarfile.TarInfo(f"tiny_llama-1.0/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return replace(
        PINNED, package="tiny-llama", version="1.0", digest=digest, size_bytes=5000, release="1.0"
    )


@pytest.mark.model
@pytest.mark.usefixtures("short")
def test_an_engine_is_fetched_compiled_checked_and_serves(parts: Parts, index: Path) -> None:
    archive = pack(index)
    with job.alone() as writer:
        built = making.build(parts, writer, archive)
    assert records.serving() == built
    assert built.health["findings"] and all(one["ok"] for one in built.health["findings"])
    assert {one["name"] for one in built.health["findings"]} >= {
        *("starts", "answers", "adapters", "schema", "slots", "embeddings"),
    }
    assert built.tool("llama-quantize") and built.tool("llama-bench")
    assert built.processor and built.compiler and built.seconds
    assert not list((records.folder() / "work").glob("source*"))
    assert job.read().state == "done"
    # Once more, nothing is fetched, compiled or checked.
    (index / "tiny_llama-1.0.tar.gz").unlink()
    with job.alone() as writer:
        assert making.build(parts, writer, archive) == built


def test_what_did_not_pass_is_compiled_again_only_if_that_is_asked_for(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    binary = tmp_path / "llama-server"
    binary.write_text("a program")
    name = compiling.name_of(toolchain.find_compiler())
    done: list[str] = []

    def kept(**health: object) -> NativeEngine:
        found = {"ok": False, "findings": [{"name": "answers", "ok": False, "told": {}}]}
        stamp = records.stamp_of(binary) or (0, 0)
        known = NativeEngine(name, "built", str(binary), stamp=stamp, health=found | health)
        return records.write(known)

    def compile_(*given: object) -> NativeEngine:
        done.append("compiled")
        return kept(check=health.CHECK)

    def check(parts: Parts, engine: NativeEngine, *given: object) -> NativeEngine:
        done.append("checked")
        return engine

    monkeypatch.setattr(making, "smallest_model", lambda parts: None)
    monkeypatch.setattr(making, "_compile", compile_)
    monkeypatch.setattr(making, "check", check)
    kept(check=health.CHECK)
    with pytest.raises(EngineUnhealthyError, match="computes other answers"), job.alone() as writer:
        making.build(parts, writer)
    records.blame(name, "ended by SIGILL")
    with pytest.raises(EngineUnhealthyError, match="SIGILL"), job.alone() as writer:
        making.build(parts, writer)
    assert done == []
    for health_, again, wanted in (
        ({"check": health.CHECK}, True, ["compiled", "checked"]),
        ({"check": health.CHECK - 1}, False, ["checked"]),
        ({}, False, ["checked"]),
    ):
        kept(**health_)
        with job.alone() as writer:
            making.build(parts, writer, again=again)
        assert done == wanted
        done.clear()


@pytest.mark.parametrize("error", [ModelTooLargeError, EngineCrashedError, NoProcess])
def test_a_check_without_memory_finds_nothing(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: type[Exception]
) -> None:
    class Full:
        """Neither engine has room."""

        def __init__(self, launch: object) -> None:
            raise error("no memory")

    monkeypatch.setattr(trial_adapter, "write", lambda *given: False)
    monkeypatch.setattr(health, "Probe", Full)
    unchecked = records.write(NativeEngine("native-1", "built", str(tmp_path / "llama-server")))
    with pytest.raises(error):
        making.check(parts, unchecked, making.smallest_model(parts), lambda done, of: None)
    assert records.get("native-1") == unchecked


def test_what_does_not_compile_is_a_sentence_and_the_wheel_serves(
    parts: Parts, index: Path
) -> None:
    archive = pack(index, "int main(void) { return missing_name; }")
    with pytest.raises(EngineBuildError) as caught, job.alone() as writer:
        making.build(parts, writer, archive)
    assert "missing_name" in caught.value.message
    assert Path(caught.value.hint.rpartition(" ")[2]).exists()
    assert records.serving() is None
    assert job.read().state == "failed"


def test_an_archive_of_another_digest_is_never_opened(parts: Parts, index: Path) -> None:
    archive = replace(pack(index), digest="0" * 64)
    with pytest.raises(DownloadError), job.alone() as writer:
        making.build(parts, writer, archive)
    assert not list(records.folder().glob("work/source*"))


def test_without_a_compiler_there_is_one_sentence(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NoCompilerError) as caught, job.alone() as writer:
        making.build(parts, writer)
    assert caught.value.exit_code == 4
    assert "ondol engine build" in caught.value.hint
    assert records.serving() is None


def test_the_compiler_reaches_no_network_and_steps_back(tmp_path: Path) -> None:
    script = (
        "import os, socket\n"
        "print(os.nice(0))\n"
        "try:\n"
        "    socket.socket()\n"
        "    print('open')\n"
        "except PermissionError:\n"
        "    print('shut')\n"
    )
    log = tmp_path / "log"
    compiling._run([sys.executable, "-c", script], tmp_path, log, lambda step, steps: None)
    assert log.read_text().split() == ["19", "shut" if sys.platform == "linux" else "open"]


def test_a_name_stands_for_source_processor_compiler_and_options() -> None:
    compiler = toolchain.Compiler("cc", "c++", "g++ 1")
    names = {
        compiling.name_of(compiler),
        compiling.name_of(replace(compiler, version="g++ 2")),
        compiling.name_of(compiler, replace(PINNED, digest="1" * 64)),
    }
    assert len(names) == 3
    assert compiling.name_of(compiler) == compiling.name_of(compiler)


def test_a_compiler_is_given_no_more_jobs_than_memory_holds() -> None:
    assert toolchain.jobs(1) == 1
    assert toolchain.jobs(1 << 50) == len(os.sched_getaffinity(0))


@pytest.fixture
def double(tmp_path: Path) -> Path:
    binary = tmp_path / "llama-server"
    binary.write_text(f"#!{sys.executable}\n" + DOUBLE.read_text())
    binary.chmod(0o755)
    return binary


@pytest.mark.model
@pytest.mark.usefixtures("short")
def test_a_program_that_lies_is_not_adopted(
    parts: Parts, double: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOUBLE_MODE", "wrong")
    with pytest.raises(EngineUnhealthyError) as caught:
        making.adopt(parts, str(double.parent))
    (kept,) = records.listed()
    assert kept.name in caught.value.hint
    assert (kept.kind, kept.state(), kept.devices) == (
        "adopted",
        "unhealthy",
        ("NPU0: A stand-in",),
    )
    assert kept.takes_socket
    assert records.serving() is None


def test_what_is_no_llama_server_is_not_adopted(parts: Parts, tmp_path: Path) -> None:
    for path in ("/nowhere/llama-server", str(tmp_path), shutil.which("true") or "true"):
        with pytest.raises(ConfigError):
            making.adopt(parts, path)
    assert records.listed() == []


def test_path_is_where_a_program_is_looked_for(
    double: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ondol.engine.native import adopting

    monkeypatch.setenv("PATH", str(double.parent))
    assert adopting.find() == double.resolve()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="PATH"):
        adopting.find()


def test_a_binary_that_is_asked_for_its_version_is_told_no_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ondol.engine.native import adopting

    curious = tmp_path / "llama-server"
    told = tmp_path / "told"
    curious.write_text(f'#!/bin/sh\nprintf "%s" "$ONDOL_PASSPHRASE" >> {told}\necho version: 1\n')
    curious.chmod(0o755)
    monkeypatch.setenv("ONDOL_PASSPHRASE", "secret words")
    assert adopting.describe(curious).version == "1"
    assert told.read_text() == ""
