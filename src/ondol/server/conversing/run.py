"""One run: an answer that is being given in a conversation, whoever listens.

It has a thread of its own. Its events are numbered, so that a client that comes back hears what it
missed; what is said is kept in the conversation while it grows, so that nothing is lost with the
process.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import Any

from ondol.answering import shown
from ondol.ask import Event
from ondol.conversations.records import Message, Status
from ondol.conversations.rows import new_id
from ondol.conversations.store import Conversations
from ondol.errors import OndolError
from ondol.json import answer_json, escalation_json, evidence_json
from ondol.prompt import citations
from ondol.server.conversing.confirming import Confirmations
from ondol.server.conversing.remembering import Noted
from ondol.server.errors import body_in, failure_of
from ondol.server.streaming import Source, StoppedError
from ondol.tooling import ToolUse
from ondol.types import Answer, Escalation, Evidence, Route, Seconds, Token, Usage

# What is said is kept at least so often while it is being said.
SAVE_SECONDS = 1.0
STOP_SECONDS = 10.0
# Of what a tool gave so many letters are kept with the answer.
LONGEST_KEPT = 2000

Item = tuple[int, str, dict[str, Any]]


class Run:
    """One answer on its way. ``items`` are its events: a number from 1 on, a name and data."""

    def __init__(
        self,
        conversations: Conversations,
        message: Message,
        source: Source[Event | ToolUse | Noted],
        num_quotes: int,
        present: Callable[[set[str]], set[str]],
        confirmations: Confirmations | None = None,
    ) -> None:
        self.id = new_id()
        self.conversation = message.conversation
        self.message = message
        self.has_ended = False
        self.ended_at = 0.0
        self._conversations = conversations
        self._source = source
        self._num_quotes = num_quotes
        self._present = present
        self.confirmations = confirmations or Confirmations(set())
        self._items: list[Item] = []
        self._lock = threading.Lock()
        self._listeners: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._text = message.content
        self._quotes = Evidence()
        self._draft: Answer | None = None
        self._uses: dict[str, dict[str, Any]] = {}
        self._noted: Noted | None = None
        self._answer: dict[str, Any] | None = dict(message.answer) if message.answer else None
        self._finish_reason = ""
        self._saved_at = 0.0
        self._is_stopping = False
        work = partial(copy_context().run, self._work)
        self._thread = threading.Thread(target=work, name="ondol-run", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> Message:
        """Stop, and keep what was said; the message as it is then."""
        self._is_stopping = True
        self.confirmations.close()
        self._source.stop()
        self._thread.join(STOP_SECONDS)
        return self.message

    def after(self, number: int) -> list[Item]:
        """The events that follow event ``number``."""
        with self._lock:
            return self._items[max(0, number) :]

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever something happens. Call where a loop runs."""
        happened = asyncio.Event()
        with self._lock:
            self._listeners[happened] = asyncio.get_running_loop()
        try:
            yield happened
        finally:
            with self._lock:
                self._listeners.pop(happened, None)

    def _work(self) -> None:
        error: dict[str, Any] | None = None
        try:
            self._save()
            for event in self._source:
                self._take(event)
        except StoppedError:
            self._finish_reason = "cancelled"
        except Exception as caught:
            if not self._is_stopping:
                error = body_in("native", failure_of(caught))
                self._tell("error", error)
        self._end(error["error"] if error else None)

    def _take(self, event: Event | ToolUse | Noted) -> None:
        if isinstance(event, Token):
            if event.finish_reason is not None:
                self._finish_reason = event.finish_reason
            if not event.reasoning:
                self._text += event.text
            if event.text:
                self._tell("token", {"text": event.text, "reasoning": event.reasoning})
            if time.monotonic() - self._saved_at >= SAVE_SECONDS:
                self._save()
        elif isinstance(event, ToolUse):
            self._uses[event.id] = replace(event, text=event.text[:LONGEST_KEPT]).json()
            self._tell("tool_call", event.json())
        elif isinstance(event, Noted):
            self._noted = event
            self._tell("memory", event.json())
        elif isinstance(event, Evidence):
            self._quotes = event
            self._tell("evidence", evidence_json(event))
            self._save()
        elif isinstance(event, Escalation):
            # What follows is home's; what was said until here is the draft.
            self._text, self._draft, self._finish_reason = "", event.draft, ""
            self._tell("escalation", escalation_json(event))
            self._save()
        else:
            self._text = event.text
            self._answer = answer_json(event) | {"finish_reason": self._finish_reason or "stop"}
            if "cancelled" in event.reasons:
                self._finish_reason = "cancelled"
            self._tell("answer", self._answer)

    def _save(self) -> None:
        """What there is by now. A disk that is full ends no answer; the last one that is written
        says so."""
        self._saved_at = time.monotonic()
        if self._answer is None or not self._answer.get("ledger_id"):
            self._answer = self._partial()
        with suppress(OndolError):
            if self._conversations.turns.save(self.message.id, self._text, self._answer) is None:
                # The conversation has been deleted.
                self._is_stopping = True
                self._source.stop()

    def _partial(self) -> dict[str, Any] | None:
        """What is known of an answer before it is one."""
        quotes = shown(self._quotes.quotes, self._num_quotes)
        if not quotes and self._draft is None:
            return self._answer
        answer = Answer(
            text=self._text,
            quotes=quotes,
            citations=citations(self._text, quotes),
            confidence=None,
            route=Route.LOCAL,
            reasons=(),
            usage=Usage(),
            seconds=Seconds(0.0, None, 0.0),
            sensitivity=self._quotes.sensitivity,
            draft=self._draft,
        )
        return answer_json(answer)

    def _end(self, error: dict[str, Any] | None) -> None:
        was_cut = self._finish_reason == "cancelled"
        was_cut = was_cut or (self._is_stopping and not self._has_answer())
        status: Status = "failed" if error else "stopped" if was_cut else "done"
        said = self._answer if self._has_answer() else self._partial()
        if said is not None and self._uses:
            said = {**said, "tool_calls": list(self._uses.values())}
        if said is not None and self._noted:
            said = {**said, **self._noted.kept()}
        if said is not None and was_cut:
            said = {**said, "finish_reason": "cancelled"}
        end: dict[str, Any] = {"message": None}
        try:
            kept = self._conversations.turns.save(
                self.message.id, self._text, said, status=status, error=error
            )
            if kept is not None and (gone := self._forgotten()):
                self._conversations.quoting.forget(gone)
                self._conversations.place.erase()
                kept = self._conversations.turns.get(self.conversation, self.message.id)
            if kept is not None:
                self.message = kept
                end = {"message": kept.json()}
        except Exception as caught:
            self._tell("error", body_in("native", failure_of(caught)))
        self._tell("end", end, is_last=True)

    def _forgotten(self) -> set[str]:
        """What the answer quotes of documents that were forgotten while it was given."""
        quoted = self._conversations.quoting.sources(self.message.id)
        return quoted - self._present(quoted) if quoted else quoted

    def _has_answer(self) -> bool:
        return any(name == "answer" for _, name, _ in self._items)

    def _tell(self, name: str, data: dict[str, Any], *, is_last: bool = False) -> None:
        with self._lock:
            self._items.append((len(self._items) + 1, name, data))
            self.has_ended, self.ended_at = is_last, time.monotonic()
            listeners = list(self._listeners.items())
        for happened, loop in listeners:
            # Whose loop is closed listens no more.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(happened.set)
