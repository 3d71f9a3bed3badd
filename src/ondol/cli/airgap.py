"""``ondol airgap``: proof, in a network of its own, that Ondol works and tries to reach nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import click

from ondol.cli.command import command, pass_output
from ondol.cli.failures import closing_time
from ondol.cli.output import Output
from ondol.errors import EgressError
from ondol.i18n import t

CHILD = (sys.executable, "-P", "-m", "ondol.cli.sealed")


@command("airgap")
@pass_output
def airgap(output: Output) -> None:
    if sys.platform != "linux":
        raise EgressError(t("airgap.other_system"), t("airgap.hint"))
    found: dict[str, Any] = {}
    output.note(t("airgap.begin"))
    with closing_time():
        for said in _listen():
            if "unavailable" in said:
                told = t("airgap.unavailable", reason=str(said["unavailable"]).rstrip("."))
                raise EgressError(told, t("airgap.hint"))
            if "step" in said:
                _show_step(output, said["step"])
            else:
                found = said
    if output.json:
        output.emit(found)
    else:
        _report(output, found)
    click.get_current_context().exit(0 if found["ok"] else EgressError.exit_code)


def _listen() -> Iterator[dict[str, Any]]:
    """What the child says, line by line. Raises ``EgressError`` when it ends without findings."""
    with subprocess.Popen(
        CHILD, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        said: dict[str, Any] = {}
        try:
            for line in child.stdout:
                said = json.loads(line)
                yield said
            told = child.stderr.read().strip().splitlines()
        finally:
            child.kill()
    if "ok" not in said:
        reason = told[-1] if told else str(child.returncode)
        raise EgressError(t("airgap.broken", reason=reason.rstrip(".")), t("airgap.hint"))


def _show_step(output: Output, step: dict[str, Any]) -> None:
    if output.json or output.quiet:
        return
    seconds = f"{step['seconds']:.1f}"
    if step["ok"]:
        output.line(t("airgap.works", name=step["name"], seconds=seconds))
    else:
        reason = " ".join(step.get("error") or ()) or "?"
        output.line(t("airgap.fails", name=step["name"], seconds=seconds, reason=reason))


def _report(output: Output, found: dict[str, Any]) -> None:
    control = found["control"]
    if not output.quiet:
        seen = control["packet_seen"] and control["refusal_seen"]
        output.line(t("airgap.control" if seen else "airgap.no_control"))
        if not found["names_diverted"]:
            output.line(t("airgap.names_not_diverted"))
        for attempt in (*found["attempts"], *found["refused"]):
            output.line(t("airgap.attempt", destination=attempt))
        output.line(t("airgap.packets", count=found["packets"], refused=len(found["refused"])))
    output.line(t("airgap.proved" if found["ok"] else "airgap.not_proved"))
