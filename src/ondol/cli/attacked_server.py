"""The server that ``ondol redteam`` attacks: ``python -P -m ondol.cli.attacked_server FOLDER KEY``.

The real server over the real parts, but no model thinks and embeddings are hashes: what is attacked
is what stands before and around them. Says where it is on stdout, and ends with its stdin.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ondol.engine.scripted import Said, ScriptedEngine
from ondol.types import ToolCall

CHAT, EMBEDDING, DIMENSIONS = "smollm2:135m", "all-minilm:l6-v2", 8
MAX_BODY_MB = "1"
TEXT = "The stove under the floor keeps a house warm. It burns dry oak."


def main() -> None:
    """Serve until stdin ends."""
    folder, key = Path(sys.argv[1]), sys.argv[2]
    os.environ |= {"ONDOL_HOME": str(folder / "home"), "ONDOL_MODELS": str(folder / "models")}
    os.environ |= {"ONDOL_MAX_BODY_MB": MAX_BODY_MB, "ONDOL_OFFLINE": "true"}
    if key:
        os.environ["ONDOL_API_KEY"] = key
    from ondol import config as configuration
    from ondol import paths
    from ondol.models.store import ModelStore
    from ondol.parts import Parts
    from ondol.server.app import create_app
    from ondol.server.listening import listen, run
    from ondol.server.native.keys import open_keys

    config = configuration.load()
    paths.data_dir().mkdir(parents=True, exist_ok=True)
    _add_models(ModelStore(config.models_dir), folder)
    with Parts(config) as parts:
        parts._built |= {"pool": _Pool(), "embedder": _Embedder()}
        parts.library.add_text("stove.txt", TEXT)
        keys = open_keys()
        programs_key, _ = keys.create("program")
        keys.close()
        listener = listen("127.0.0.1", 0)
        where = {"port": listener.getsockname()[1], "pid": os.getpid(), "key": programs_key}
        threading.Thread(target=_end_with_stdin, daemon=True).start()
        run(create_app(parts), [listener], lambda: print(json.dumps(where), flush=True))


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _add_models(store: Any, folder: Path) -> None:
    """A chat model and an embedder that have everything but weights."""
    from ondol.lab.redteam.releases.makers import gguf

    (folder / "tiny.gguf").write_bytes(gguf())
    store.add(CHAT, [store.stage(folder / "tiny.gguf", "weights", "tiny.gguf")])
    staged = []
    described = {"model_type": "bert", "hidden_size": DIMENSIONS}
    for name, role, content in (
        ("model.onnx", "graph", b"graph"),
        ("tokenizer.json", "tokenizer", b"{}"),
        ("config.json", "config", json.dumps(described).encode()),
    ):
        (folder / name).write_bytes(content)
        staged.append(store.stage(folder / name, role, name))
    store.add(EMBEDDING, staged)


class _Forgetful(list[Any]):
    """What was asked, which a hundred thousand requests would fill memory with."""

    def append(self, one: Any) -> None:
        if len(self) < 2:
            super().append(one)


class _Pool:
    """The pool's interface over an engine that says what it was told to, and calls a tool."""

    def __init__(self) -> None:
        call = ToolCall("call_1", "weather", '{"city": "Seoul"}')
        said = Said("The stove — 온돌 — is warm.", "It is asked for a stove.", (call,))
        engine: Any = ScriptedEngine([said], model=CHAT)
        engine.requests = _Forgetful()
        engine.load = lambda: None
        self._engine = engine
        self.settings: Any = None

    def engine(self, model: str, **how: Any) -> Any:
        return self._engine

    def load(self, model: str, **how: Any) -> None:
        pass

    def stop(self, model: str) -> bool:
        return False

    def loaded(self) -> list[Any]:
        return []

    def close(self) -> None:
        pass


class _Embedder:
    """Unit vectors that depend on nothing but the text."""

    model, dimensions = EMBEDDING, DIMENSIONS

    def embed(self, texts: Sequence[str], *, input_type: str = "document") -> Any:
        import numpy as np

        seeds = [zlib.crc32(text.encode("utf-8", "replace")) for text in texts]
        rows = [np.random.default_rng(seed).normal(size=DIMENSIONS) for seed in seeds]
        return np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)

    def embed_passages(self, texts: Sequence[str], spans: Sequence[Sequence[Any]]) -> list[Any]:
        from ondol.retrieval.embedding import PassageVectors

        return [
            PassageVectors(self.embed([text])[0], self.embed([text[a:b] for a, b in part] or [""]))
            for text, part in zip(texts, spans, strict=True)
        ]

    def can_read(self, text: str) -> bool:
        return text.isascii()

    def count_tokens(self, text: str) -> int:
        return len(text.split()) + 2


if __name__ == "__main__":
    main()
