"""``ondol adapters``, and ``model:adapter`` wherever a command takes a model."""

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
    result = ondol("adapters", "add", lora, "--model", CHAT, "--name", "style", "--quiet")
    assert (result.code, result.stdout) == (0, f"{STYLE}\n"), result.stderr


def test_add_says_how_it_is_used_and_list_shows_it(ondol, own_models: Path, lora: Path) -> None:
    assert "ondol adapters add" in ondol("adapters", "list", EMBEDDING).stderr
    assert ondol("adapters", "list", EMBEDDING, "--json").json == {"adapters": []}
    told = ("--name", "style", "--description", "speaks like a sailor")
    added = ondol("adapters", "add", lora, *told)  # of the chat model, when none is named
    assert added.code == 0 and STYLE in added.stdout and f"ondol run {STYLE}" in added.stderr
    head, *rows = ondol("adapters", "list").stdout.splitlines()
    assert head.split() == ["NAME", "SIZE", "RANK", "LANGUAGES", "DESCRIPTION"]
    (row,) = (row for row in rows if row.startswith(f"{STYLE} "))
    assert "speaks like a sailor" in row
    assert STYLE in ondol("adapters", "list", CHAT, "--quiet").stdout.splitlines()
    listed = {one["name"]: one for one in ondol("adapters", "list", "--json").json["adapters"]}
    assert (listed[STYLE]["model"], listed[STYLE]["r"]) == (CHAT, 4)


def test_show_tells_all_about_an_adapter(ondol, styled: None) -> None:
    text = ondol("adapters", "show", STYLE).stdout
    assert "sha256:" in text and "q_proj" in text and "4 (alpha 8)" in text
    shown = ondol("adapters", "show", STYLE, "--json").json
    assert shown == ondol("show", STYLE, "--json").json
    assert shown["base_digest"].startswith("sha256:") and shown["stale"] is False
    assert ondol("show", STYLE, ONDOL_LANGUAGE="ko").stdout.startswith("이름: ")


def test_rm_frees_the_adapter_and_leaves_the_model(ondol, styled: None, lora: Path) -> None:
    size = lora.stat().st_size
    removed = ondol("adapters", "rm", STYLE, "--json").json
    assert removed == {"removed": [{"name": STYLE, "freed_bytes": size}]}
    assert STYLE not in ondol("adapters", "list", "--quiet").stdout
    ondol("adapters", "add", lora, "--name", "style")
    assert STYLE in ondol("rm", STYLE).stdout
    assert CHAT in ondol("list", "--quiet").stdout
    again = ondol("rm", STYLE)
    assert again.code == 3 and f"{CHAT} has no adapter style" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["adapters", "show", f"{CHAT}:stile"], 3, "Did you mean style?"),
        (["adapters", "rm", f"{CHAT}:stile"], 3, "Did you mean style?"),
        (["adapters", "show", "style"], 2, "smollm2:135m:grounding"),
        (["adapters", "list", "nosuch"], 3, "nosuch"),
        (["adapters", "add", "nosuch.gguf", "--name", "x"], 3, "nosuch.gguf"),
        (["adapters", "add", "nosuch.gguf"], 2, "--name is missing"),
        (["adapters", "lsit"], 2, "ondol adapters list"),
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
    bad = ondol("adapters", "add", lora, "--name", "Bad Name", "--json")
    assert bad.code == 2 and bad.json["error"]["code"] == "invalid_request"
    unfit = ondol("adapters", "add", __file__, "--name", "x", "--json")
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


def test_adapters_are_merged_compared_and_written_out(
    ondol, styled: None, chat_model_file: Path, tmp_path: Path
) -> None:
    second = random_adapter(chat_model_file, tmp_path / "second.gguf", seed=2, modules=["attn_q"])
    ondol("adapter", "add", second, "--model", CHAT, "--name", "second")  # the noun of old
    both = (STYLE, f"{CHAT}:second")
    merged = ondol("adapters", "merge", *both, "--name", "both", "--r", "8", "--weights", "2,1")
    assert merged.code == 0, merged.stderr
    assert f"{CHAT}:both-candidate is here: 100.0 %" in merged.stdout
    assert "ondol adapters activate" in merged.stderr
    shown = ondol("adapters", "show", f"{CHAT}:both-candidate", "--json").json
    assert (shown["r"], len(shown["trained_on"]["merged_from"])) == (8, 2)
    head, *rows = ondol("adapters", "compare", *both).stdout.splitlines()
    assert "OVERLAP" in head.upper() and rows[-1].startswith("all")
    assert any(row.startswith("q_proj") and "–" not in row for row in rows)
    assert any(row.startswith("up_proj") and "–" in row for row in rows)
    file = tmp_path / "out.gguf"
    told = ondol("adapters", "export", f"{CHAT}:second", "-o", file, "--json").json
    assert told["is_personal"] is False
    assert file.read_bytes() == second.read_bytes() and file.stat().st_mode & 0o777 == 0o600
    assert Path(told["manifest"]).exists()
    again = ondol("adapters", "export", f"{CHAT}:second", "-o", file)
    assert again.code == 2 and "there already" in again.stderr
    wrong = ondol("adapters", "merge", *both, "--name", "both", "--weights", "a,b")
    assert wrong.code == 2 and "a,b" in wrong.stderr
