"""``ondol doctor``: what is missing on this machine, and how to get it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli.command import command, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.errors import DocumentError, ModelError, UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.models.doctor import Check
    from ondol.parts import Parts

MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("–", "yellow")}


@command("doctor")
@pass_output
def doctor(output: Output) -> None:
    with house(output) as parts:
        checks = _diagnose(parts)
    is_well = all(check.ok is not False for check in checks)
    if output.json:
        output.emit({"ok": is_well, "checks": [asdict(check) for check in checks]})
    for check in [] if output.json else checks:
        mark, colour = MARKS[check.ok]
        if not (output.quiet and check.ok):
            output.line(f"{click.style(mark, fg=colour)} {check.sentence}")
            if check.hint:
                output.line(f"  {t('cli.hint', hint=check.hint)}", dim=True)
    click.get_current_context().exit(0 if is_well else 1)


def _diagnose(parts: Parts) -> list[Check]:
    from ondol import encryption, paths
    from ondol.lab.tuning.standing import check_tuned
    from ondol.models.doctor import check_library, diagnose
    from ondol.models.hardware import machine
    from ondol.server.background import running

    def missing() -> list[str]:
        wanted = (parts.config["models.chat"], parts.config["models.embedding"])
        return [name for name in wanted if not _is_here(parts, name)]

    checks = diagnose(
        machine=machine(),
        models_dir=parts.config.models_dir,
        data_dir=paths.data_dir(),
        missing_models=missing,
        host=parts.config["server.host"],
        port=parts.config["server.port"],
        ondol_answers=lambda: running() is not None,
    )
    checks += _check_engines(parts)
    checks += check_tuned(parts)
    checks.append(_check_reading())
    library = paths.database_file()
    if library.exists():
        checks.append(check_library(encryption.is_locked(library)))
        checks += _check_korean(library)
    return checks


def _check_engines(parts: Parts) -> list[Check]:
    """The engine that should serve; nothing where that is the bundled one, as it comes."""
    from ondol.engine.native import records
    from ondol.models.doctor import Check

    name = records.active()
    engine = next((one for one in records.listed() if one.name == name), None)
    if engine is None or parts.config["engine.runtime"] != "auto":
        return []
    state = engine.state(name)
    if state == "serving":
        return [Check("engine_native", True, t("native.doctor_serving", name=name))]
    told = t("native.doctor_not", name=name, state=t(f"native.state_{state}"))
    return [Check("engine_native", None, told, t("native.doctor_not_hint", name=name))]


def _check_reading() -> Check:
    from ondol.models.doctor import Check, check_reading
    from ondol.retrieval.loaders.isolation import PROTECTIONS, protections

    try:
        return check_reading(protections(), PROTECTIONS)
    except DocumentError as error:
        return Check("reading", False, error.message, error.hint)


def _check_korean(library: Path) -> list[Check]:
    """What a library can do with Korean; nothing where it cannot be opened, or is as it came."""
    from ondol import database
    from ondol.models.doctor import Check
    from ondol.retrieval import analysers, korean

    try:
        with closing(database.connect(library)) as connection:
            recorded = analysers.recorded(connection)
    except DocumentError:
        return []
    here = korean.analyser()
    if recorded == here:
        found = Check("korean", True, t("korean.found", analyser=here))
        return [found] if here else []
    if not here:
        return [Check("korean", None, t("korean.missing"), t("korean.missing_hint"))]
    return [Check("korean", None, t("korean.unused", analyser=here), t("korean.unused_hint"))]


def _is_here(parts: Parts, name: str) -> bool:
    from ondol.models import scales

    try:
        scales.of(parts.adapters, name)
    except (ModelError, UsageError):
        return False
    return True
