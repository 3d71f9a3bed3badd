"""Two Ondol processes with an ONDOL_HOME each: a home that is served, a device that is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ondol import database

PATIENCE_SECONDS = 120
MARKER = "zebra-4711-marker"
SERVER_TESTS = Path(__file__).parents[1] / "server"

# What `ondol home` does, with a model that says a word and another one when a file appears.
HOME = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from house import ScriptedPool, add_models
from ondol import config
from ondol.engine.generation import Generation
from ondol.home.serving import serve
from ondol.parts import Parts
from ondol.types import Token, Usage

folder = Path(sys.argv[2])

def produce(cancellation):
    yield Token("first ")
    while (folder / "hold").exists() and not cancellation.cancelled:
        time.sleep(0.01)
    yield Token("last")
    yield Token("", finish_reason="stop", usage=Usage(7, 2))

class Engine:
    model = "smollm2:135m"
    def generate(self, messages, options):
        return Generation(produce)

folder.mkdir(parents=True, exist_ok=True)
parts = Parts(config.load())
add_models(parts.store, folder)
pool = ScriptedPool()
pool.engines["smollm2:135m"] = Engine()
parts._built["pool"] = pool
serve(parts, on_ready=lambda a: print(f"https://127.0.0.1:{a.port}", flush=True))
"""

# A program on the device: asks home, writes both down as `ondol ask` does.
DEVICE = """
import json, sys
from ondol.config import load
from ondol.errors import OndolError
from ondol.parts import Parts
from ondol.types import GenerateOptions, Label, Message, Sensitivity

with Parts(load()) as parts:
    try:
        answer = parts.oversight.homes.generate(
            [Message("user", sys.argv[1])],
            GenerateOptions(max_tokens=12, temperature=0.0),
            label=Label(Sensitivity[sys.argv[2]]),
        )
        for token in answer:
            print(token.text, end="", flush=True)
        print()
    except OndolError as error:
        print()
        print(json.dumps({"code": error.code, "message": error.message}))
        sys.exit(error.exit_code)
"""


@dataclass
class Place:
    """An ONDOL_HOME, and what was ever printed by who ran there. ``prefix`` goes before each
    command."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    printed: list[str] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        mine = {"ONDOL_HOME": str(self.folder), "ONDOL_LANGUAGE": "en", "NO_COLOR": "1"}
        return {**os.environ, **mine, **self.settings}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``ondol ARGUMENTS``."""
        return self._finish(self.start("-m", "ondol", *arguments))

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def ask(
        self, question: str, sensitivity: str = "TRUSTED", *, first: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Ask home; the device does ``first`` before that."""
        return self._finish(self.start("-c", first + DEVICE, question, sensitivity))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A Python process here."""
        return subprocess.Popen(
            [*self.prefix, sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environ,
        )

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """The ledger's entries of ``kind`` (or all), the oldest first."""
        with closing(database.connect(self.folder / "data" / "ondol.db")) as connection:
            rows = connection.execute(
                "SELECT entry FROM ledger WHERE ? IN ('', kind) ORDER BY number", (kind,)
            ).fetchall()
        return [json.loads(row[0]) for row in rows]

    def holding(self, text: str) -> list[str]:
        """Every file here that holds ``text``, and what was printed."""
        found = [
            str(file)
            for file in self.folder.rglob("*")
            if file.is_file() and text.encode() in file.read_bytes()
        ]
        return found + [said for said in self.printed if text in said]

    def _finish(self, process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@contextmanager
def serving(place: Place, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A home in ``place`` that answers; what it says goes to ``place.printed``."""
    process = place.start(*arguments)
    assert process.stdout is not None and process.stderr is not None

    def listen(stream: Any) -> None:
        place.printed.extend(iter(stream.readline, ""))

    errors = threading.Thread(target=listen, args=(process.stderr,))
    errors.start()
    first = process.stdout.readline()
    assert "https://" in first, place.printed
    place.printed.append(first)
    output = threading.Thread(target=listen, args=(process.stdout,))
    output.start()
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()
            for thread in (errors, output):
                thread.join(PATIENCE_SECONDS)
            process.stdout.close()
            process.stderr.close()


def double(place: Place) -> tuple[str, ...]:
    """The arguments of a home whose model is scripted."""
    return ("-c", HOME, str(SERVER_TESTS), str(place.folder.parent / "double"))


def enrol(home: Place, device: Place, name: str = "laptop", *more: str) -> None:
    """Invite and join."""
    code = home.json("home", "invite", "--name", name, *more)["code"]
    joined = device.json("home", "join", code)
    assert joined["device"] == name
