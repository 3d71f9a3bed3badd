"""A whole server whose model is scripted, for fuzzers: ``serve.py FOLDER``. Says where it is on
stdout, and ends with its stdin."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "server"))

from house import CHAT, HashEmbedder, ScriptedPool, add_models

from ondol import config as configuration
from ondol.engine.scripted import Said, ScriptedEngine
from ondol.models.store import ModelStore
from ondol.parts import Parts
from ondol.server.app import create_app
from ondol.server.listening import listen, run
from ondol.types import ToolCall

CALL = ToolCall("call_1", "weather", '{"city": "Seoul"}')


def main() -> None:
    folder = Path(sys.argv[1])
    environ = {**os.environ, "ONDOL_MODELS": str(folder / "models"), "ONDOL_OFFLINE": "true"}
    config = configuration.load(environ=environ, file=folder / "config.toml")
    add_models(ModelStore(config.models_dir), folder)
    pool = ScriptedPool()
    said = Said("The stove — 온돌 — is warm.", "It is asked for a stove.", (CALL,))
    pool.engines[CHAT] = engine = ScriptedEngine([said], model=CHAT)
    engine.requests = Forgetful()
    pool.calls = Forgetful()
    with Parts(config) as parts:
        parts._built |= {"pool": pool, "embedder": HashEmbedder()}
        parts.use_library(parts.open_library(folder / "ondol.db"))
        listener = listen("127.0.0.1", 0)

        def tell() -> None:
            print(json.dumps({"port": listener.getsockname()[1], "pid": os.getpid()}), flush=True)

        threading.Thread(target=_end_with_stdin, daemon=True).start()
        run(create_app(parts), [listener], tell)


class Forgetful(list):
    """What was asked, which a hundred thousand requests would fill memory with."""

    def append(self, one: object) -> None:
        if len(self) < 2:
            super().append(one)


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
