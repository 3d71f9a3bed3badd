"""Personal data is taken out and put back, whatever the texts look like and however they stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.routing import personal_data
from ondol.routing.redaction import RedactingHome, Restorer, redact, restore
from ondol.types import (
    GenerateOptions,
    HomeState,
    Label,
    Message,
    Sensitivity,
    Token,
)

TRUSTED = Label(Sensitivity.TRUSTED)
VALUES = (
    "010-4821-9937",
    "０１０－１２３４－５６７８",
    "kim@posteo.net",
    "840217-1245311",
    "4532 0151 1283 0366",
    "sk-proj-Zk3v9QmT1xWc8LrB5nYp2HsD7gFj4KaE",
)
ORDINARY = (
    "번호는 ",
    "로 ",
    " 입니다. ",
    "[PHONE_1]",
    "[",
    "]",
    "PHONE_2]",
    "[EMAIL_1",
    "\n",
    "call ",
)


def user(text: str) -> Message:
    return Message("user", text)


def test_the_same_value_has_the_same_placeholder_in_every_message() -> None:
    redacted = redact(
        [
            user("010-4821-9937로 전화하고 kim@posteo.net 에도 써 줘"),
            Message("assistant", "010-4821-9937이지요?"),
            user("아니 010-1234-5678로"),
        ]
    )
    assert [message.content for message in redacted.messages] == [
        "[PHONE_1]로 전화하고 [EMAIL_1] 에도 써 줘",
        "[PHONE_1]이지요?",
        "아니 [PHONE_2]로",
    ]
    assert redacted.messages[1].role == "assistant"
    assert restore("[PHONE_1]으로 하세요", redacted.mapping) == "010-4821-9937으로 하세요"


def test_a_mapping_is_not_shown() -> None:
    assert "4821" not in repr(redact([user("010-4821-9937")]))


def test_a_text_cannot_forge_a_placeholder() -> None:
    redacted = redact([user("Print [PHONE_1] and [PHONE_2]."), user("Mine is 010-4821-9937.")])
    assert redacted.messages[1].content == "Mine is [PHONE_3]."
    assert restore("[PHONE_1] [PHONE_2]", redacted.mapping) == "[PHONE_1] [PHONE_2]"


def test_a_value_that_looks_like_a_placeholder_is_not_replaced_again() -> None:
    mapping = {"[SECRET_1]": "[PHONE_1]", "[PHONE_1]": "010-4821-9937"}
    assert restore("[SECRET_1]", mapping) == "[PHONE_1]"


messages = st.lists(
    st.lists(st.sampled_from(VALUES) | st.sampled_from(ORDINARY) | st.text(max_size=8), max_size=8)
    .map("".join)
    .map(user),
    max_size=4,
)


@given(messages)
def test_restoring_what_was_redacted_is_the_identity(given_messages: list[Message]) -> None:
    redacted = redact(given_messages)
    back = [restore(message.content, redacted.mapping) for message in redacted.messages]
    assert back == [message.content for message in given_messages]


@given(messages)
def test_nothing_that_was_found_is_left(given_messages: list[Message]) -> None:
    redacted = redact(given_messages)
    for value in redacted.mapping.values():
        for before, after in zip(given_messages, redacted.messages, strict=True):
            found = [before.content[f.start : f.end] for f in personal_data.find(before.content)]
            assert after.content.count(value) <= before.content.count(value) - found.count(value)


@given(messages, st.data())
def test_a_stream_is_restored_however_it_is_cut(
    given_messages: list[Message], data: st.DataObject
) -> None:
    redacted = redact(given_messages)
    for message in redacted.messages:
        restorer, text, said = Restorer(redacted.mapping), message.content, ""
        while text:
            cut = data.draw(st.integers(1, len(text)))
            said += restorer.feed(text[:cut])
            text = text[cut:]
        assert said + restorer.flush() == restore(message.content, redacted.mapping)


class Echo:
    """A home that repeats the question, a few characters at a time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.asked: Sequence[Message] = ()
        self.is_closed = False

    def state(self) -> HomeState | None:
        return HomeState("hearth", "big:70b", True)

    def generate(
        self, messages: Sequence[Message], options: GenerateOptions, *, label: Label
    ) -> Iterator[Token]:
        self.asked = messages
        text = messages[-1].content
        try:
            yield Token("[PHONE_", reasoning=True)
            yield Token("1]?", reasoning=True)
            for at in range(0, len(text), self.size):
                yield Token(text[at : at + self.size])
            yield Token("", finish_reason="stop")
        finally:
            self.is_closed = True


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_home_never_sees_the_value_and_the_owner_never_the_placeholder(size: int) -> None:
    echo = Echo(size)
    home = RedactingHome(echo)
    question = "call 010-4821-9937 [or [PHONE"
    tokens = list(home.generate([user(question)], GenerateOptions(), label=TRUSTED))
    assert echo.asked[0].content == "call [PHONE_1] [or [PHONE"
    assert "".join(token.text for token in tokens if not token.reasoning) == question
    assert "".join(token.text for token in tokens if token.reasoning) == "010-4821-9937?"
    assert tokens[-1].finish_reason == "stop"
    assert home.state() == echo.state()


def test_stopping_early_stops_the_home() -> None:
    echo = Echo(1)
    stream = RedactingHome(echo).generate([user("hello there")], GenerateOptions(), label=TRUSTED)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert echo.is_closed
