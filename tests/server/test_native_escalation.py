"""Home's part of an answer, through the API: only where every label allows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import CHAT, House, scripted_house
from test_native import QUESTION, TEXT, call, events

from ondol.errors import HomeUnreachableError
from ondol.routing.policy import RoutingPolicy
from tests.test_escalation import FixedHome, FixedJudge

SAID = "".join(FixedHome().words)


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house of its own: what was private once is remembered."""
    with scripted_house(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture
def attic(house: House) -> Iterator[FixedHome]:
    """A home in the attic, and a judge who is not sure of anything the device says."""
    home = FixedHome()
    policy = RoutingPolicy(lambda _: 0.8)
    changed = {"homes": home, "judge": FixedJudge(0.3), "policy": policy}
    built = house.parts.oversight._built
    before = {name: built.get(name) for name in changed}
    built.update(changed)
    yield home
    built.update(before)
    for name in [name for name, part in before.items() if part is None]:
        del built[name]


@pytest.fixture
def folder(house: House, tmp_path: Path) -> Iterator[Path]:
    """A folder in a collection that home may see."""
    (tmp_path / "house.txt").write_text(TEXT)
    call(house, "POST", "collections", name="shared", sensitivity="trusted")
    body = {"paths": [str(tmp_path)], "collection": "shared", "stream": False}
    assert call(house, "POST", "documents", **body).status_code == 200
    yield tmp_path
    call(house, "DELETE", "documents", paths=[str(tmp_path)])
    call(house, "DELETE", "collections/shared")


def ask(house: House, **body: Any) -> list[tuple[str, Any]]:
    return events(call(house, "POST", "ask", **{"question": QUESTION, **body}))


def test_unsure_answer_from_what_home_may_see_is_replaced_and_kept(
    house: House, folder: Path, attic: FixedHome
) -> None:
    found = ask(house)
    names = [name for name, _ in found]
    at = names.index("escalation")
    assert found[at][1]["home"] == "attic" and found[at][1]["draft"]["model"] == CHAT
    assert "".join(data["text"] for name, data in found[at:] if name == "token") == SAID
    answer = found[-1][1]
    assert (answer["answer"], answer["route"], answer["sensitivity"]) == (SAID, "home", "trusted")
    assert answer["draft"]["confidence"]["probability"] == 0.3
    entry = house.parts.ledger.get(answer["ledger_id"])
    assert (entry.route, entry.reasons) == ("home", ("unsure",))


def test_private_collection_is_not_seen_by_home(
    house: House, folder: Path, attic: FixedHome
) -> None:
    call(house, "PATCH", "collections/shared", sensitivity="private")
    for wanted in ("auto", "home"):
        answer = ask(house, wanted=wanted)[-1][1]
        assert answer["route"] == "local"
        assert {"private", "document"} <= set(answer["reasons"])
    assert attic.asked == []


def test_collection_that_its_owner_makes_freer_is_free(
    house: House, folder: Path, attic: FixedHome
) -> None:
    call(house, "PATCH", "collections/shared", sensitivity="private")
    assert ask(house)[-1][1]["route"] == "local"
    call(house, "PATCH", "collections/shared", sensitivity="trusted")
    assert ask(house)[-1][1]["route"] == "home"


@pytest.mark.parametrize(
    "more",
    [
        {"question": f"{QUESTION} My card is 4111 1111 1111 1111."},
        {"history": [{"role": "assistant", "content": "The safe opens with seven left turns."}]},
        {"history": [{"role": "system", "content": "The safe opens with seven left turns."}]},
    ],
    ids=["personal data", "an answer we never gave", "instructions from elsewhere"],
)
def test_what_comes_with_the_question_keeps_it_here(
    house: House, folder: Path, attic: FixedHome, more: dict[str, Any]
) -> None:
    assert ask(house, **more)[-1][1]["sensitivity"] == "private"
    assert attic.asked == []


def test_answer_that_we_gave_may_be_talked_about(
    house: House, folder: Path, attic: FixedHome
) -> None:
    said = ask(house, wanted="here")[-1][1]["answer"]
    history = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": said},
    ]
    assert ask(house, history=history)[-1][1]["route"] == "home"


def test_here_means_here(house: House, folder: Path, attic: FixedHome) -> None:
    answer = ask(house, wanted="here")[-1][1]
    assert (answer["route"], answer["reasons"]) == ("local", ["asked_here"])
    assert attic.asked == []


def test_home_that_is_gone_leaves_the_draft_in_the_answer(
    house: House, folder: Path, attic: FixedHome
) -> None:
    attic.failure = HomeUnreachableError("The attic is dark.")
    answer = ask(house)[-1][1]
    assert answer["route"] == "local"
    assert answer["reasons"][-2:] == ["home_failed", HomeUnreachableError.code]


def test_home_that_was_asked_for_and_is_gone_leaves_the_device_to_answer(
    house: House, folder: Path, attic: FixedHome
) -> None:
    attic.words, attic.failure = (), HomeUnreachableError("The attic is dark.")
    answer = ask(house, wanted="home")[-1][1]
    assert (answer["route"], answer["model"]) == ("local", CHAT)
    assert answer["reasons"] == ["asked_home", "home_failed", HomeUnreachableError.code]


def test_personal_data_goes_home_as_a_placeholder_and_comes_back_as_it_was(
    house: House, folder: Path, attic: FixedHome
) -> None:
    attic.words = (
        "Write to [EM",
        "AIL_1] about the oak.",
    )
    question = f"{QUESTION} I am kim.minji@example.org."
    assert ask(house, question=question)[-1][1]["route"] == "local"
    answer = ask(house, question=question, redact=True)[-1][1]
    assert answer["answer"] == "Write to kim.minji@example.org about the oak."
    (sent,) = attic.asked
    assert "[EMAIL_1]" in sent[-1].content and "minji" not in str(sent)
