"""A server in a process of its own, whose model speaks slowly: ``draining.py FOLDER GRACE WORDS``.
Says its port, then how it ended."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from house import CHAT, HashEmbedder, ScriptedPool, add_models

from ondol import config as configuration
from ondol.models.store import ModelStore
from ondol.parts import Parts
from ondol.server import listening
from ondol.server.app import create_app
from ondol.types import Token, Usage


class Slow:
    model = CHAT

    def __init__(self, words: int) -> None:
        self.words = words

    def generate(self, messages, options):
        for number in range(self.words):
            time.sleep(0.02)
            yield Token(f"word{number} ")
        yield Token("", finish_reason="stop", usage=Usage(1, self.words))

    def complete(self, prompt, options):
        return self.generate([], options)

    def count_tokens(self, text: str) -> int:
        return len(text.split())


def main() -> None:
    folder, grace, words = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    listening.GRACE_SECONDS = grace
    environ = {"ONDOL_MODELS": str(folder / "models")}
    config = configuration.load(environ=environ, file=folder / "config.toml")
    store = ModelStore(config.models_dir)
    if not store.list():
        add_models(store, folder)
    pool = ScriptedPool()
    pool.engines[CHAT] = Slow(words)
    with Parts(config) as parts:
        parts._built |= {"pool": pool, "embedder": HashEmbedder()}
        listener = listening.listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
        listening.run(create_app(parts), [listener], lambda: print(port, flush=True))
    print("ended", flush=True)


if __name__ == "__main__":
    main()
