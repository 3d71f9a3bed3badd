"""A native engine, from the registry's package or the owner's program to one that may serve.

The sources of packages, the compiler and the check meet here. An engine takes over only when it
passed the check. Raises ``EngineBuildError``, ``NoCompilerError``, ``EngineUnhealthyError``, and
what fetching raises.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ondol import paths
from ondol.engine import runtime
from ondol.engine.native import (
    adopting,
    changes,
    compiling,
    health,
    job,
    processor,
    records,
    source,
    toolchain,
)
from ondol.engine.native.job import Writer
from ondol.engine.native.records import NativeEngine
from ondol.engine.native.source import PINNED, Archive
from ondol.engine.native.toolchain import Compiler, Toolchain
from ondol.engine.settings import EngineSettings, ModelSpec
from ondol.errors import EngineBuildError, EngineUnhealthyError
from ondol.i18n import t
from ondol.models.blobs import Blobs
from ondol.models.hardware import memory
from ondol.models.patience import Watch
from ondol.models.sources import packages
from ondol.parts import Parts

# The names of the programs that build the package, which pip asks for; see packages.
BACKEND = "scikit_build_core.build"
# Sources, objects and programs, together.
BUILD_BYTES = 1 << 30

OnStep = Callable[[int, int], None]


def build(
    parts: Parts, writer: Writer, archive: Archive = PINNED, *, again: bool = False
) -> NativeEngine:
    """Compile the engine for this processor and let it serve; one that was built the same way and
    is healthy is not built again, and one that is not only ``again``."""
    compiler = toolchain.find_compiler()
    model = smallest_model(parts)
    name = compiling.name_of(compiler, archive)
    writer.say("fetching", name=name)
    if not again:
        refuse_known(compiler, archive)
    engine = next((one for one in records.listed() if one.name == name), None)
    if engine is None or again or engine.state() in ("changed", "gone"):
        engine = _compile(parts, writer, name, archive)
    if not engine.is_healthy:
        engine = check(parts, engine, model, lambda done, of: writer.say("checking", done, of))
    records.use(engine.name)
    return engine


def refuse_known(compiler: Compiler, archive: Archive = PINNED) -> None:
    """Raise ``EngineUnhealthyError`` where what would be built is here, and is known not to do: by
    the name, which stands for source, processor, compiler and options, and by the check."""
    name = compiling.name_of(compiler, archive)
    engine = next((one for one in records.listed() if one.name == name), None)
    if engine is None:
        return
    if engine.failure is not None:
        reason = engine.failure.reason
    elif engine.state() == "unhealthy" and engine.health.get("check") == health.CHECK:
        wrong = next((one for one in engine.health["findings"] if not one["ok"]), None)
        reason = sentence(health.Finding(**wrong)) if wrong else ""
    else:
        return
    told = t("native.known", name=name, reason=reason.rstrip("."))
    raise EngineUnhealthyError(told, t("native.known_hint", name=name))


def adopt(parts: Parts, path: str = "", on_step: OnStep = lambda done, of: None) -> NativeEngine:
    """Check the program that ``path`` names and let it serve."""
    engine = check(parts, adopting.describe(adopting.find(path)), smallest_model(parts), on_step)
    records.use(engine.name)
    return engine


def use(parts: Parts, name: str, on_step: OnStep = lambda done, of: None) -> NativeEngine | None:
    """Let the engine called ``name`` serve; one that failed or changed is checked again before.
    None: the bundled one."""
    if name == records.BUNDLED:
        records.use(name)
        return None
    engine = records.get(name)
    if engine.state() == "other_processor":
        raise EngineUnhealthyError(
            t("native.other_processor", name=name), t("native.other_processor_hint")
        )
    if engine.state() != "ready":
        engine = check(parts, adopting.again(engine), smallest_model(parts), on_step)
    records.use(name)
    return engine


def check(parts: Parts, engine: NativeEngine, model: ModelSpec, on_step: OnStep) -> NativeEngine:
    """``engine`` as it was found with ``model``, and kept. Raises ``EngineUnhealthyError``."""
    settings = replace(EngineSettings.from_config(parts.config), runtime=runtime.BUNDLED)
    bundled = runtime.launch(model, health.NUM_CTX, settings)
    theirs = replace(
        bundled,
        binary=engine.binary,
        engine=engine.name,
        takes_socket=engine.takes_socket,
        gpu_layers=bundled.gpu_layers if engine.devices else 0,
    )
    on_step(0, 2)
    found = health.check(bundled, theirs, on_step)
    engine = records.write(replace(engine, health=found.json(), failure=None))
    if not found.ok:
        wrong = next(one for one in found.findings if not one.ok)
        told = t("native.unhealthy", name=engine.name, reason=sentence(wrong))
        raise EngineUnhealthyError(told, t("native.unhealthy_hint", name=engine.name))
    return engine


def overview(parts: Parts) -> dict[str, Any]:
    """The engines of this machine, the one that serves, and how far a building is."""
    active, building, runtime_ = records.active(), job.read(), str(parts.config["engine.runtime"])
    serving = records.serving() if runtime_ == runtime.AUTO else None
    named = records.BUNDLED if runtime_ == runtime.AUTO else runtime_
    return {
        "serving": serving.name if serving else named,
        "runtime": runtime_,
        "engines": [one.json(active) for one in records.listed()],
        "build": building.json() if building else None,
    }


def sentence(finding: health.Finding) -> str:
    """A finding in words."""
    if "reason" in finding.told:
        return t(f"native.finding_{finding.name}") + ": " + str(finding.told["reason"])
    return t(f"native.finding_{finding.name}")


def smallest_model(parts: Parts) -> ModelSpec:
    """The chat model that is quickest to ask; two processes have it in memory at once."""
    found = [one for one in parts.store.list() if one.kind == "chat" and one.made is None]
    if not found:
        raise EngineUnhealthyError(t("native.no_model"), t("native.no_model_hint"))
    spec = parts.located.spec(min(found, key=lambda one: one.size_bytes).name)
    return replace(spec.with_only(()), running=replace(spec.running, draft="", draft_model=""))


def _compile(parts: Parts, writer: Writer, name: str, archive: Archive) -> NativeEngine:
    work = paths.ensure(records.folder() / "work")
    started = time.monotonic()
    Blobs(work).check_space(BUILD_BYTES)
    tools = _tools(parts, writer, work)
    sources = work / f"source-{archive.digest[:12]}-{changes.DIGEST}"
    if not sources.is_dir():
        file = _fetch(parts, writer, work, archive)
        writer.say("unpacking")
        _unpack(file, sources, archive, writer)
    objects = work / name
    writer.say("compiling")
    made = compiling.build(
        sources,
        objects,
        tools,
        toolchain.jobs(memory()[1]),
        lambda step, steps: writer.say("compiling", step, steps),
        log=work / "compiler.log",
    )
    engine = _keep(name, made, archive, tools, time.monotonic() - started)
    for left in (objects, sources, work / "archive"):
        shutil.rmtree(left, ignore_errors=True)
    return engine


def _tools(parts: Parts, writer: Writer, work: Path) -> Toolchain:
    folder = work.with_name("tools")
    if missing := toolchain.missing():
        writer.say("fetching")
        packages.fetch_tools(missing, folder, parts.egress, Watch())
    return toolchain.find(folder if folder.is_dir() else None)


def _fetch(parts: Parts, writer: Writer, work: Path, archive: Archive) -> Path:
    watch = Watch(on_bytes=lambda done, of: writer.say("fetching", done, of or 0))
    file = packages.fetch_source(
        archive.package,
        archive.version,
        archive.digest,
        archive.size_bytes,
        work / "archive",
        parts.egress,
        watch,
        BACKEND,
    )
    source.check(file, archive)
    return file


def _unpack(file: Path, sources: Path, archive: Archive, writer: Writer) -> None:
    raw = sources.with_name(f"{sources.name}.raw")
    source.unpack(file, raw, archive, lambda count: writer.say("unpacking", count))
    try:
        changes.apply(raw)
    except ValueError as error:
        raise EngineBuildError(
            t("native.unsound_source", package=archive.package, version=archive.version),
            t("native.unsound_source_hint"),
        ) from error
    # It has its name once it is all that it should be.
    raw.rename(sources)


def _keep(
    name: str, made: dict[str, Path], archive: Archive, tools: Toolchain, seconds: float
) -> NativeEngine:
    programs = paths.ensure(records.folder() / name / "bin")
    for program, file in made.items():
        shutil.copy2(file, programs / program)
    binary = programs / compiling.SERVER
    engine = NativeEngine(
        name=name,
        kind="built",
        binary=str(binary),
        version=archive.release,
        stamp=records.stamp_of(binary) or (0, 0),
        processor=processor.fingerprint(),
        compiler=tools.compiler.version,
        devices=adopting.devices_of(binary),
        takes_socket=True,
        seconds=round(seconds, 1),
        added_at=records.now(),
    )
    return records.write(engine)
