"""Vectors from an embedding GGUF, cut and shortened as clients ask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from house import House, scripted_house, tiny_gguf

from ondol.errors import ContextLengthError, InvalidModelError, UsageError
from ondol.models.store import About
from ondol.parts import Parts
from ondol.server.fitting import FittingChat
from ondol.server.generation import embed, seed_of, stops
from ondol.types import GenerateOptions, Message, Role, Token

NAME = "vectors:latest"


class VectorEngine:
    """A word is a token; remembers the texts it was given."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += texts
        return np.tile(np.array([0.8, 0.0, 0.6, 0.0], dtype=np.float32), (len(texts), 1))

    def count_tokens(self, text: str) -> int:
        return len(text.split())


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with an embedding GGUF of a family that can be shortened, and one that cannot."""
    folder = tmp_path_factory.mktemp("shelf")
    with scripted_house(folder, {"ONDOL_CONTEXT_LENGTH": "256"}) as house:
        for name, family in ((NAME, "qwen3"), ("fixed:latest", "bert")):
            add_embedder(house, folder / f"{family}.gguf", name, family)
        yield house


def add_embedder(house: House, file: Path, name: str, family: str) -> None:
    file.write_bytes(tiny_gguf(family))
    store = house.parts.store
    store.add(name, [store.stage(file, "weights", file.name)], About(kind="embedding"))


@pytest.fixture
def engine(shelf: House) -> VectorEngine:
    engine = VectorEngine()
    shelf.pool.engines |= {NAME: engine, "fixed:latest": engine}
    return engine


def vectors(house: House, name: str, texts: list[str], **how: Any) -> np.ndarray:
    return np.concatenate([batch.vectors for batch in embed(house.parts, name, texts, **how)])


def test_a_gguf_embeds_in_the_pool_and_is_kept_alive_as_asked(shelf: House, engine) -> None:
    assert vectors(shelf, "vectors", ["a", "b"], keep_alive_seconds=9.0).shape == (2, 4)
    assert shelf.pool.calls[-1] == ("engine", NAME, {"keep_alive_seconds": 9.0})


def test_vectors_are_shortened_to_unit_length_where_the_model_allows(shelf, engine) -> None:
    (short,) = vectors(shelf, NAME, ["a"], dimensions=2)
    assert short.tolist() == pytest.approx([1.0, 0.0])
    with pytest.raises(UsageError, match="4 dimensions"):
        vectors(shelf, "fixed", ["a"], dimensions=2)
    assert vectors(shelf, "fixed", ["a"], dimensions=4).shape == (1, 4)


def test_a_long_text_is_cut_to_the_context_it_is_loaded_with(shelf: House, engine) -> None:
    (batch,) = embed(shelf.parts, NAME, ["word " * 1000, "short"])
    assert 200 < engine.count_tokens(engine.texts[0]) <= 256
    assert engine.texts[1] == "short"
    assert batch.tokens == 257
    with pytest.raises(UsageError, match="256 tokens"):
        vectors(shelf, NAME, ["word " * 1000], truncate=False)


def test_another_onnx_embedder_is_served_too_and_a_broken_one_is_named(
    shelf: House, tmp_path
) -> None:
    store = shelf.parts.store
    staged = []
    for role, name in (("graph", "other.onnx"), ("tokenizer", "tokenizer.json")):
        (tmp_path / name).write_bytes(b"no " + role.encode())
        staged.append(store.stage(tmp_path / name, role, name))
    store.add("other", staged, About(kind="embedding", format="onnx"))
    with pytest.raises(InvalidModelError, match="other"):
        vectors(shelf, "other", ["a"])


@pytest.mark.model
def test_onnx_embedder_in_use_and_another_give_their_own_vectors(config) -> None:
    with Parts(config.with_flags({"models.embedding": "smollm2:135m"})) as parts:
        (batch,) = embed(parts, "all-minilm:l6-v2", ["a boiler"])
        assert batch.vectors.shape == (1, 384)


def test_seeds_and_stops_are_what_the_engine_can_take() -> None:
    assert [seed_of(s) for s in (None, -1, 0, 5, 2**31 + 5, 10**30)][:5] == [None, None, 0, 5, 5]
    assert stops(None) == stops("") == stops([]) == ()
    assert stops("a") == ("a",) and stops(["a", "", "b"]) == ("a", "b")


class SmallEngine(VectorEngine):
    """Holds two messages besides the system's; like many templates, wants the user to begin."""

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[Token]:
        turns = [m for m in messages if m.role != "system"]
        if turns[0].role != "user":
            raise UsageError("roles must alternate")
        if len(turns) > 2:
            raise ContextLengthError("too long")
        yield Token(" ".join(m.content for m in messages), finish_reason="stop")


def chat(*roles: Role) -> list[Message]:
    return [Message(role, f"{role[0]}{number}") for number, role in enumerate(roles)]


def test_a_long_chat_forgets_whole_exchanges_and_keeps_the_system() -> None:
    messages = chat("system", "user", "assistant", "tool", "user", "assistant", "user")
    fitting = FittingChat(SmallEngine(), messages, GenerateOptions())
    assert [token.text for token in fitting] == ["s0 u6"]


def test_a_chat_whose_last_message_is_too_long_says_so() -> None:
    class Full(SmallEngine):
        def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Any:
            raise ContextLengthError("too long")
            yield

    fitting = FittingChat(Full(), chat("system", "user", "assistant", "user"), GenerateOptions())
    with pytest.raises(ContextLengthError):
        next(fitting)
