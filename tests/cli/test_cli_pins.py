"""``ondol pin``, ``pins``, ``unpin`` and what is asked of them, at the command line."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.model


def test_a_pinned_document_is_read_once_asked_and_unpinned(ondol, config, papers) -> None:
    assert ondol("add", papers).code == 0
    (file, *_) = sorted(papers.iterdir())
    pinned = ondol("pin", file, "--name", "paper")
    assert pinned.code == 0 and "ondol ask --pinned paper" in pinned.stderr
    (listed,) = ondol("pins", "--json").json["pins"]
    assert (listed["name"], listed["source"]) == ("paper", str(file))
    assert listed["state_bytes"] > 100_000
    answer = ondol("ask", "--pinned", "paper", "What is it about?", "--json").json
    assert "pinned" in answer["reasons"] and answer["sensitivity"] == "private"
    assert ondol("run", "--pinned", "paper", "Say it.", "--max-tokens", "4").code == 0
    assert "paper" in ondol("unpin", "paper").stdout
    gone = ondol("ask", "--pinned", "paper", "What is it about?")
    assert gone.code == 5 and "ondol pins" in gone.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["pin"],
        ["pin", "a.txt", "--collection", "notes"],
        ["pin", "unknown.txt"],
        ["unpin", "nothing"],
        ["ask", "--pinned", "x", "--home", "What?"],
        ["run", "--pinned", "x", "--system", "Be brief.", "Hello"],
    ],
)
def test_what_cannot_be_is_a_sentence(ondol, config, arguments: list[str]) -> None:
    refused = ondol(*arguments)
    assert refused.code in (2, 5) and refused.stdout == ""
    assert refused.stderr.count("\n") <= 4
