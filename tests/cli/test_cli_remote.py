"""What the server sends, as the house's own types and errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol import errors
from ondol.cli.remote import answer_of, error_of
from ondol.json import answer_json
from ondol.types import Answer, Confidence, Quote, Route, Seconds, Usage

seconds = st.floats(0, 1000).map(lambda x: round(x, 4))
quotes = st.builds(
    Quote,
    number=st.integers(1, 9),
    text=st.text(),
    source=st.text(),
    start=st.integers(0, 99),
    end=st.integers(0, 99),
    score=seconds,
    page=st.none() | st.integers(1, 9),
)
answers = st.builds(
    Answer,
    text=st.text(),
    quotes=st.lists(quotes, max_size=3).map(tuple),
    citations=st.lists(st.integers(1, 9)).map(tuple),
    confidence=st.none() | st.builds(Confidence, probability=seconds, signals=st.just({"a": 0.5})),
    route=st.sampled_from(Route),
    reasons=st.lists(st.text()).map(tuple),
    usage=st.builds(Usage, prompt_tokens=st.integers(0, 99), completion_tokens=st.integers(0, 99)),
    seconds=st.builds(Seconds, retrieve=seconds, first_token=st.none() | seconds, total=seconds),
    model=st.text(),
)


@given(answers)
def test_answer_survives_the_wire(answer: Answer) -> None:
    assert answer_of(answer_json(answer)) == answer


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("model_not_found", errors.ModelNotFoundError),
        ("engine_busy", errors.EngineBusyError),
        ("invalid_request", errors.UsageError),
        ("context_length_exceeded", errors.ContextLengthError),
        ("internal_error", errors.OndolError),
    ],
)
def test_error_is_raised_as_the_class_with_its_code(code: str, kind: type) -> None:
    error = error_of({"error": {"code": code, "message": "It broke.", "hint": "Mend it."}})
    assert type(error) is kind
    assert (error.code, error.message, error.hint) == (code, "It broke.", "Mend it.")


def test_error_with_an_unknown_code_keeps_it() -> None:
    error = error_of({"error": {"code": "from_the_future", "message": "It broke."}})
    assert error.code == "from_the_future" and error.exit_code == 1
    assert errors.OndolError.code == "internal_error"


@pytest.mark.parametrize("body", [None, "text", [], {}, {"error": "text"}, {"error": None}])
def test_body_that_is_no_error_is_one_still(body: object) -> None:
    assert error_of(body).message
