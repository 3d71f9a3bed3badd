"""The child of ``ondol airgap``: ``python -P -m ondol.cli.sealed``.

Goes into a network of its own, proves that it would see an attempt to get out of it, and runs real
Ondol commands there on a library of its own. Speaks JSON lines on stdout: each step as it ends, and
the findings last; or ``{"unavailable": reason}``.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ondol import config, paths
from ondol.egress import guard, namespace

STEP_SECONDS = 600
CONTROL_SECONDS = 10
NOBODY = "203.0.113.7"  # TEST-NET-3
NAME = "ondol-airgap.invalid"

NOTE = """The boiler in the cellar was serviced on 3 March 2026 by Haneul Heating.
The next service is due in March 2027. The key hangs behind the kitchen door.
"""
QUESTION = "When is the next service of the boiler due?"

# A program that Ondol does not guard: it must be seen. By address, and by a name.
_STRANGER = (
    "import socket; s = socket.socket(type=socket.SOCK_DGRAM)\n"
    "try: s.sendto(b'ondol airgap: positive control', (%r, 9))\nexcept OSError: pass\n"
    "try: socket.getaddrinfo(%r, 80)\nexcept OSError: pass\n"
)

Watcher = namespace.Sink | namespace.NoRoutes


def main() -> None:
    """Run everything; the last line says what was found."""
    settings, config_file = config.load(), paths.config_file()
    models = str(settings.models_dir)
    with tempfile.TemporaryDirectory(prefix="ondol-airgap-") as name:
        folder = Path(name)
        try:
            namespace.enter()
            names_diverted = namespace.divert_names(folder)
            watcher = _watcher()
        except OSError as error:
            say(unavailable=error.strerror or str(error))
            return
        guard.install()
        environ = _environ(folder, config_file, models)
        control = _control(watcher)
        before = len(watcher.attempts)
        steps = [_step(*step, environ) for step in _steps(folder)]
        refused = _refusals(environ)
        time.sleep(1)  # whatever is still on its way
        watcher.take()
        attempts = watcher.attempts[before:]
        watcher.close()
    say(
        ok=all(control.values()) and all(s["ok"] for s in steps) and not attempts + refused,
        capture=watcher.kind,
        names_diverted=names_diverted,
        control=control,
        steps=steps,
        packets=len(attempts),
        attempts=sorted(set(attempts)),
        refused=refused,
    )


def say(**fields: Any) -> None:
    """One line for the parent."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def _watcher() -> Watcher:
    try:
        return namespace.Sink()
    except OSError:
        return namespace.NoRoutes()


def _control(watcher: Watcher) -> dict[str, bool]:
    """Is an attempt seen, of a stranger's, and of a library's in a process of ours? Else a count of
    zero proves nothing."""
    command = [sys.executable, "-I", "-c", _STRANGER % (NOBODY, NAME)]
    environ = os.environ | {"RES_OPTIONS": "timeout:1 attempts:1"}
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(command, env=environ, timeout=CONTROL_SECONDS, check=False)
    deadline = time.monotonic() + CONTROL_SECONDS
    while not watcher.take() and time.monotonic() < deadline:
        time.sleep(0.1)
    known = len(guard.refusals)
    with suppress(OSError):
        socket.create_connection((NOBODY, 443), 1).close()
    packet_seen, refusal_seen = bool(watcher.attempts), len(guard.refusals) > known
    return {"packet_seen": packet_seen, "refusal_seen": refusal_seen and not watcher.take()}


def _environ(folder: Path, config_file: Path, models: str) -> dict[str, str]:
    """The owner's settings and models; a library, a ledger and a key of its own."""
    home = folder / "home"
    environ = {**os.environ, "ONDOL_HOME": str(home), "ONDOL_MODELS": models}
    # Not offline: nothing but what Ondol and its libraries want of themselves keeps them here.
    environ |= {"ONDOL_OFFLINE": "false", "ONDOL_VECTORS": "local"}
    for name in [name for name in environ if name.startswith("ONDOL_PASSPHRASE")]:
        del environ[name]
    target = Path(_asked("from ondol import paths; print(paths.config_file())", environ))
    if config_file.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(config_file, target)
    return environ


def _asked(script: str, environ: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _steps(folder: Path) -> list[tuple[str, list[str]]]:
    note = folder / "boiler.txt"
    note.write_text(NOTE, encoding="utf-8")
    return [
        ("add", ["add", str(note)]),
        ("search", ["search", "boiler service"]),
        ("ask", ["ask", QUESTION]),
        ("chat", ["run", "--max-tokens", "24", "Say hello."]),
    ]


def _step(name: str, arguments: list[str], environ: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "ondol", *arguments, "--json"]
    began = time.monotonic()
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=STEP_SECONDS, check=False
        )
        code, said, told = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        code, said, told = 124, "", ""
    step: dict[str, Any] = {"name": name, "ok": code == 0 and bool(said.strip())}
    step["seconds"] = round(time.monotonic() - began, 2)
    if not step["ok"]:
        step["error"] = (told.strip() or said.strip()).splitlines()[-1:]
    say(step=step)
    return step


def _refusals(environ: dict[str, str]) -> list[str]:
    """What libraries tried in the commands: it stands in the ledger that they kept."""
    command = [sys.executable, "-P", "-m", "ondol", "ledger", "--kind", "refused", "--json"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    try:
        entries = json.loads(done.stdout)["entries"]
    except (ValueError, KeyError):
        return ["?"]  # without a ledger nobody knows
    return sorted({str(entry.get("destination", "?")) for entry in entries})


if __name__ == "__main__":
    main()
