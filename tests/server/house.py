"""A whole server on a real port for tests: the real parts, except that no model thinks."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from struct import pack
from typing import Any

import httpx2
import numpy as np

from ondol import config as configuration
from ondol.engine.pool import LoadedModel
from ondol.engine.scripted import ScriptedEngine
from ondol.models.store import ModelStore
from ondol.parts import Parts
from ondol.retrieval.embedding import PassageVectors
from ondol.server.app import create_app
from ondol.server.listening import listen, server_for
from ondol.types import GenerateOptions, Message, Token, Usage

CHAT = "smollm2:135m"
EMBEDDING = "all-minilm:l6-v2"
REPLY = "The stove under the floor — 온돌 — keeps a house warm."


class HashEmbedder:
    """Unit vectors that depend on nothing but the text."""

    model = EMBEDDING
    dimensions = 8

    def embed(self, texts: Sequence[str], *, input_type: str = "document") -> np.ndarray:
        rows = [np.random.default_rng(zlib.crc32(t.encode())).normal(size=8) for t in texts]
        return np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)

    def embed_passages(self, texts: Sequence[str], spans: Sequence[Sequence[Any]]) -> list[Any]:
        return [
            PassageVectors(self.embed([text])[0], self.embed([text[a:b] for a, b in part] or [""]))
            for text, part in zip(texts, spans, strict=True)
        ]

    def can_read(self, text: str) -> bool:
        return text.isascii()

    def count_tokens(self, text: str) -> int:
        return len(text.split()) + 2


class GatedEngine:
    """Says one word, then waits for ``gate``; knows whether it was closed."""

    model = CHAT

    def __init__(self, *, words: int = 1000, error: Exception | None = None) -> None:
        self.gate = threading.Event()
        self.said_a_word = threading.Event()
        self.closed = threading.Event()
        self.words = words
        self.error = error

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[Token]:
        try:
            for number in range(self.words):
                yield Token(f"word{number} ")
                self.said_a_word.set()
                if self.error is not None:
                    raise self.error
                self.gate.wait(0.01 if number else 0)
            yield Token("", finish_reason="stop", usage=Usage(1, self.words))
        finally:
            self.closed.set()

    def complete(self, prompt: str, options: GenerateOptions) -> Iterator[Token]:
        return self.generate([Message("user", prompt)], options)

    def count_tokens(self, text: str) -> int:
        return len(text.split())


class ScriptedPool:
    """The pool's interface over engines that are given; keeps what it was asked."""

    def __init__(self) -> None:
        self.settings: Any = None
        self.engines: dict[str, Any] = {}
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.names: set[str] = set()

    def engine(self, model: str, **how: Any) -> Any:
        self.calls.append(("engine", model, how))
        self.names.add(model)
        engine = self.engines.get(model) or ScriptedEngine([REPLY], model=model)
        engine.load = lambda: self.load(model, **how)
        return engine

    def load(self, model: str, **how: Any) -> None:
        self.calls.append(("load", model, how))
        self.names.add(model)

    def stop(self, model: str) -> bool:
        self.calls.append(("stop", model, {}))
        was_loaded = model in self.names
        self.names.discard(model)
        return was_loaded

    def loaded(self) -> list[LoadedModel]:
        expires_at = datetime.now(UTC) + timedelta(minutes=5)
        return [
            LoadedModel(
                name=name,
                digest="sha256:" + "0" * 64,
                size_bytes=1,
                num_ctx=4096,
                pid=1,
                expires_at=expires_at,
                in_use=0,
            )
            for name in sorted(self.names)
        ]

    def close(self) -> None:
        self.names.clear()


@dataclass
class House:
    """A running server and what is inside."""

    parts: Parts
    pool: ScriptedPool
    port: int
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **how: Any) -> httpx2.Client:
        # Loading certificates that plain HTTP does not need takes longer than most tests.
        return httpx2.Client(base_url=self.url, timeout=30, trust_env=False, verify=False, **how)


@contextmanager
def scripted_house(folder: Path, environ: dict[str, str] | None = None) -> Iterator[House]:
    """A server whose chat model is scripted and whose embedder hashes."""
    environ = {"ONDOL_MODELS": str(folder / "models"), **(environ or {})}
    config = configuration.load(environ=environ, file=folder / "config.toml")
    store = ModelStore(config.models_dir)
    add_models(store, folder)
    pool = ScriptedPool()
    with Parts(config) as parts:
        parts._built |= {"pool": pool, "embedder": HashEmbedder()}
        parts.use_library(parts.open_library(folder / "ondol.db"))
        with serving(parts) as port:
            yield House(parts, pool, port)


@contextmanager
def real_house(folder: Path, models_dir: Path, num_ctx: int) -> Iterator[House]:
    """A server whose models think: one request at a time, so that a generation nobody stopped would
    block the next."""
    environ = {
        "ONDOL_MODELS": str(models_dir),
        "ONDOL_NUM_PARALLEL": "1",
        "ONDOL_CONTEXT_LENGTH": str(num_ctx),
    }
    config = configuration.load(environ=environ, file=folder / "config.toml")
    with Parts(config) as parts:
        parts.use_library(parts.open_library(folder / "ondol.db"))
        with serving(parts) as port:
            yield House(parts, parts.pool, port)


@contextmanager
def serving(parts: Parts) -> Iterator[int]:
    """``parts`` served on a free port, in a thread."""
    started = threading.Event()
    listener = listen("127.0.0.1", 0)
    server = server_for(create_app(parts), started.set)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        assert started.wait(30)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
    assert not thread.is_alive()


def add_models(store: ModelStore, folder: Path) -> None:
    """A chat model and an embedder that have everything but weights."""
    chat = folder / "tiny.gguf"
    chat.write_bytes(tiny_gguf())
    store.add(CHAT, [store.stage(chat, "weights", "tiny.gguf")])
    staged = []
    for name, role, content in (
        ("model.onnx", "graph", b"graph"),
        ("tokenizer.json", "tokenizer", b"{}"),
        ("config.json", "config", b'{"model_type":"bert","hidden_size":8}'),
    ):
        (folder / name).write_bytes(content)
        staged.append(store.stage(folder / name, role, name))
    store.add(EMBEDDING, staged)


def tiny_gguf(architecture: str = "llama") -> bytes:
    """A well-formed header over two tensors of zeros."""

    def text(value: str) -> bytes:
        return pack("<Q", len(value.encode())) + value.encode()

    template = "{% for m in messages %}<|im_start|>{{ m.role }}{% endfor %}"
    pairs: list[tuple[str, int, bytes]] = [
        ("general.architecture", 8, text(architecture)),
        ("general.name", 8, text("Tiny")),
        (f"{architecture}.context_length", 4, pack("<I", 2048)),
        (f"{architecture}.embedding_length", 4, pack("<I", 64)),
        (f"{architecture}.block_count", 4, pack("<I", 1)),
        (f"{architecture}.attention.head_count", 4, pack("<I", 4)),
        ("tokenizer.chat_template", 8, text(template)),
    ]
    head = b"GGUF" + pack("<IQQ", 3, 2, len(pairs))
    head += b"".join(text(key) + pack("<I", code) + value for key, code, value in pairs)
    head += text("token_embd.weight") + pack("<IQQIQ", 2, 64, 4, 0, 0)
    head += text("output.weight") + pack("<IQQIQ", 2, 64, 4, 0, 64 * 4 * 4)
    head += b"\0" * (-len(head) % 32)
    return head + b"\0" * (2 * 64 * 4 * 4)
