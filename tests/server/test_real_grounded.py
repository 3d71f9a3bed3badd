"""Documents under a model's name with the default models, by the clients that people use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anthropic
import ollama
import openai
import pytest
from house import CHAT, House, serving

from ondol import config as configuration
from ondol.parts import Parts

pytestmark = pytest.mark.model

MADE = f"{CHAT}+notes"
NOTES = """# House

The boiler in the cellar was serviced on 14 March 2025 by Mr Kim of Han River Heating.

The cat is called Gureum and is allergic to chicken.
"""
LEASE = (
    "# 임대차 계약\n\n보증금은 5천만 원이고 월세는 60만 원이다. 관리비는 매달 7만 원을 따로 낸다.\n"
)
QUESTION = "When was the boiler serviced?"
ASKED = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def real(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("real")
    environ = {"ONDOL_MODELS": str(models_dir), "ONDOL_CONTEXT_LENGTH": "2048"}
    config = configuration.load(environ=environ, file=folder / "config.toml")
    (folder / "notes").mkdir()
    (folder / "notes" / "house.md").write_text(NOTES)
    (folder / "notes" / "계약.md").write_text(LEASE)
    with Parts(config) as parts:
        parts.use_library(parts.open_library(folder / "ondol.db"))
        parts.library.add([folder / "notes"], collection="notes")
        with serving(parts) as port:
            yield House(parts, parts.pool, port)


def is_answer(text: str) -> bool:
    said, _, quotes = text.partition("\n\n**Quotes**\n\n- [1] “")
    return "14 March 2025" in said and "[1]" in said and quotes.endswith("— house.md")


def test_openais_client(real: House) -> None:
    with openai.OpenAI(base_url=f"{real.url}/v1", api_key="any", max_retries=0) as client:
        whole = client.chat.completions.create(model=MADE, messages=ASKED)
        stream = client.chat.completions.create(model=MADE, messages=ASKED, stream=True)
        streamed = [p.choices[0].delta.content or "" for p in stream if p.choices]
        responded = client.responses.create(model=MADE, input=QUESTION).output_text
        assert client.models.retrieve(MADE).id == MADE
    assert is_answer(whole.choices[0].message.content or "")
    assert "".join(streamed) == whole.choices[0].message.content == responded


def test_ollamas_client(real: House) -> None:
    with ollama.Client(host=real.url, trust_env=False, verify=False) as client:
        assert is_answer(client.chat(model=MADE, messages=ASKED).message.content or "")
        assert is_answer(client.generate(model=MADE, prompt=QUESTION).response)
        shown = client.show(MADE)
        assert MADE in [model.model for model in client.list().models]
    assert shown.capabilities == ["completion"]
    assert shown.modelinfo["llama.context_length"] == 8192


def test_anthropics_client(real: House) -> None:
    client = anthropic.Anthropic(base_url=real.url, api_key="any", max_retries=0)
    message = client.messages.create(model=MADE, max_tokens=100, messages=ASKED)
    assert is_answer(message.content[0].text)
    with client.messages.stream(model=MADE, max_tokens=100, messages=ASKED) as stream:
        assert "".join(stream.text_stream) == message.content[0].text


def test_llm_at_a_terminal(real: House, tmp_path: Path) -> None:
    environ = {**os.environ, "OLLAMA_HOST": real.url, "LLM_USER_PATH": str(tmp_path)}
    command = [str(Path(sys.executable).with_name("llm")), "-m", f"ollama/{MADE}", QUESTION]
    said = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert is_answer(said.stdout.strip()), said.stderr


def test_question_in_korean_is_answered_in_the_documents_words(real: House) -> None:
    with openai.OpenAI(base_url=f"{real.url}/v1", api_key="any", max_retries=0) as client:
        asked = [{"role": "user", "content": "보증금은 얼마인가요?"}]
        text = client.chat.completions.create(model=MADE, messages=asked).choices[0].message.content
    assert "5천만 원" in text and "**인용**" in text and text.endswith("— 계약.md")
