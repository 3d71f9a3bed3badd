"""``ondol pull``, ``list``, ``show``, ``cp``, ``rm``, ``recommend`` and ``doctor``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def test_list_without_models_says_how_to_get_some(ondol) -> None:
    result = ondol("list")
    assert result.code == 0 and "ondol up" in result.stderr
    assert ondol("ls", "--json").json == {"models": []}


@pytest.mark.model
def test_list_is_a_table_of_names_and_sizes(ondol, config) -> None:
    head, *rows = ondol("list").stdout.splitlines()
    assert head.split() == ["NAME", "SIZE", "QUANTISATION", "CONTEXT", "MODIFIED"]
    assert any(row.startswith("smollm2:135m ") and "98.4 MB" in row for row in rows)
    names = [row.split()[0] for row in rows]
    assert ondol("ls", "--quiet").stdout.split() == names
    assert [m["name"] for m in ondol("list", "--json").json["models"]] == names


@pytest.mark.model
def test_show_tells_all_about_a_model(ondol, config) -> None:
    text = ondol("show", "smollm2:135m").stdout
    assert "Apache-2.0" in text and "Q4_1" in text and "sha256:" in text
    shown = ondol("show", "smollm2:135m", "--json").json
    assert shown["files"][0]["role"] == "weights" and shown["context_length"] == 8192
    assert ondol("show", "smollm2:135m", ONDOL_LANGUAGE="ko").stdout.startswith("이름: ")


@pytest.mark.model
def test_copy_takes_no_space_and_rm_says_what_it_freed(ondol, own_models: Path) -> None:
    assert ondol("cp", "smollm2:135m", "mine").stdout.strip().endswith("mine:latest.")
    first = ondol("rm", "mine", "--json").json
    assert first == {"removed": [{"name": "mine", "freed_bytes": 0}]}
    assert "98.4 MB" in ondol("rm", "smollm2:135m").stdout
    assert ondol("list", "--quiet").stdout == "all-minilm:l6-v2\n"


@pytest.mark.model
def test_rm_of_several_removes_those_before_the_wrong_one(ondol, own_models: Path) -> None:
    result = ondol("rm", "smollm2:135m", "nosuch")
    assert result.code == 3 and "smollm2:135m" in result.stdout and "nosuch" in result.stderr
    assert ondol("list", "--quiet").stdout == "all-minilm:l6-v2\n"


@pytest.mark.parametrize("command", [["show"], ["rm"], ["cp", "--", "nosuch"]])
def test_unknown_model_is_exit_code_3(ondol, command: list[str]) -> None:
    result = ondol(*command, "nosuch")
    assert result.code == 3 and "nosuch" in result.stderr


@pytest.mark.model
def test_near_names_are_offered(ondol, config) -> None:
    assert "smollm2:135m" in ondol("show", "smollm2:135").stderr


@pytest.fixture
def gguf(chat_model_file: Path, tmp_path: Path) -> Path:
    """The default chat model as a file that somebody has."""
    file = tmp_path / "my-model.gguf"
    file.symlink_to(chat_model_file)
    return file


@pytest.mark.model
def test_pull_of_a_file_lists_it_and_says_what_is_next(ondol, gguf: Path) -> None:
    result = ondol("pull", gguf.parent / "nosuch.gguf")
    assert result.code == 3 and "nosuch.gguf" in result.stderr
    result = ondol("pull", gguf, "--json")
    assert result.code == 0, result.stderr
    assert result.json["kind"] == "chat"
    assert ondol("list", "--quiet").stdout.strip() == result.json["name"]


@pytest.mark.model
def test_pull_notes_its_steps_where_nobody_watches(ondol, gguf: Path) -> None:
    result = ondol("pull", gguf)
    assert "98.4 MB" in result.stdout
    assert "verifying sha256 digest" in result.stderr and "ondol run" in result.stderr
    assert "\r" not in result.stderr
    assert ondol("pull", gguf, "--quiet").stderr == ""


@pytest.mark.model
def test_pull_draws_rate_and_time_left_on_a_terminal(config, gguf: Path) -> None:
    from terminal import Terminal

    with Terminal("pull", str(gguf), ONDOL_MODELS="") as person:
        said = person.wait_for(r"ondol run")
        assert person.wait() == 0
    assert "B/s" in said and "98.4M" in said.replace(" ", "")


def test_pull_without_a_network_is_a_sentence(ondol) -> None:
    result = ondol("pull", "http://127.0.0.1:9/model.gguf")
    assert result.code == 3 and result.stderr.count("error: ") == 1
    assert ondol("pull", "hf:owner/repo", ONDOL_OFFLINE="true").code == 6
    unknown = ondol("pull", "nosuch")
    assert unknown.code == 3 and "hint: " in unknown.stderr


def test_full_disk_during_a_pull_is_a_sentence(ondol, tmp_path: Path) -> None:
    import resource
    import signal
    import subprocess

    from terminal import COMMAND

    file = tmp_path / "big.gguf"
    file.write_bytes(b"GGUF" + bytes(200_000))

    def fill_the_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [*COMMAND, "pull", str(file)],
        preexec_fn=fill_the_disk,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "hint: " in done.stderr and "Traceback" not in done.stderr


def test_recommend_ranks_for_another_machine(ondol) -> None:
    models = ondol("recommend", "--ram", "8GB", "--json", "--limit", 3).json["models"]
    assert len(models) == 3 and all(m["fits"] == "ram" and m["why"] for m in models)
    small = ondol("recommend", "--ram", "1GB", "--json").json["models"]
    assert all(m["need_bytes"] < 2**30 for m in small)
    text = ondol("recommend", "--ram", "8GB")
    assert models[0]["name"] in text.stdout and "ondol pull" in text.stderr
    assert ondol("recommend", "--kind", "embedding", "--quiet").stdout.split()
    wrong = ondol("recommend", "--ram", "lots")
    assert wrong.code == 2 and "8GB" in wrong.stderr


def test_doctor_says_what_is_missing_and_ends_with_1(ondol) -> None:
    result = ondol("doctor", "--json")
    assert result.code == 1 and result.json["ok"] is False
    missing = [c for c in result.json["checks"] if c["name"] == "default models"]
    assert missing[0]["ok"] is False and "ondol pull" in missing[0]["hint"]


@pytest.mark.model
def test_doctor_is_content_with_a_whole_house(ondol, config) -> None:
    result = ondol("doctor", ONDOL_PORT="0")
    assert result.code == 0, result.stdout
    assert all(line[0] in "✓– " for line in result.stdout.splitlines())
    assert json.loads(ondol("doctor", "--json", ONDOL_PORT="0").stdout)["ok"] is True
