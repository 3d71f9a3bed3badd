"""A model's reply in a chat: passed on token by token, judged and in the ledger when it ends.

A chat is answered here unless home is wanted and may be asked; what is written down says so, and
what was said keeps its label for later turns. A reply that is cut short stands in the ledger too:
it took time and energy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ondol.answering import about_tokens, gather
from ondol.trust import LOGPROBS, Trust
from ondol.types import (
    Answer,
    Completion,
    Decision,
    Evidence,
    GenerateOptions,
    Label,
    Message,
    Route,
    Seconds,
    Token,
    Usage,
    Wanted,
)

Start = Callable[[GenerateOptions], Iterator[Token]]


class Reply:
    """An iterator over the tokens of one reply of ``model`` to ``messages``. ``start`` begins the
    generation here; with ``wanted`` "home" home is asked instead where its rules and ours allow,
    and ``decision`` says so. ``answer`` is there once the tokens have ended. ``close`` stops it,
    from any thread. Raises what the engine and home raise."""

    def __init__(
        self,
        start: Start,
        messages: Sequence[Message],
        options: GenerateOptions,
        trust: Trust,
        model: str,
        wanted: Wanted = "here",
    ) -> None:
        self.answer: Answer | None = None
        self._messages = messages
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
        if wanted == "home":
            self._label = _label(trust, messages)
            self.decision = trust.decide(
                None,
                self._label,
                wanted=wanted,
                task="chat",
                answered=False,
                prompt_tokens=about_tokens(*(message.content for message in messages)),
            )
        self._tokens = self._begin(start, options)

    def _begin(self, start: Start, options: GenerateOptions) -> Iterator[Token]:
        home = self._trust.home
        if self.decision.route is Route.HOME and home is not None and self._label is not None:
            state = home.state()
            self._model = f"{state.name}/{state.model}" if state else self._model
            away = replace(options, adapters={}, logit_bias={})
            return home.generate(self._messages, away, label=self._label)
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
        if self._first is None and token.text:
            self._first = time.perf_counter() - self._started
        self._said.append(token)
        return self._as_asked(token)

    def close(self) -> None:
        """Stop the generation."""
        close = getattr(self._tokens, "close", None)
        if close is not None:
            close()
        if self._said:
            self._finish()

    def _as_asked(self, token: Token) -> Token:
        """Without what only the judge wanted to know."""
        if self._logprobs is None:
            return replace(token, logprob=None, top=())
        return replace(token, top=token.top[: self._logprobs])

    def _finish(self) -> None:
        with self._lock:
            if self.answer is not None:
                return
            is_whole = bool(self._said) and self._said[-1].finish_reason in ("stop", "length")
            reasons = (*self.decision.reasons, *(() if is_whole else ("cancelled",)))
            completion = gather(self._said)
            usage = completion.usage
            if usage == Usage():
                usage = Usage(completion_tokens=len(self._said))
            answer = self._judged(completion, usage, reasons)
            decision = replace(self.decision, reasons=reasons)
            label = self._label or _label(self._trust, self._messages)
            self.answer = self._trust.close(self._recording, answer, decision, label)

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
        if "cancelled" in reasons or self.decision.route is Route.HOME:
            return answer
        asked = _asked(self._messages)
        return self._trust.judged(answer, asked, Evidence(), (), completion, "chat")


def _label(trust: Trust, messages: Sequence[Message]) -> Label:
    """Of a conversation that may also end in a tool's result, or in an answer to be continued: only
    what the user says is a question."""
    if messages and messages[-1].role == "user":
        return trust.label(_asked(messages), Evidence(), messages[:-1])
    return trust.label("", Evidence(), messages)


def _asked(messages: Sequence[Message]) -> str:
    return messages[-1].content if messages else ""
