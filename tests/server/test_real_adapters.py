"""The server with the default model and random adapters: the real engine, switched per request."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
from house import CHAT, House, serving
from lora_gguf import random_adapter

from ondol import config as configuration
from ondol.parts import Parts

pytestmark = pytest.mark.model

STYLE = f"{CHAT}:style"
PROMPT = "The capital of France is"


@pytest.fixture(scope="module")
def real(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house of its own, with one random adapter; the weights are linked, not copied."""
    folder = tmp_path_factory.mktemp("real")
    own_adapters = shutil.ignore_patterns("adapters")
    shutil.copytree(models_dir, folder / "models", copy_function=os.link, ignore=own_adapters)
    environ = {"ONDOL_MODELS": str(folder / "models"), "ONDOL_CONTEXT_LENGTH": "1024"}
    config = configuration.load(environ=environ, file=folder / "config.toml")
    with Parts(config) as parts:
        parts.use_library(parts.open_library(folder / "ondol.db"))
        add(parts, folder, "style", seed=1)
        with serving(parts) as port:
            yield House(parts, parts.pool, port)


def add(parts: Parts, folder: Path, name: str, seed: int) -> None:
    base = parts.store.path(parts.store.get(CHAT))
    file = random_adapter(base, folder / f"{name}.gguf", seed=seed)
    parts.adapters.add(file, name=name, model=CHAT)


@pytest.fixture
def client(real: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{real.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def said(client: openai.OpenAI, model: str, **how: object) -> str:
    how = {"prompt": PROMPT, "max_tokens": 8, "temperature": 0, **how}
    return client.completions.create(model=model, **how).choices[0].text  # type: ignore[no-any-return,call-overload]


def test_a_name_with_an_adapter_answers_differently_in_the_same_process(
    real: House, client: openai.OpenAI
) -> None:
    plain, styled = said(client, CHAT), said(client, STYLE)
    assert "Paris" in plain and styled != plain
    assert [said(client, name) for name in (CHAT, STYLE, CHAT)] == [plain, styled, plain]
    assert [model.name for model in real.parts.pool.loaded()] == [CHAT]


def test_all_dialects_mean_the_same_adapter(real: House, client: openai.OpenAI) -> None:
    body = {"model": STYLE, "prompt": PROMPT, "raw": True, "stream": False}
    body["options"] = {"num_predict": 8, "temperature": 0}
    with real.client() as ollama:
        answer = ollama.post("/api/generate", json=body).json()
    assert answer["response"] == said(client, STYLE)


def test_an_answer_that_is_being_given_is_finished_when_an_adapter_comes(
    real: House, client: openai.OpenAI, tmp_path: Path
) -> None:
    stream = client.completions.create(
        model=CHAT, prompt="1, 2, 3, 4,", max_tokens=120, temperature=0, stream=True
    )
    first = next(stream)
    (before,) = real.parts.pool.loaded()
    add(real.parts, tmp_path, "newer", seed=2)
    with ThreadPoolExecutor(1) as thread:
        newer = thread.submit(said, client, f"{CHAT}:newer")
        rest = list(stream)
        assert newer.result(60) != said(client, STYLE)
    assert first.choices[0].text and rest[-1].choices[0].finish_reason in ("stop", "length")
    (after,) = real.parts.pool.loaded()
    assert after.pid != before.pid
    names = [CHAT, STYLE, f"{CHAT}:newer", f"{CHAT}:newer,style", f"{CHAT}:newer@0.5,style"]
    assert len({said(client, name) for name in names}) == len(names)
    assert [model.pid for model in real.parts.pool.loaded()] == [after.pid]
    real.parts.adapters.remove(CHAT, "newer")
    with pytest.raises(openai.NotFoundError):
        said(client, f"{CHAT}:newer")


def test_warming_an_adapter_that_just_came_loads_it_before_it_is_asked_for(
    real: House, client: openai.OpenAI, tmp_path: Path
) -> None:
    said(client, CHAT)
    (before,) = real.parts.pool.loaded()
    add(real.parts, tmp_path, "warm", seed=3)
    with real.client() as ollama:
        warmed = ollama.post("/api/generate", json={"model": f"{CHAT}:warm"}).json()
    (after,) = real.parts.pool.loaded()
    assert warmed["done_reason"] == "load" and after.pid != before.pid
    assert said(client, f"{CHAT}:warm")
    assert [model.pid for model in real.parts.pool.loaded()] == [after.pid]
    real.parts.adapters.remove(CHAT, "warm")


def test_documents_are_answered_with_an_adapter(real: House, tmp_path: Path) -> None:
    (tmp_path / "house.md").write_text("The boiler was serviced on 14 March by Mr Kim.")
    with real.client() as client:
        client.post("/ondol/v1/documents", json={"paths": [str(tmp_path)], "stream": False})
        body = {"question": "When was the boiler serviced?", "model": STYLE, "stream": False}
        answer = client.post("/ondol/v1/ask", json=body).json()
    assert "14 March" in answer["quotes"][0]["text"]
    # Random factors may say nothing at all; then the sentence itself is the answer.
    assert answer["reasons"] == ["model_said_nothing"] or answer["model"] == STYLE
    assert answer["answer"]
