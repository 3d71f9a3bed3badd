"""``ondol engine``: engines compiled here, or adopted, in place of the bundled one."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from ondol import errors
from ondol.cli.command import Group, command, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.errors import EngineBuildError, OndolError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.engine.native.job import Job
    from ondol.engine.native.records import NativeEngine

POLL_SECONDS = 0.2
# What fails at once, as where nothing may be fetched, is said at once.
FIRST_SECONDS = 5.0

engine = Group("engine", help=t("cli.engine_help"), subcommand_metavar="COMMAND …")


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names for the shell; silent when anything is wrong, for there is nobody to tell."""
    from ondol.engine.native import records

    try:
        names = [records.BUNDLED, *(one.name for one in records.listed())]
    except Exception:
        return []
    return [name for name in names if name.startswith(incomplete)]


@command("list", engine, help=t("native.help_list"))
@pass_output
def list_engines(output: Output) -> None:
    from ondol.engine.native import job, records
    from ondol.lab.engines import making

    with house(output) as parts:
        told, active, found, building = (
            making.overview(parts),
            records.active(),
            records.listed(),
            job.read(),
        )
    if output.json:
        output.emit(told)
        return
    runtime, is_bundled = told["runtime"], told["serving"] == records.BUNDLED
    state = t("native.state_serving" if is_bundled else "native.state_ready")
    rows = [(records.BUNDLED, _bundled_version(), "–", state, "–")]
    rows += [_row(one, active) for one in found]
    output.table(
        [t(f"native.column_{n}") for n in ("name", "version", "on", "state", "speed")], rows
    )
    if runtime not in ("auto", records.BUNDLED):
        output.note(t("native.runtime_is_set", runtime=runtime))
    for one in found:
        if one.failure is not None:
            output.note(t("native.left", engine=one.name, reason=one.failure.reason))
    if building is not None and (building.is_running or building.state != "done"):
        output.note(_standing(building))


@command("build", engine, help=t("native.help_build"))
@click.option("--wait", is_flag=True, help=t("native.option_wait"))
@click.option("--again", is_flag=True, help=t("native.option_again"))
@click.option("--cancel", is_flag=True, help=t("native.option_cancel"))
@click.option("--here", is_flag=True, hidden=True)
@pass_output
def build(output: Output, wait: bool, again: bool, cancel: bool, here: bool) -> None:
    from ondol.engine.native import job, toolchain

    if here:
        _build_here(output, again)
        return
    if cancel:
        is_ended = job.cancel()
        if output.json:
            output.emit({"cancelled": is_ended})
        else:
            output.line(t("native.cancelled" if is_ended else "native.nothing_runs"))
        return
    with house(output) as parts:
        # What would end it at once is said here and now.
        from ondol.lab.engines import making

        compiler = toolchain.find_compiler()
        if not again:
            making.refuse_known(compiler)
        making.smallest_model(parts)
        begun = job.start(["--again"] if again else [])
    begun = _follow(output, begun, wait=wait)
    if output.json:
        output.emit({"build": begun.json()})
    elif not begun.is_running:
        output.line(begun.name if output.quiet else _standing(begun))
    else:
        output.line(begun.name or begun.state if output.quiet else t("native.begun"))
        output.note(t("native.begun_hint"))


@command("adopt", engine, help=t("native.help_adopt"))
@click.argument("path", required=False, default="")
@pass_output
def adopt(output: Output, path: str) -> None:
    from ondol.lab.engines import making

    with house(output) as parts:
        with _Bar(output) as bar:
            found = making.adopt(parts, path, bar.step)
    _show(output, found)


@command("use", engine, help=t("native.help_use"))
@click.argument("name", shell_complete=_complete)
@pass_output
def use(output: Output, name: str) -> None:
    from ondol.engine.native import records
    from ondol.lab.engines import making

    with house(output) as parts:
        with _Bar(output) as bar:
            found = making.use(parts, name, bar.step)
    if found is not None:
        _show(output, found)
    elif output.json:
        output.emit({"serving": records.BUNDLED})
    else:
        output.line(name if output.quiet else t("native.bundled_serves"))


@command("remove", engine, help=t("native.help_remove"))
@click.argument("name", shell_complete=_complete)
@option("--yes", "is_sure", key="yes", is_flag=True)
@pass_output
def remove(output: Output, name: str, is_sure: bool) -> None:
    from ondol.engine.native import records

    with house(output):
        found = records.get(name)
        if not is_sure and found.kind == "built":
            click.confirm(t("native.remove_sure", name=name), abort=True, err=True)
        records.remove(name)
    if output.json:
        output.emit({"removed": name})
    else:
        output.line(name if output.quiet else t("native.removed", name=name))


def _build_here(output: Output, again: bool) -> None:
    from ondol.engine.native import job
    from ondol.lab.engines import making

    job.step_back()
    with house(output) as parts, job.alone() as writer:
        making.build(parts, writer, again=again)


def _follow(output: Output, begun: Job, *, wait: bool) -> Job:
    """Wait for the end of a building, or until it is well on its way; it goes on if we are
    interrupted. Raises as it failed."""
    from ondol.engine.native import job

    now = begun
    until = math.inf if wait else time.monotonic() + FIRST_SECONDS
    try:
        with _Bar(output) as bar:
            while now.is_running and time.monotonic() < until and (wait or not now.step):
                bar.name(t(f"native.building_{now.state}"))
                bar.step(now.step, now.steps)
                time.sleep(POLL_SECONDS)
                now = job.read() or now
    except KeyboardInterrupt:
        output.note(t("native.goes_on"))
        raise
    if not now.is_running and now.state != "done":
        raise _failure(now)
    return now


def _failure(now: Job) -> OndolError:
    """Why a building ended, of the class that it was there."""
    kinds = {
        kind.code: kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, OndolError)
    }
    kind = kinds.get(now.code, EngineBuildError)
    return kind(now.error or t(f"native.building_{now.state}"), now.hint or t("native.begun_hint"))


def _show(output: Output, found: NativeEngine) -> None:
    from ondol.engine.native import records

    if output.json:
        output.emit({"serving": found.name, "engine": found.json(records.active())})
    elif output.quiet:
        output.line(found.name)
    else:
        output.line(t("native.serves", name=found.name, speed=_speed(found, "native.speed_told")))
        output.note(t("native.serves_hint"))


def _row(one: NativeEngine, active: str | None) -> tuple[str, str, str, str, str]:
    on = ", ".join(device.partition(":")[0] for device in one.devices) or "CPU"
    state = t(f"native.state_{one.state(active)}")
    return one.name, one.version, on, state, _speed(one)


def _speed(one: NativeEngine, key: str = "native.speed") -> str:
    """How fast it read and wrote in its check, as multiples of the bundled engine."""
    pairs = [one.health.get(name) or (0, 0) for name in ("prefill", "decode")]
    if not all(bundled and own for bundled, own in pairs):
        return "–"
    read, written = (f"{own / bundled:.1f}" for bundled, own in pairs)
    return t(key, read=read, written=written)


def _standing(now: Job) -> str:
    told = t(f"native.building_{now.state}")
    if now.is_running and now.steps:
        return f"{told} {100 * now.step // now.steps} %"
    return f"{told} {now.error}".strip()


def _bundled_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("xllamacpp")
    except PackageNotFoundError:
        return "–"


class _Bar:
    """A bar that starts anew where its name changes."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._open = ExitStack()
        self._bar: Any = None
        self._name = t("native.building_checking")
        self._steps = 0

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def name(self, name: str) -> None:
        if name != self._name:
            self._open.close()
            self._name, self._bar = name, None

    def step(self, step: int, steps: int) -> None:
        if self._bar is None or steps != self._steps:
            self._open.close()
            self._steps = steps
            bar = self._output.bar(steps or None, desc=self._name, leave=False)
            self._bar = self._open.enter_context(bar)
        self._bar.update(step - self._bar.n)
