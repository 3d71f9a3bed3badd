"""A model's reply in a chat: passed on token by token, judged and in the ledger when it ends.

A chat is answered here unless home is wanted and may be asked; what is written down says so, and
what was said keeps its label for later turns. One with tools or images never leaves. A reply that
is cut short stands in the ledger too: it took time and energy.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from ondol.answering import about_tokens, gather
from ondol.errors import LockedError, StorageError
from ondol.trust import LOGPROBS, Trust, of_an_adapter
from ondol.types import (
    Answer,
    Completion,
    Decision,
    Evidence,
    GenerateOptions,
    Heard,
    Label,
    Message,
    Route,
    Seconds,
    Token,
    Tool,
    Usage,
    Wanted,
)

FOLDED = "history_folded"
"""The reason of an answer to a chat whose beginning was given to the model in excerpts."""
# How an answer ends that was not cut off.
WHOLE = ("stop", "length", "tool_calls")

Start = Callable[[GenerateOptions], Iterator[Token]]


class Reply:
    """An iterator over the tokens of one reply of ``model`` to ``messages``. ``start`` begins the
    generation here; with ``wanted`` "home" home is asked instead where its rules and ours allow,
    and ``decision`` says so. What is said here with an adapter that ``is_personal`` is private.
    ``before`` is what the owner's own model begins with: here its engine knows it, home is told it,
    and it counts as the owner's words. ``answer`` is there once the tokens have ended. ``close``
    stops it, from any thread. Raises what the engine and home raise."""

    def __init__(
        self,
        start: Start,
        messages: Sequence[Message],
        options: GenerateOptions,
        trust: Trust,
        model: str,
        wanted: Wanted = "here",
        *,
        is_personal: bool = False,
        before: Sequence[Message] = (),
    ) -> None:
        self._is_personal = is_personal
        self.answer: Answer | None = None
        self._messages = messages
        has_system = any(message.role == "system" for message in messages)
        self._before = () if has_system else before
        self._trust = trust
        self._model = model
        self._said: list[Token] = []
        self._started = time.perf_counter()
        self._first: float | None = None
        self._lock = threading.Lock()
        self._recording = trust.start("chat")
        self._logprobs = options.logprobs
        self._label: Label | None = None
        self.decision = Decision(Route.LOCAL)
        self._tools = options.tools if options.tool_choice != "none" else ()
        if wanted == "home" and (why := self._stays()):
            self.decision = Decision(Route.LOCAL, ("asked_home", why))
        elif wanted == "home":
            self._label = self._labelled()
            self.decision = trust.decide(
                None,
                self._label,
                wanted=wanted,
                task="chat",
                answered=False,
                prompt_tokens=about_tokens(*(m.content for m in (*self._before, *messages))),
            )
        self._ahead: tuple[Label, object] | None = None
        self._heard: Sequence[Heard] | None = None
        self._tokens = self._begin(start, options)
        # What it takes to know the label costs nobody time then.
        if (meanwhile := getattr(self._tokens, "meanwhile", None)) is not None:
            meanwhile(self._look_ahead)

    def _stays(self) -> str:
        """What in it is answered here, whatever is wanted; or ""."""
        if self._tools or any(m.tool_calls or m.role == "tool" for m in self._messages):
            return "tools"
        return "images" if any(message.images for message in self._messages) else ""

    def _begin(self, start: Start, options: GenerateOptions) -> Iterator[Token]:
        home = self._trust.home
        if self.decision.route is Route.HOME and home is not None and self._label is not None:
            state = home.state()
            self._model = f"{state.name}/{state.model}" if state else self._model
            away = replace(options, adapters={}, logit_bias={})
            return home.generate([*self._before, *self._messages], away, label=self._label)
        if self._trust.judge is not None:
            options = replace(options, logprobs=max(LOGPROBS, options.logprobs or 0))
        return start(options)

    def __iter__(self) -> Iterator[Token]:
        return self

    def __next__(self) -> Token:
        try:
            token = next(self._tokens)
        except StopIteration:
            self._finish()
            raise
        if self._first is None and (token.text or token.tool_call):
            self._first = time.perf_counter() - self._started
        self._said.append(token)
        if token.finish_reason is not None:
            self._hear()
        return self._as_asked(token)

    @property
    def route(self) -> Route:
        """Who answers."""
        return self.decision.route

    def close(self) -> None:
        """Stop the generation."""
        close = getattr(self._tokens, "close", None)
        if close is not None:
            close()
        if self._said:
            self._finish()

    def _as_asked(self, token: Token) -> Token:
        """Without what only the judge wanted to know."""
        if token.logprob is None and not token.top:
            return token
        if self._logprobs is None:
            return replace(token, logprob=None, top=())
        return replace(token, top=token.top[: self._logprobs])

    def _finish(self) -> None:
        with self._lock:
            if self.answer is not None:
                return
            is_whole = bool(self._said) and self._said[-1].finish_reason in WHOLE
            completion = gather(self._said)
            reasons = self.decision.reasons
            # All of the chat is labelled, whatever of it was folded.
            reasons += (FOLDED,) if getattr(self._tokens, "num_folded", 0) else ()
            reasons += ("tool_calls",) if completion.tool_calls else ()
            reasons += () if is_whole else ("cancelled",)
            usage = completion.usage
            if usage == Usage():
                usage = Usage(completion_tokens=len(self._said))
            answer = self._judged(completion, usage, reasons)
            decision = replace(self.decision, reasons=reasons)
            label = self._of_answer(self._label or self._labelled())
            self.answer = self._trust.close(self._recording, answer, decision, label, self._heard)

    def _look_ahead(self) -> None:
        # What goes wrong here goes wrong again where it is told.
        with suppress(Exception):
            if self._label is None:
                stamp = self._trust.stamp()
                self._ahead = self._labelled(), stamp

    def _hear(self) -> None:
        """Whoever has the last word may ask on with it at once: its label is known before, and what
        is written down of the answer after. A document may have become private while the model
        thought: the label that was made meanwhile holds only where nothing has changed."""
        with suppress(StorageError, LockedError):
            if self._label is None and self._ahead and self._ahead[1] == self._trust.stamp():
                self._label = self._ahead[0]
            self._label = self._label or self._labelled()
            self._heard = self._trust.hear(gather(self._said).text, self._of_answer(self._label))

    def _of_answer(self, label: Label) -> Label:
        is_private = self._is_personal and self.decision.route is not Route.HOME
        return of_an_adapter(label) if is_private else label

    def _labelled(self) -> Label:
        """Of a conversation that may also end in a tool's result, or in an answer to be continued:
        only what the user says is a question."""
        own = [replace(message, role="user") for message in self._before]
        history = [*own, *_spoken(self._messages, self._tools)]
        if history and history[-1].role == "user":
            return self._trust.label(history[-1].content, Evidence(), history[:-1])
        return self._trust.label("", Evidence(), history)

    def _judged(self, completion: Completion, usage: Usage, reasons: tuple[str, ...]) -> Answer:
        total = time.perf_counter() - self._started
        answer = Answer(
            text=completion.text,
            quotes=(),
            citations=(),
            confidence=None,
            route=self.decision.route,
            reasons=reasons,
            usage=usage,
            seconds=Seconds(0.0, self._first, total),
            model=self._model,
        )
        if "cancelled" in reasons or self.decision.route is Route.HOME or completion.tool_calls:
            return answer
        asked = _asked(self._messages)
        return self._trust.judged(answer, asked, Evidence(), (), completion, "chat")


def _spoken(messages: Sequence[Message], tools: Sequence[Tool]) -> Iterator[Message]:
    """``messages``, and what else is read: what programs say of their tools, and what a model
    called them with. Neither are the user's words."""
    if tools:
        described = (f"{o.name} {o.description} {json.dumps(dict(o.parameters))}" for o in tools)
        yield Message("system", "\n".join(described))
    for message in messages:
        for call in message.tool_calls:
            yield Message("assistant", call.arguments)
        yield message


def _asked(messages: Sequence[Message]) -> str:
    """What the user said last, and tools may have answered since."""
    if messages and messages[-1].role != "tool":
        return messages[-1].content
    return next((m.content for m in reversed(messages) if m.role == "user"), "")
