"""One request to a llama-server: held for its length, tried again if its process had died before,
cancelled from any thread.

``Wire`` is what a plan of one or several HTTP calls speaks through. Raises ``EngineError`` and its
kin, ``UsageError`` for what the server refuses.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ondol.engine import drafting
from ondol.engine.dialect import llama_extras, tokens_of
from ondol.engine.generation import Cancellation, Cancelled
from ondol.engine.template_watch import TEMPLATE_SECONDS, ending_template, watch
from ondol.engine.wire import NO_TOKEN, Garbled, Refused, Stalled, error_of, stream_events, whole
from ondol.errors import ContextLengthError, EngineCrashedError, EngineError, OndolError, UsageError
from ondol.i18n import t
from ondol.types import GenerateOptions, Token, Usage

if TYPE_CHECKING:
    import httpx2

    from ondol.engine.states.heads import Head
    from ondol.engine.states.keeping import Sitting

LOOK_PAUSES = (0.0, 1.0, 2.0, 5.0)

R = TypeVar("R")

_TOO_LARGE = re.compile(r"\((\d+) tokens\).*?(\d+)\)?\D*$", re.S)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory, for the length of one request; ``adapters`` are those it has loaded.
    ``crashed`` ends what is left of its process, and says why: it is gone, or it was silent for so
    many seconds. ``silence_seconds`` is how long it may be, while it follows a JSON schema.
    ``sitting`` gives the request its slot of the process, with the state it begins with;
    ``drafts`` says that the process may be asked for drafts."""

    client: httpx2.Client
    crashed: Callable[[float | None], OndolError]
    load_seconds: float
    adapters: tuple[str, ...] = ()
    silence_seconds: float | None = None
    sitting: Sitting | None = None
    drafts: bool = False


Lease = Callable[[Cancellation, bool, Mapping[str, float]], AbstractContextManager[Loaded]]
"""Loads the model if need be, with the adapters that the mapping asks for, and holds it; the flag
asks for one of its parallel slots too."""

Events = Iterable[Mapping[str, Any]]


class Wire:
    """The HTTP of one request. Raises what HTTP raises; ``Request`` knows what it means."""

    def __init__(
        self, loaded: Loaded, options: GenerateOptions, cancellation: Cancellation
    ) -> None:
        self.loaded = loaded
        self.options = options
        self.cancellation = cancellation
        self.silence_seconds: float | None = None
        self.head: Head | None = None
        self.since: str | None = None

    def tokens(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        constrained: bool,
        reading: Callable[[Events], Events] = lambda events: events,
        options: GenerateOptions | None = None,
    ) -> Generator[Token]:
        """The tokens that ``path`` answers to ``body``. Only a grammar holds a model up for good, a
        long prompt on a slow machine does not: ``constrained`` answers may not pause for long."""
        loaded = self.loaded
        self.silence_seconds = loaded.silence_seconds if constrained else None
        body = {**body, **llama_extras(self.options, loaded.adapters)}
        if loaded.sitting is not None:
            body |= loaded.sitting.place(self, body, self.head)
        drafts = drafting.of(loaded.client, body) if loaded.drafts else drafting.NONE
        body |= drafts.asked
        events = stream_events(loaded.client, path, body, self.cancellation, self.silence_seconds)
        watched = watch.follow(loaded.client, partial(loaded.crashed, TEMPLATE_SECONDS), events)
        with closing(events), closing(watched):
            told = reading(drafts.learning(watched))
            yield from tokens_of(told, options or self.options, self.cancellation)

    def ask(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        within: float | None = None,
        *,
        to_its_end: bool = False,
    ) -> dict[str, Any]:
        """The answer in one piece, ``within`` so many seconds; a GET without ``body``. Who cancels
        ends the wait for it (``Cancelled``), unless it is waited for ``to_its_end``. Raises
        ``Refused`` and ``Garbled``."""
        method, client = "GET" if body is None else "POST", self.loaded.client
        until = Cancellation() if to_its_end else self.cancellation
        with ending_template(path, self.loaded.crashed) as limit:
            response = whole(client, method, path, body, until, within or limit)
        if response.status_code != 200:
            raise Refused(response.status_code, error_of(response.content))
        try:
            answer = response.json()
        except ValueError:
            raise Garbled from None
        if not isinstance(answer, dict):
            raise Garbled
        return answer


Plan = Callable[[Wire], Generator[Token]]
"""What is said over the wire, as tokens, the last with its finish_reason."""


def tokens(
    lease: Lease, plan: Plan, options: GenerateOptions, cancellation: Cancellation
) -> Generator[Token]:
    """Carry out ``plan``; whatever happens, the last token says how it ended."""
    last = Token("", finish_reason="cancelled", usage=Usage())
    try:
        for attempt in (1, 2):
            spoken = False
            try:
                with closing(_attempt(lease, plan, options, cancellation)) as found:
                    for token in found:
                        if token.finish_reason:
                            last = token
                        else:
                            spoken = True
                            yield token
                break
            except EngineCrashedError:
                # Nothing was said yet: a child that died while it was idle is nobody's loss.
                if spoken or attempt == 2:
                    raise
    except Cancelled:
        pass
    # Outside the lease: who stops reading here leaves nothing behind.
    yield last


def _attempt(
    lease: Lease, plan: Plan, options: GenerateOptions, cancellation: Cancellation
) -> Generator[Token]:
    import httpx2

    with lease(cancellation, True, options.adapters) as loaded:
        wire = Wire(loaded, options, cancellation)
        ended = False
        try:
            with closing(plan(wire)) as found:
                for token in found:
                    ended = token.finish_reason not in (None, "cancelled")
                    yield _with_load(token, loaded.load_seconds)
        except Refused as refusal:
            ended = True
            raise refused(refusal, len(options.tools)) from None
        except OndolError:
            ended = True
            raise
        except (Stalled, httpx2.ReadTimeout):
            ended = True
            raise loaded.crashed(wire.silence_seconds or loaded.silence_seconds) from None
        except (httpx2.TransportError, Garbled):
            ended = True
            raise loaded.crashed(None) from None
        finally:
            if wire.silence_seconds is not None and not ended:
                _look_after(loaded, wire.silence_seconds)


def ask(
    lease: Lease,
    question: Callable[[Wire], R],
    options: GenerateOptions,
    *,
    slot: bool = False,
    cancellation: Cancellation | None = None,
) -> R:
    """What ``question`` learns over the wire. Raises ``Cancelled`` to who has a ``cancellation``
    and used it."""
    until = cancellation or Cancellation()
    try:
        return _ask_once(lease, question, options, slot, until)
    except EngineCrashedError:
        return _ask_once(lease, question, options, slot, until)


def _ask_once(
    lease: Lease,
    question: Callable[[Wire], R],
    options: GenerateOptions,
    slot: bool,
    cancellation: Cancellation,
) -> R:
    import httpx2

    with lease(cancellation, slot, options.adapters if slot else {}) as loaded:
        try:
            return question(Wire(loaded, options, cancellation))
        except Refused as refusal:
            raise refused(refusal, len(options.tools)) from None
        except (httpx2.TransportError, Garbled):
            raise loaded.crashed(None) from None


def refused(refusal: Refused, num_tools: int = 0) -> OndolError:
    """The sentence for an error that a llama-server or OpenAI-compatible server answers. Who asked
    in five words does not know that the program sent 24 kB of tools along: it says so."""
    error = refusal.error
    if NO_TOKEN in error:
        return UsageError(t("engine.no_token", id=error[NO_TOKEN]), t("engine.no_token_hint"))
    if too_long(refusal):
        match = _TOO_LARGE.search(refusal.reason)
        need = error.get("n_prompt_tokens") or (match[1] if match else "?")
        limit = error.get("n_ctx") or (match[2] if match else "?")
        hint = t("engine.context_length_hint")
        if num_tools:
            hint = t("engine.context_length_tools", count=num_tools)
        told = ContextLengthError(t("engine.context_length", tokens=need, limit=limit), hint)
        if str(need).isdigit() and str(limit).isdigit():
            told.excess_tokens = max(0, int(need) - int(limit))
        return told
    if error.get("code") == "context_length_exceeded":
        return ContextLengthError(
            t("engine.context_length_told", reason=refusal.reason), t("engine.context_length_hint")
        )
    if refusal.status in (400, 422):
        return UsageError(t("engine.refused", reason=refusal.reason), t("engine.refused_hint"))
    return EngineError(t("engine.failed", reason=refusal.reason), t("engine.failed_hint"))


def too_long(refusal: Refused) -> bool:
    """Whether llama-server had no room for the prompt."""
    told = refusal.error.get("type") == "exceed_context_size_error"
    return told or "too large to process" in refusal.reason


def _look_after(loaded: Loaded, seconds: float) -> None:
    """Whoever wanted this answer is gone, and with it who would notice that its grammar holds the
    model up. Ends the process if it says nothing more."""
    import httpx2

    def look() -> None:
        try:
            # It hears only after a while that nobody listens, and may be lost before or after.
            for pause in LOOK_PAUSES:
                time.sleep(pause)
                told = loaded.client.get("/slots", timeout=httpx2.Timeout(seconds, connect=10))
                if not any(slot["is_processing"] for slot in told.json()):
                    return
        except httpx2.ReadTimeout:
            loaded.crashed(seconds)
        except (httpx2.HTTPError, RuntimeError, ValueError, KeyError, TypeError):
            pass  # it is gone already, or another program that has no slots to show

    threading.Thread(target=look, name="ondol-engine-look", daemon=True).start()


def _with_load(token: Token, load_seconds: float) -> Token:
    if token.usage is None:
        return token
    total = token.usage.total_seconds + load_seconds
    return replace(
        token, usage=replace(token.usage, load_seconds=load_seconds, total_seconds=total)
    )
