"""The format of packs: what a folder has to be, and that nothing else is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.errors import HubError, InvalidPackError
from ondol.hub.card import Card
from ondol.hub.packs import format, questions
from ondol.hub.packs.questions import Question

EXAMPLE = Path(__file__).parents[2] / "examples" / "packs" / "typography"
WHOLE: dict[str, Any] = {
    "format": 1,
    "name": "typography",
    "version": "1.0",
    "field": "print",
    "title": "Print",
    "description": "About print.",
    "not_for": "Not for law.",
    "licence": "CC0-1.0",
    "source": "Ours.",
    "languages": ["en"],
    "instructions": "Be brief.",
    "model": {"name": "tiny:1m", "digest": f"sha256:{'a' * 64}"},
}


def folder(place: Path, files: dict[str, str | bytes] | None = None, **changes: Any) -> Path:
    said = {k: v for k, v in (WHOLE | changes).items() if v is not None}
    lines = [f"{k} = {json.dumps(v)}" for k, v in said.items() if not isinstance(v, dict)]
    for name, table in said.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items())]
    place.mkdir(exist_ok=True)
    (place / "pack.toml").write_text("\n".join(lines), encoding="utf-8")
    for name, content in (files or {}).items():
        data = content.encode() if isinstance(content, str) else content
        (place / name).write_bytes(data)
    return place


def test_the_example_is_a_pack_and_its_card_is_one() -> None:
    pack = format.read(EXAMPLE)
    assert pack.name == "typography" and len(pack.glossary.terms) > 40
    assert len(pack.questions) > 40 and pack.prompts and pack.not_for
    card = Card.of(json.loads(json.dumps(pack.card().json())))
    assert card.kind == "pack" and card.files["pack.toml"] == "pack"
    assert pack.not_for in card.description


def test_a_desktops_own_files_are_left_out(tmp_path: Path) -> None:
    pack = format.read(folder(tmp_path / "p", {".DS_Store": b"\0", "README.md": "Hello"}))
    assert sorted(pack.files) == ["README.md", "pack.toml"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": 2}, "format = 2"),
        ({"title": None}, "title"),
        ({"not_for": ""}, "not_for"),
        ({"licence": "x" * 201}, "licence"),
        ({"name": "../evil"}, "evil"),
        ({"version": "v1"}, "v1"),
        ({"languages": []}, "languages"),
        ({"languages": [1]}, "languages"),
        ({"script": "rm"}, "script"),
        ({"channel": "nightly"}, "channel"),
        ({"min_ondol": "new"}, "new"),
        ({"model": "tiny"}, "model"),
        ({"model": {"digest": "x"}}, "model"),
        ({"model": {"name": "tiny", "digest": "md5:1"}}, "model.digest"),
        ({"model": {"name": "tiny", "url": "x"}}, "model.url"),
        ({"prompts": "a"}, "prompts"),
        ({"measured": {"n": [1]}}, "measured"),
        ({"description": "\u202e"}, "description"),
        ({"instructions": None}, "nothing in this pack"),
    ],
)
def test_what_pack_toml_may_not_say(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(HubError) as error:
        format.read(folder(tmp_path / "p", **changes))
    assert told in error.value.message


@pytest.mark.parametrize("option", ["temperature = 'hot'", "num_gpu = 1", "command = 'x'"])
def test_parameters_are_those_of_models(tmp_path: Path, option: str) -> None:
    place = folder(tmp_path / "p")
    with (place / "pack.toml").open("a") as file:
        file.write(f"\n[model.parameters]\n{option}\n")
    with pytest.raises(InvalidPackError):
        format.read(place)


@pytest.mark.parametrize(
    ("prompts", "told"),
    [
        ('[[prompts]]\nname = "a"\ntext = "b"\n' * 2, "twice"),
        ('[[prompts]]\nname = "a"', "prompts.text"),
        ('[[prompts]]\nname = "a"\ntext = "b"\nrun = "c"', "prompts.run"),
    ],
)
def test_prompts_have_a_name_of_their_own_and_a_text(
    tmp_path: Path, prompts: str, told: str
) -> None:
    place = folder(tmp_path / "p")
    with (place / "pack.toml").open("a") as file:
        file.write(f"\n{prompts}\n")
    with pytest.raises(InvalidPackError, match=told):
        format.read(place)


@pytest.mark.parametrize("name", ["run.py", "model.gguf", "PACK.TOML", "notes.txt"])
def test_other_files_are_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidPackError, match="no file of a pack"):
        format.read(folder(tmp_path / "p", {name: "x"}))


def test_folders_and_links_are_refused(tmp_path: Path) -> None:
    place = folder(tmp_path / "p")
    (place / "README.md").symlink_to("/etc/hostname")
    with pytest.raises(InvalidPackError, match="ordinary"):
        format.read(place)
    (place / "README.md").unlink()
    (place / "LICENSE").mkdir()
    with pytest.raises(InvalidPackError, match="ordinary"):
        format.read(place)
    with pytest.raises(InvalidPackError, match="no folder"):
        format.read(tmp_path / "nothing")
    with pytest.raises(InvalidPackError, match=r"pack\.toml is missing"):
        format.read(tmp_path)
    with pytest.raises(InvalidPackError, match=r"pack\.toml is missing"):
        format.check({})


def test_texts_are_texts_and_bounded(tmp_path: Path) -> None:
    with pytest.raises(InvalidPackError, match="UTF-8"):
        format.read(folder(tmp_path / "p", {"README.md": b"\xff\xfe"}))
    with pytest.raises(InvalidPackError, match="larger"):
        format.read(folder(tmp_path / "p", {"README.md": b" " * (format.MOST_BYTES + 1)}))


def test_numbers_without_end_are_no_toml(tmp_path: Path) -> None:
    place = folder(tmp_path / "p")
    with (place / "pack.toml").open("a") as file:
        file.write(f"\n[measured]\nn = {'9' * 10_000}\n")
    with pytest.raises(InvalidPackError, match="cannot be read"):
        format.read(place)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_whatever_pack_toml_is_it_is_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    place = tmp_path_factory.mktemp("p")
    (place / "pack.toml").write_bytes(raw)
    with pytest.raises(HubError):
        format.read(place)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"question": "q", "answer": "a"}, "neither"),
        ({"question": "Is it 12?", "answer": "12", "expects": ["12"]}, "repeats"),
        ({"question": "q", "answer": "b", "expects": ["a"]}, "own answer"),
        ({"question": "q", "answer": "a", "wrong": ["a"]}, "own answer"),
        ({"question": "q", "answer": "a b", "expects": ["a"], "avoids": ["b"]}, "own answer"),
        ({"question": "", "answer": "a", "wrong": ["b"]}, "question"),
    ],
)
def test_questions_that_decide_nothing_are_refused(
    tmp_path: Path, fields: dict[str, Any], told: str
) -> None:
    place = folder(tmp_path / "p", {"evaluation.jsonl": json.dumps(fields)})
    with pytest.raises(InvalidPackError, match=told):
        format.read(place)


@pytest.mark.parametrize(
    ("said", "is_right"),
    [
        ("A pica has 12 points.", True),
        ("It is TWELVE, or ’twelve’.", True),
        ("There are 123 points.", False),
        ("12, or perhaps 6.", False),
        ("", False),
    ],
)
def test_a_written_answer_is_right_by_whole_words(said: str, is_right: bool) -> None:
    question = Question("How many?", "12", ("12", "twelve"), ("6",))
    assert question.is_right(said) is is_right
    assert Question("?", "행간", ("행간",)).is_right("그것은 행간입니다.")
    assert not Question("?", "행간", ("행간",)).is_right("자간입니다.")


def test_questions_are_bounded(tmp_path: Path) -> None:
    line = json.dumps({"question": "q", "answer": "a", "wrong": ["b"]})
    file = tmp_path / "evaluation.jsonl"
    file.write_text("\n".join([line] * (questions.MOST_QUESTIONS + 1)))
    with pytest.raises(InvalidPackError, match="more than"):
        questions.read(file)
