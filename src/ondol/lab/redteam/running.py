"""Every part in a process of its own, in a home of its own: nothing of the owner's is touched.

Knows the parts by name, how many attacks each gets, and how a part's process speaks (JSON lines:
``{"progress": [done, total]}``, then ``{"outcome": …}`` or ``{"unavailable": reason}``). Who runs
the processes gives the ``command``. Never raises for what a part does.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from ondol import __version__
from ondol.config import Config
from ondol.i18n import language, t
from ondol.lab.redteam.report import Part, Report

PARTS = ("orders", "releases", "documents", "doors", "requests", "egress")
EFFORT = {"requests": 10_000, "egress": 1_000}
"""How many attacks of those parts that could go on for ever."""
QUICK = {"requests": 1_000, "egress": 100}
PREFIX = "ondol-redteam-"
SECONDS = 600
"""What a part may take; one that takes longer did not come to its end."""

Progress = Callable[[str, int, int], None]


def run(
    command: Sequence[str],
    config: Config,
    parts: Sequence[str] = PARTS,
    *,
    quick: bool = False,
    progress: Progress = lambda name, done, total: None,
) -> Report:
    """Attack an installation like the owner's: the same program with the owner's settings of the
    door (``hosts``, ``origins``), with a library, models and keys made for it."""
    ran = [_part(command, name, config, quick, progress) for name in parts]
    asked = [*(f"--only {name}" for name in parts if parts != PARTS), *(["--quick"] * quick)]
    about = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "command": " ".join(["ondol redteam", *asked]),
    }
    return Report(about, ran)


def _part(
    command: Sequence[str], name: str, config: Config, quick: bool, progress: Progress
) -> Part:
    effort = (QUICK if quick else EFFORT).get(name, 0)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(
        prefix="ondol-redteam-", ignore_cleanup_errors=True
    ) as scratch:
        words = [*command, name, scratch, str(effort)]
        said: dict[str, Any] = {}
        with (
            (Path(scratch) / "stderr").open("w+b") as errors,
            subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environ(Path(scratch), config),
            ) as child,
        ):
            watch = threading.Timer(SECONDS, child.kill)
            watch.start()
            try:
                for said in _lines(child):
                    if "progress" in said:
                        progress(name, *said["progress"])
            finally:
                watch.cancel()
                child.kill()
            child.wait()
            errors.seek(0)
            told = errors.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
    seconds = time.monotonic() - began
    if "outcome" in said:
        return Part.of(name, said["outcome"], seconds)
    if "unavailable" in said:
        reason = t("redteam.unavailable", reason=str(said["unavailable"]).rstrip("."))
        return Part(name, "not_run", seconds, reason=reason)
    why = told[-1] if told else t("redteam.too_long", seconds=SECONDS)
    return Part(name, "broken", seconds, reason=t("redteam.ended", reason=why.rstrip(".")))


def _lines(child: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert child.stdout is not None
    for line in child.stdout:
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict):
            yield said


def environ(scratch: Path, config: Config) -> dict[str, str]:
    """A home of its own, with the owner's settings of the door; no key, passphrase or token of
    theirs, and nothing that says where their data is."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ONDOL_", "HF_", "AWS_", "XDG_"))
        and not any(word in name for word in ("KEY", "TOKEN", "SECRET", "PASS", "PROXY", "proxy"))
    }
    door = {
        "ONDOL_HOSTS": ",".join(config["server.hosts"]),
        "ONDOL_ORIGINS": ",".join(config["server.origins"]),
    }
    return (
        kept
        | {name: value for name, value in door.items() if value}
        | {
            "ONDOL_HOME": str(scratch / "home"),
            "ONDOL_MODELS": str(scratch / "models"),
            "ONDOL_OFFLINE": "false",
            "ONDOL_LANGUAGE": language(),
            "HOME": str(scratch),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
    )
