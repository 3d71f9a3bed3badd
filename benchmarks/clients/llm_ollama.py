"""Runs llm-ollama's own test suite, its integration tests among it, against a running Ondol.

    python benchmarks/clients/llm_ollama.py SUITE [--model smollm2:135m] [--scripted]

``SUITE`` is a checkout of github.com/taketwo/llm-ollama (none of it is kept here). It is installed
into a virtual environment of its own, with what it is tested with, and run as its authors run it:
``pytest --integration``, with ``OLLAMA_HOST`` pointing here. ``--scripted`` puts a model in the
place of the real one that calls the tool when it is offered one, says its result, and sees what is
on the picture: what is left is the wire.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "server"))

from house import CHAT, scripted_house, serving  # noqa: E402

from ondol import config as configuration  # noqa: E402
from ondol.engine.scripted import Said, ScriptedEngine  # noqa: E402
from ondol.parts import Parts  # noqa: E402
from ondol.types import GenerateOptions, Message, ToolCall  # noqa: E402

NEEDS = ("pytest", "pytest-asyncio", "pytest-mock")
DOG = '{"name": "Sir Barks", "age": 4, "bio": "Nice."}'


class Capable(ScriptedEngine):
    """Does what a good model does with the suite's prompts."""

    def generate(self, messages: Any, options: GenerateOptions) -> Any:
        last: Message = messages[-1]
        if last.role == "tool":
            self._replies = [f"It is {last.content}."]
        elif options.tools:
            numbers = re.findall(r"\d+", last.content)[:2]
            arguments = '{{"a": {}, "b": {}}}'.format(*numbers)
            call = ToolCall("call_1", options.tools[0].name, arguments)
            self._replies = [Said(tool_calls=(call,))]
        elif options.json_schema and any(message.images for message in messages):
            self._replies = ['{"text": "Shark"}']
        else:
            self._replies = [DOG if options.json_schema else "Leaves in water, patient."]
        return super().generate(messages, options)


@contextmanager
def scripted(folder: Path) -> Iterator[int]:
    """The port of an Ondol whose model is scripted."""
    with scripted_house(folder) as house:
        store = house.parts.store
        able = replace(store.get(CHAT), capabilities=("completion", "tools", "vision"))
        with store.lock():
            store._write(able)
        house.pool.engines[CHAT] = Capable(model=CHAT)
        yield house.port


@contextmanager
def real(folder: Path) -> Iterator[int]:
    """The port of an Ondol with the models that are installed."""
    config = configuration.load(file=folder / "config.toml")
    with Parts(config) as parts:
        parts.use_library(parts.open_library(folder / "ondol.db"))
        with serving(parts) as port:
            yield port


def run(suite: Path, model: str, port: int, folder: Path, *more: str) -> int:
    """Pytest's exit code."""
    checkout = folder / "suite"
    shutil.copytree(suite, checkout)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", str(checkout), *NEEDS]
    subprocess.run(install, check=True)
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ |= {"OLLAMA_HOST": f"http://127.0.0.1:{port}", "NO_PROXY": "127.0.0.1"}
    environ["LLM_USER_PATH"] = str(folder / "llm")
    tests = [str(python), "-m", "pytest", "-q", "-rs", "--integration", "--model", model, *more]
    return subprocess.run([*tests, "tests"], cwd=checkout, env=environ, check=False).returncode


def main() -> int:
    """Pytest's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("suite", type=Path)
    parser.add_argument("--model", default=CHAT)
    parser.add_argument("--scripted", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with scripted(folder) if given.scripted else real(folder) as port:
            vision = ("--vision", "--vision-model", CHAT) if given.scripted else ("--no-vision",)
            return run(given.suite, given.model, port, folder, *vision)


if __name__ == "__main__":
    sys.exit(main())
