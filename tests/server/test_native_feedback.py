"""``POST /ondol/v1/feedback``: a thumb over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from house import House
from test_native import call

from ondol import database
from ondol.confidence.outcomes import Outcomes
from ondol.place import Place
from ondol.types import Answer, Confidence, Route, Seconds, Usage

CONFIDENCE = Confidence(0.7, {"mean_logprob": -0.5})
PLAIN = Answer("", (), (), CONFIDENCE, Route.LOCAL, (), Usage(), Seconds(0, None, 0), "tiny")


@pytest.fixture
def outcomes(house: House) -> Iterator[Outcomes]:
    """Two answers that were given, in a database of the test's own."""
    connection = database.connect(database.IN_MEMORY)
    with Outcomes(Place(lambda: connection)) as found:
        for id in ("aaaa1111", "bbbb2222"):
            found.note(replace(PLAIN, ledger_id=id), "sha256:1", "grounded")
        house.parts.oversight._built["outcomes"] = found
        yield found
        del house.parts.oversight._built["outcomes"]


def test_a_thumb_is_kept(house: House, outcomes: Outcomes) -> None:
    response = call(house, "POST", "feedback", id="aaaa", right=True)
    assert response.status_code == 200
    body = response.json()
    assert (body["ledger_id"], body["right"], body["probability"]) == ("aaaa1111", True, 0.7)
    assert call(house, "POST", "feedback", right=False).json()["ledger_id"] == "bbbb2222"
    assert outcomes.counts() == [("tiny", "sha256:1", "grounded", 1, 1)]
    assert call(house, "POST", "feedback", id="aaaa", right=None).json()["right"] is None


@pytest.mark.parametrize(
    ("body", "param"), [({"id": "cccc", "right": True}, "id"), ({"id": "aaaa"}, "right")]
)
def test_what_cannot_be_judged_names_the_field(
    house: House, outcomes: Outcomes, body: dict, param: str
) -> None:
    response = call(house, "POST", "feedback", **body)
    assert response.status_code == 422 and response.json()["error"]["param"] == param
