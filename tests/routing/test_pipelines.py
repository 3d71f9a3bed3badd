"""Random conversations over random documents: nothing that comes from a PRIVATE text ever travels.

The truth is kept beside the pipeline: which texts were made from something private. What the model
says is drawn: an echo, a paraphrase that shares no word, a summary of the conversation so far.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ondol import database
from ondol.folding import letters
from ondol.retrieval.private_text import PASSAGE_LETTERS, PrivateText
from ondol.routing.inspection import Inspector
from ondol.routing.redaction import redact, restore
from ondol.routing.sensitivity import PromptLabeller
from ondol.routing.taint import Spoken
from ondol.types import Evidence, Message, Quote, Sensitivity

PRIVATE, TRUSTED, PUBLIC = Sensitivity
WORDS = (
    "harbour lantern Brandauer clinic valve ferry 가게를 봄까지만 대출 연장을 은행 담당자가 "
    "quarrel surgeon Thursday gauge needle orchard 보증금은 계약을 임차인이 meadow sluice"
).split()
PERSONAL = ("010-4821-9937", "kim@posteo.net", "840217-1245311")


@dataclass(frozen=True)
class Text:
    """A text of a document; ``sensitivity`` is the strictest of its own and its collection's."""

    text: str
    sensitivity: Sensitivity


@dataclass
class Talk:
    """A conversation and its truth: which messages were made from something private."""

    labeller: PromptLabeller
    inspector: Inspector
    documents: list[Text]
    history: list[Message] = field(default_factory=list)
    tainted: set[str] = field(default_factory=set)
    sent: list[bytes] = field(default_factory=list)

    def is_tainted(self, message: Message) -> bool:
        return message.content in self.tainted


@contextmanager
def talk(documents: list[Text]) -> Iterator[Talk]:
    connection, lock = opened(), threading.RLock()
    try:
        for number, one in enumerate(documents):
            collection = f"c{number % 2}{one.sensitivity}"
            connection.execute(
                "INSERT OR IGNORE INTO collections VALUES (?, ?, '')",
                (collection, int(one.sensitivity) if number % 3 else int(PUBLIC)),
            )
            connection.execute(
                """INSERT INTO documents (source, content_hash, size_bytes, modified_ns, media_type,
                   title, collection, sensitivity, num_chunks, embedding_model, added_at)
                   VALUES (?, ?, 0, 0, '', '', ?, ?, 1, '', '')""",
                (f"d{number}", f"h{number}", collection, int(one.sensitivity)),
            )
            connection.execute(
                """INSERT INTO chunks (document_id, start, "end", heading, text)
                   VALUES (last_insert_rowid(), 0, ?, '', ?)""",
                (len(one.text), one.text),
            )
        labeller = PromptLabeller(Spoken(connection, lock), PrivateText(connection, lock).find)
        yield Talk(labeller, Inspector(labeller.holds_private), documents)
    finally:
        for table in ("chunks", "documents", "collections", "spoken", "spoken_passages", "limits"):
            connection.execute(f"DELETE FROM {table}")


@cache
def opened() -> Any:
    """One database for all examples: making one takes longer than a conversation."""
    return database.connect(database.IN_MEMORY)


sentences = st.lists(st.sampled_from(WORDS), min_size=10, max_size=20)


@st.composite
def libraries(draw: st.DrawFn) -> list[Text]:
    """Documents that share no passage: each word carries its document's number."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        said = [f"{word}{number}" for word in draw(sentences)]
        sensitivity = draw(st.sampled_from(list(Sensitivity)))
        if draw(st.booleans()):
            said.insert(3, draw(st.sampled_from(PERSONAL)))
        found.append(Text(" ".join(said), sensitivity))
    return found


def passage(draw: Any, text: str) -> str:
    """At least ``PASSAGE_LETTERS`` of ``text``, in some disguise."""
    start = draw(st.integers(0, max(0, len(text) // 3)))
    cut = text[start:] if len(letters(text[start:])) >= PASSAGE_LETTERS else text
    while len(letters(cut[:-1])) >= PASSAGE_LETTERS and draw(st.booleans()):
        cut = cut[:-1]
    return str(draw(st.sampled_from([str, str.upper, " ".join, "\u200b".join]))(cut))


def ask_once(draw: Any, talk: Talk) -> None:
    """A turn: a question, what was found, a label, a prompt that may travel, an answer."""
    question = "What about it?" if draw(st.booleans()) else draw(st.sampled_from(PERSONAL))
    is_private = False
    for text, tainted in (
        *((one.text, one.sensitivity is PRIVATE) for one in talk.documents),
        *((m.content, talk.is_tainted(m)) for m in talk.history if m.role == "assistant"),
    ):
        if draw(st.integers(0, 5)) == 0 and len(letters(text)) >= PASSAGE_LETTERS:
            question += " " + passage(draw, text)
            is_private |= tainted
    given_now = [one for one in talk.documents if draw(st.integers(0, 2)) == 0]
    quotes = tuple(
        Quote(n, one.text, f"d{n}", 0, len(one.text), 1.0, sensitivity=one.sensitivity)
        for n, one in enumerate(given_now, 1)
    )
    redacting = draw(st.booleans())
    label = talk.labeller.label(
        question, Evidence(quotes=quotes), talk.history, redacting=redacting
    )
    from_private = any(one.sensitivity is PRIVATE for one in given_now) or any(
        map(talk.is_tainted, talk.history)
    )
    texts = [question, *(one.text for one in given_now), *(m.content for m in talk.history)]
    is_personal = any(value in text for value in PERSONAL for text in texts)
    if from_private or is_private or (is_personal and not redacting):
        assert label.sensitivity is PRIVATE, (label, question, talk.history)
    prompt = [
        *talk.history,
        Message("user", "\n".join([*(quote.text for quote in quotes), question])),
    ]
    redacted = redact(prompt)
    assert [restore(m.content, redacted.mapping) for m in redacted.messages] == [
        m.content for m in prompt
    ]
    if label.sensitivity >= TRUSTED:
        out = redacted.messages if redacting else prompt
        body = json.dumps([m.content for m in out]).encode()
        assert talk.inspector(b"POST https://home.lan/v1/chat\r\n\r\n" + body) is not PRIVATE
        talk.sent.append(body)
    before = [m.content for m in talk.history]
    answer = draw(
        st.sampled_from(
            [
                f"Turn {len(talk.history)}: {quotes[0].text}" if quotes else "I do not know.",
                f"It follows in {len(talk.history)} words: no {draw(st.integers(0, 9**9))}.",
                " / ".join([*before, question]),
            ]
        )
    )
    talk.labeller.remember(answer, label.sensitivity)
    rewritten = f"Rewritten {len(talk.history)}: {question}"
    talk.labeller.remember(rewritten, label.sensitivity)
    if label.sensitivity is PRIVATE:
        talk.tainted |= {answer, rewritten}
    talk.history += [Message("user", question), Message("assistant", answer)]
    if is_private:
        talk.tainted.add(question)
    if draw(st.integers(0, 4)) == 0:
        # A client goes on from a rewritten question, or from its own words for all of it.
        own = Message("assistant", draw(st.sampled_from([rewritten, "In short: a boat."])))
        if own.content not in talk.tainted and own.content.startswith("In short"):
            talk.tainted.add(own.content)
        talk.history = [own]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), documents=libraries())
def test_nothing_private_ever_travels(data: st.DataObject, documents: list[Text]) -> None:
    with talk(documents) as conversation:
        for _ in range(data.draw(st.integers(1, 4))):
            ask_once(data.draw, conversation)
        secrets = [letters(one.text) for one in documents if one.sensitivity is PRIVATE]
        for body in conversation.sent:
            plain = letters(json.loads(body)[-1])
            assert not any(
                secret[at : at + PASSAGE_LETTERS] in plain
                for secret in secrets
                for at in range(len(secret) - PASSAGE_LETTERS + 1)
            )
