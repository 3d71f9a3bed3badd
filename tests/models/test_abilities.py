"""Capabilities say what a model's own files allow, and nothing that is not served."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pull_servers import tiny_gguf
from test_gguf import ARRAY, LLAMA, STRING, U32, entry, gguf

from ondol.egress import Egress
from ondol.errors import DownloadError, InvalidModelError
from ondol.models.pull import pull
from ondol.models.store import About, Model, ModelStore

PLAIN = "{% for m in messages %}{{ m.content }}{% endfor %}"
THINKING = "{% if enable_thinking %}<think>{% endif %}{{ messages }}"
PROJECTOR = tiny_gguf(seed=5, metadata={"general.type": "mmproj", "general.architecture": "clip"})
IDS = ("fim_pre", "fim_suf", "fim_mid")
OLD_IDS = ("prefix", "suffix", "middle")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture
def add(store: ModelStore, tmp_path: Path) -> Callable[..., Model]:
    def add(content: bytes, projector: bytes | None = None, about: About | None = None) -> Model:
        (tmp_path / "m.gguf").write_bytes(content)
        staged = [store.stage(tmp_path / "m.gguf", "weights", "m.gguf")]
        if projector is not None:
            (tmp_path / "p.gguf").write_bytes(projector)
            staged.append(store.stage(tmp_path / "p.gguf", "projector", "p.gguf"))
        return store.add("m", staged, about)

    return add


def templated(source: str) -> bytes:
    return tiny_gguf(metadata={"tokenizer.chat_template": source})


@pytest.mark.parametrize(
    ("content", "more"),
    [
        (tiny_gguf(), ()),
        (templated(PLAIN), ("tools",)),
        (templated(THINKING), ("tools", "thinking")),
    ],
)
def test_a_template_is_what_tools_and_thinking_need(
    add: Callable[..., Model], content: bytes, more: tuple[str, ...]
) -> None:
    assert add(content).capabilities == ("completion", *more)


def test_only_a_projector_gives_sight(add: Callable[..., Model], store: ModelStore) -> None:
    model = add(templated(PLAIN), PROJECTOR)
    assert model.capabilities == ("completion", "tools", "vision")
    assert store.path(model, "projector").read_bytes() == PROJECTOR
    assert store.path(model).read_bytes() == templated(PLAIN)


def test_projector_for_sound_alone_gives_no_sight(add: Callable[..., Model]) -> None:
    hears = gguf(
        (
            entry("general.architecture", STRING, "clip"),
            entry("clip.has_audio_encoder", 7, 1),
        )
    )
    assert add(tiny_gguf(), hears).capabilities == ("completion",)


def test_file_that_is_no_projector_is_refused(add: Callable[..., Model], store: ModelStore) -> None:
    with pytest.raises(InvalidModelError, match=r"p\.gguf is not a projector"):
        add(tiny_gguf(), tiny_gguf(seed=9))
    assert store.list() == []


@pytest.mark.parametrize("names", [IDS, OLD_IDS])
def test_declared_tokens_make_insertion(add: Callable[..., Model], names: tuple[str, ...]) -> None:
    ids = tuple(entry(f"tokenizer.ggml.{name}_token_id", U32, 4) for name in names)
    assert "insert" in add(gguf((*LLAMA, *ids))).capabilities
    assert "insert" not in add(gguf((*LLAMA, *ids[:2]))).capabilities


@pytest.mark.parametrize("filler", [10, 5000])
def test_tokens_known_by_their_text_make_insertion(add: Callable[..., Model], filler: int) -> None:
    marks = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"]
    words = [f"w{n}" for n in range(filler)]

    def vocabulary(tokens: list[str]) -> bytes:
        return gguf((*LLAMA, entry("tokenizer.ggml.tokens", ARRAY, (STRING, tuple(tokens)))))

    assert "insert" in add(vocabulary([*words, *marks])).capabilities
    assert "insert" not in add(vocabulary([*words, *marks[1:]])).capabilities


def test_model_of_an_older_version_can_what_it_always_could(
    add: Callable[..., Model], store: ModelStore
) -> None:
    model = add(templated(PLAIN))
    path = store.directory / "manifests" / "m" / "latest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "capabilities": ["completion"]}))
    assert store.get("m").capabilities == store.list()[0].capabilities == ("completion", "tools")
    assert store.get("m").digest == model.digest


def test_pull_adds_the_projector_that_it_is_given(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(templated(PLAIN))
    (tmp_path / "p.gguf").write_bytes(PROJECTOR)
    name = str(tmp_path / "m.gguf")
    assert "vision" not in pull(name, store, Egress()).capabilities
    assert "vision" in pull(name, store, Egress(), projector=tmp_path / "p.gguf").capabilities
    with pytest.raises(DownloadError, match="nowhere"):
        pull(name, store, Egress(), projector=tmp_path / "nowhere.gguf")
