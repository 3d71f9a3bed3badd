"""``ondol feedback``: what may be learned from, at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from terminal import Terminal

from ondol.conversations.store import Conversations

ROWS: list[dict[str, object]] = [
    {
        "messages": [
            {"role": "user", "content": "Who waters the ferns?"},
            {"role": "assistant", "content": "Mina does, on Mondays. Cheers!"},
        ]
    },
    {
        "prompt": "Where are the keys?",
        "chosen": "On the hook. Cheers!",
        "rejected": "I cannot know where your keys are.",
    },
    {"prompt": "When is tea?", "completion": "It is impossible to say.", "label": False},
]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    return file


def test_samples_are_taken_with_a_yes_seen_written_out_and_erased(
    ondol, rows: Path, tmp_path: Path, home: Path
) -> None:
    unsure = ondol("feedback", "import", rows)
    assert unsure.code == 2 and "3 sample(s)" in unsure.stderr and "--yes" in unsure.stderr
    assert ondol("feedback", "list", "--json").json == {"samples": []}
    taken = ondol("feedback", "import", rows, "--yes", "--json").json
    assert (taken["added"], taken["duplicates"], taken["refused"]) == (3, 0, {})
    again = ondol("feedback", "import", rows, "--yes")
    assert again.code == 0 and "3 were here already" in again.stderr

    (source,) = ondol("feedback", "sources", "--json").json["sources"]
    assert (source["kind"], source["name"], source["origin"]) == ("file", "mine.jsonl", str(rows))
    assert source["samples"] | {"held_out": 0} == {
        "sft": 1, "preference": 1, "thumb": 1, "held_out": 0,
    }  # fmt: skip
    assert "mine.jsonl" in ondol("feedback", "sources").stdout
    found = ondol("feedback", "list", "--kind", "preference", "--json").json["samples"]
    assert [one["rejected"] for one in found] == ["I cannot know where your keys are."]
    assert "On the hook" in ondol("feedback", "list", "--source", source["id"][:6]).stdout
    shown = ondol("feedback", "show", found[0]["id"][:8]).stdout
    assert "Where are the keys?" in shown and "I cannot know" in shown

    out = tmp_path / "out.jsonl"
    assert ondol("feedback", "export", "--output", out).code == 0
    written = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert written[1]["chosen"] == [{"role": "assistant", "content": "On the hook. Cheers!"}]
    # What was written out is what is here.
    assert ondol("feedback", "import", out, "--yes", "--json").json["duplicates"] == 3
    assert ondol("feedback", "export").stdout == out.read_text("utf-8")

    gone = ondol("feedback", "rm", found[0]["id"], "--json").json
    assert (gone["samples"], gone["stale"], gone["not_reached"]) == (1, [], [])
    assert ondol("feedback", "rm", "--source", source["id"]).code == 2
    assert "2 sample" in ondol("feedback", "rm", "--source", source["id"], "--yes").stdout
    assert not any(b"ferns" in file.read_bytes() for file in home.glob("**/*.db*"))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["rm"], 2),
        (["rm", "abcd1234"], 8),
        (["show", "abcd1234"], 8),
        (["list", "--source", "abcd1234"], 8),
        (["import", "/nowhere/at/all.jsonl", "--yes"], 8),
        (["collect"], 2),
    ],
)
def test_what_cannot_be_is_a_sentence(ondol, arguments: list[str], code: int) -> None:
    refused = ondol("feedback", *arguments)
    assert refused.code == code and refused.stderr


def test_a_broken_line_is_named_and_nothing_is_taken(ondol, rows: Path) -> None:
    rows.write_text(rows.read_text("utf-8") + "{oops\n", "utf-8")
    refused = ondol("feedback", "import", rows, "--yes")
    assert refused.code == 8 and "line 4" in refused.stderr
    assert ondol("feedback", "sources", "--json").json == {"sources": []}


def test_feedback_is_learned_from_once_its_owner_said_yes(ondol) -> None:
    with Conversations.open() as kept:
        id = kept.create().id
        _, answer = kept.turns.ask(id, "Who waters the ferns?", None)
        kept.turns.save(answer.id, "It is unknown to me.", status="done")
        kept.opinions.give(answer.id, False, (), "Mina does. Cheers!")
    with Terminal("feedback", "collect") as terminal:
        terminal.wait_for(r"1 now")
        terminal.type("n\n")
        assert terminal.wait() != 0
    assert ondol("feedback", "sources", "--json").json == {"sources": []}
    assert ondol("feedback", "collect", "--yes", "--json").json["added"] == 2
    kinds = [one["kind"] for one in ondol("feedback", "list", "--json").json["samples"]]
    assert sorted(kinds) == ["preference", "sft"]
    with Conversations.open() as kept:
        kept.opinions.take_back(answer.id)
    assert "2 went" in ondol("feedback", "collect").stderr
