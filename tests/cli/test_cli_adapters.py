"""``ondol adapter``, and ``model:adapter`` wherever a command takes a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from lora_gguf import random_adapter

pytestmark = pytest.mark.model

CHAT = "smollm2:135m"
EMBEDDING = "all-minilm:l6-v2"
STYLE = f"{CHAT}:style"


@pytest.fixture(scope="module")
def lora(chat_model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random adapter for the default chat model."""
    return random_adapter(chat_model_file, tmp_path_factory.mktemp("lora") / "lora.gguf")


@pytest.fixture
def styled(ondol, own_models: Path, lora: Path) -> None:
    """The default model has the adapter ``style``."""
    result = ondol("adapter", "add", lora, "--model", CHAT, "--name", "style", "--quiet")
    assert (result.code, result.stdout) == (0, f"{STYLE}\n"), result.stderr


def test_add_says_how_it_is_used_and_list_shows_it(ondol, own_models: Path, lora: Path) -> None:
    assert "ondol adapter add" in ondol("adapter", "list", EMBEDDING).stderr
    assert ondol("adapter", "list", EMBEDDING, "--json").json == {"adapters": []}
    told = ("--name", "style", "--description", "speaks like a sailor")
    added = ondol("adapter", "add", lora, *told)  # of the chat model, when none is named
    assert added.code == 0 and STYLE in added.stdout and f"ondol run {STYLE}" in added.stderr
    head, *rows = ondol("adapter", "list").stdout.splitlines()
    assert head.split() == ["NAME", "SIZE", "RANK", "LANGUAGES", "DESCRIPTION"]
    (row,) = (row for row in rows if row.startswith(f"{STYLE} "))
    assert "speaks like a sailor" in row
    assert STYLE in ondol("adapter", "list", CHAT, "--quiet").stdout.splitlines()
    listed = {one["name"]: one for one in ondol("adapter", "list", "--json").json["adapters"]}
    assert (listed[STYLE]["model"], listed[STYLE]["r"]) == (CHAT, 4)


def test_show_tells_all_about_an_adapter(ondol, styled: None) -> None:
    text = ondol("adapter", "show", STYLE).stdout
    assert "sha256:" in text and "q_proj" in text and "4 (alpha 8)" in text
    shown = ondol("adapter", "show", STYLE, "--json").json
    assert shown == ondol("show", STYLE, "--json").json
    assert shown["base_digest"].startswith("sha256:") and shown["stale"] is False
    assert ondol("show", STYLE, ONDOL_LANGUAGE="ko").stdout.startswith("이름: ")


def test_rm_frees_the_adapter_and_leaves_the_model(ondol, styled: None, lora: Path) -> None:
    size = lora.stat().st_size
    removed = ondol("adapter", "rm", STYLE, "--json").json
    assert removed == {"removed": [{"name": STYLE, "freed_bytes": size}]}
    assert STYLE not in ondol("adapter", "list", "--quiet").stdout
    ondol("adapter", "add", lora, "--name", "style")
    assert STYLE in ondol("rm", STYLE).stdout
    assert CHAT in ondol("list", "--quiet").stdout
    again = ondol("rm", STYLE)
    assert again.code == 3 and f"{CHAT} has no adapter style" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["adapter", "show", f"{CHAT}:stile"], 3, "Did you mean style?"),
        (["adapter", "rm", f"{CHAT}:stile"], 3, "Did you mean style?"),
        (["adapter", "show", "style"], 2, "smollm2:135m:grounding"),
        (["adapter", "list", "nosuch"], 3, "nosuch"),
        (["adapter", "add", "nosuch.gguf", "--name", "x"], 3, "nosuch.gguf"),
        (["adapter", "add", "nosuch.gguf"], 2, "NAME is missing"),
        (["adapter", "lsit"], 2, "ondol adapter list"),
        (["run", f"{CHAT}:stile", "Hi"], 3, "Did you mean style?"),
        (["ask", "Why?", "--model", f"{CHAT}:stile"], 3, "Did you mean style?"),
        (["cp", STYLE, "mine"], 2, "cannot be copied"),
        (["pull", STYLE], 2, "nothing to pull"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    ondol, styled: None, arguments: list[str], code: int, told: str
) -> None:
    result = ondol(*arguments)
    assert result.code == code and told in result.stderr
    assert result.stderr.count("error:") == 1 and "Traceback" not in result.stderr


def test_a_bad_name_or_file_is_refused(ondol, own_models: Path, lora: Path) -> None:
    bad = ondol("adapter", "add", lora, "--name", "Bad Name", "--json")
    assert bad.code == 2 and bad.json["error"]["code"] == "invalid_request"
    unfit = ondol("adapter", "add", __file__, "--name", "x", "--json")
    assert unfit.code == 3 and unfit.json["error"]["code"] == "invalid_model"


def test_run_answers_with_the_adapter_it_is_told(ondol, styled: None) -> None:
    def said(model: str) -> dict:
        how = ("--temperature", 0, "--max-tokens", 8, "--json")
        result = ondol("run", model, "The capital of France is", *how)
        assert result.code == 0, result.stderr
        return result.json

    plain, adapted = said(CHAT), said(STYLE)
    assert (plain["model"], adapted["model"]) == (CHAT, STYLE)
    assert plain["answer"] != adapted["answer"]


def test_ask_answers_with_the_adapter_it_is_told(ondol, styled: None, papers: Path) -> None:
    question = "When does the warranty of the washing machine end?"
    answer = ondol("ask", question, papers, "--model", STYLE, "--json")
    assert answer.code == 0, answer.stderr
    assert "3 May 2027" in answer.json["quotes"][0]["text"]
    # Random factors may say nothing at all; then the sentence itself is the answer.
    assert answer.json["reasons"] == ["model_said_nothing"] or answer.json["model"] == STYLE


def test_names_with_adapters_are_completed(ondol, styled: None) -> None:
    from ondol.cli.command import complete_models

    assert STYLE in complete_models(None, None, "smol")  # type: ignore[arg-type]


def test_a_configured_adapter_is_not_missing(ondol, styled: None) -> None:
    def complaints(model: str) -> list[str]:
        checks = ondol("doctor", "--json", ONDOL_CHAT_MODEL=model).json["checks"]
        return [check["sentence"] for check in checks if f"{CHAT}:" in str(check)]

    assert complaints(STYLE) == complaints(STYLE.upper()) == []
    assert complaints(f"{CHAT}:no")
