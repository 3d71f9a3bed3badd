"""An engine on llama-server's HTTP: messages to tokens, texts to vectors.

Knows one address and its key, through the ``lease`` the pool gives it for each request; starts and
stops nothing. Raises ``EngineError`` and its kin, ``UsageError`` for what the server refuses.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ondol.chat_dialect import sendable
from ondol.engine.chatting import chat, opening
from ondol.engine.completion import chat_events, completion_body
from ondol.engine.dialect import prompt_body
from ondol.engine.generation import Cancellation, Generation
from ondol.engine.hidden_states import hidden_states
from ondol.engine.json_only import json_only
from ondol.engine.request import Lease, Loaded, Plan, Wire, ask, refused, tokens
from ondol.engine.schemas import check as check_schema
from ondol.engine.scoring import (
    Known,
    Scored,
    prompt_tokens,
    score,
    score_text,
    score_tokens,
    text_of,
)
from ondol.engine.states.folder import epoch
from ondol.engine.states.keeping import Saved, prepare
from ondol.engine.timing import timings
from ondol.engine.tool_schemas import check as check_tools
from ondol.engine.tool_schemas import guided
from ondol.engine.wire import Refused
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.types import GenerateOptions, Message, Token, Usage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Lease", "LlamaEngine", "Loaded", "refused"]

EMBED_BATCH = 32


class LlamaEngine:
    """The ``Engine`` protocol, and what the server needs beyond it. Requests that name no adapters
    use ``adapters``."""

    def __init__(
        self, model: str, lease: Lease, adapters: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        self._model = model
        self._lease = lease
        self._adapters = adapters

    @property
    def model(self) -> str:
        return self._model

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Generation:
        """Answer a conversation, formatted with the model's own chat template."""
        check_tools(options.tools)
        since = epoch()  # a request may wait for its turn, and what it says be forgotten meanwhile

        def plan(wire: Wire) -> Generator[Token]:
            wire.since = since
            return chat(wire, messages)

        return self._generation(plan, options)

    def complete(self, prompt: str, options: GenerateOptions) -> Generation:
        """Continue a raw prompt; no template is applied."""
        body = prompt_body(prompt, options)
        if schema := body.pop("response_format", None):
            # llama-server reads the standard field in chats only.
            body["json_schema"] = guided(schema["json_schema"]["schema"])
        return self._generation(lambda wire: _raw(wire, body), options)

    def infill(self, prefix: str, suffix: str, options: GenerateOptions) -> Generation:
        """What stands between ``prefix`` and ``suffix``, by a model that was trained to say it."""
        between = {"input_prefix": sendable(prefix), "input_suffix": sendable(suffix)}
        stop = [sendable(stop) for stop in options.stop]
        most = None if options.max_tokens is None else max(1, options.max_tokens)
        body = completion_body("", options, max_tokens=most, stop=stop) | between
        return self._generation(
            lambda wire: _between(wire, body), replace(options, json_schema=None)
        )

    def echo(
        self,
        prompt: str | Sequence[int],
        options: GenerateOptions,
        scored: list[Scored],
        known: Known | None = None,
    ) -> Generation:
        """Continue a raw prompt, or token ids as they are, after ``scored`` got the prompt's own
        tokens, each with as many alternatives as the answer's have. ``known`` spares beginnings
        that several prompts share. Asked for no token, it ends when the prompt is scored."""
        body = prompt_body("", options)
        plan = partial(_echo, body=body, prompt=prompt, scored=scored, known=known)
        return self._generation(plan, replace(options, json_schema=None))

    def score(
        self, messages: Sequence[Message], reply: str, options: GenerateOptions | None = None
    ) -> list[float]:
        """The natural-log probability of each token of ``reply``, and of its end, as the answer to
        ``messages``. Of ``options`` the adapters count."""
        options = GenerateOptions(adapters=(options and options.adapters) or self._adapters)
        return ask(self._lease, lambda wire: score(wire, messages, reply), options, slot=True)

    def score_text(self, text: str, every: int = 1) -> list[float]:
        """The same for the tokens of plain text after its first, or for ``every`` so many."""
        options = GenerateOptions(adapters=self._adapters)
        return ask(self._lease, lambda wire: score_text(wire, text, every), options, slot=True)

    def score_tokens(
        self,
        tokens: Sequence[int],
        top: int = 0,
        first: int = 0,
    ) -> list[Scored]:
        """The same for ``tokens`` as they are from the place ``first`` on, each with the ``top``
        likeliest in its place."""
        options = GenerateOptions(adapters=self._adapters)
        question = partial(score_tokens, tokens=tokens, top=top, first=first)
        return ask(self._lease, question, options, slot=True)

    def hidden_states(self, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        """What the output layer would turn into logits, for each of ``tokens``. Only of a model
        that was loaded to tell them (``hidden_states``)."""
        question = partial(hidden_states, tokens=tokens)
        return ask(self._lease, question, GenerateOptions(), slot=True)

    def prepare(
        self,
        messages: Sequence[Message],
        options: GenerateOptions | None = None,
        pin: str = "",
        since: str | None = None,
        cancellation: Cancellation | None = None,
    ) -> Saved:
        """Read what a chat with ``messages`` begins with, its system message and tools, and keep
        its state on disk, for the pin of that name: later such chats begin at once. Not if
        something was forgotten ``since`` the epoch in which they were written, by default now.
        Reading takes minutes where they are long: ``cancellation`` ends it (``Cancelled``)."""
        options = options or GenerateOptions()
        options = replace(options, adapters=options.adapters or self._adapters)
        now = epoch() if since is None else since
        question = partial(prepare, messages=messages, owner=pin, since=now)
        return ask(self._lease, question, options, slot=True, cancellation=cancellation)

    def timings(
        self, prompt: Sequence[int], tokens: int, *, is_anew: bool = False
    ) -> dict[str, Any]:
        """llama-server's own account of reading ``prompt`` and going on for so many tokens after
        the first, whatever they are. What is read ``anew`` takes nothing from the cache."""
        options = GenerateOptions(adapters=self._adapters)
        question = partial(timings, prompt=prompt, tokens=tokens, is_anew=is_anew)
        return ask(self._lease, question, options, slot=True)

    def load(self) -> float:
        """Bring the model into memory; the seconds it took."""
        with self._lease(Cancellation(), False, self._adapters) as loaded:
            return loaded.load_seconds

    def count_tokens(self, text: str) -> int:
        """The number of tokens of a plain text."""
        return len(self.tokenize(text))

    def tokenize(self, text: str, *, is_whole: bool = False) -> list[int]:
        """The token ids of a plain text; marks that look like special tokens are plain too. A
        text that ``is_whole`` begins and ends with what the model was trained to see there."""
        body = {"content": sendable(text), "add_special": is_whole, "parse_special": False}
        return [int(token) for token in self._ask("/tokenize", body)["tokens"]]

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of token ids. Raises ``UsageError`` for one that is none of the model's."""
        return ask(self._lease, partial(text_of, tokens=tokens), GenerateOptions())

    def prompt_tokens(
        self, messages: Sequence[Message], options: GenerateOptions | None = None
    ) -> list[int]:
        """The token ids that ``generate`` reads of ``messages`` with ``options``, special tokens
        among them; an image's mark counts, not the image."""
        text = self.apply_template(messages, options)
        body = {"content": text, "add_special": True, "parse_special": True}
        return [int(token) for token in self._ask("/tokenize", body)["tokens"]]

    def apply_template(
        self, messages: Sequence[Message], options: GenerateOptions | None = None
    ) -> str:
        """The raw prompt that ``generate`` would send for ``messages`` with ``options``."""
        options = options or GenerateOptions()
        check_tools(options.tools)
        return ask(self._lease, lambda wire: opening(wire, messages).prompt, options)

    def props(self) -> dict[str, Any]:
        """llama-server's ``/props``; ``chat_template`` is the template's text."""
        return self._ask("/props")

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors, shape ``(len(texts), dimensions)``; the model must be an embedding one."""
        import numpy as np

        rows: list[list[float]] = []
        for start in range(0, len(texts), EMBED_BATCH):
            # An empty input is refused; a blank one is its honest nearest.
            batch = [sendable(text) or " " for text in texts[start : start + EMBED_BATCH]]
            answer = self._ask("/v1/embeddings", {"input": batch}, slot=True)
            data = sorted(answer["data"], key=lambda entry: entry["index"])
            rows += [entry["embedding"] for entry in data]
        vectors = np.asarray(rows, dtype=np.float32).reshape(len(rows), len(rows[0]) if rows else 0)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """How well each of ``texts`` fits ``query``, usually as a logit; the model must be a
        reranker."""
        scores: list[float] = []
        for start in range(0, len(texts), EMBED_BATCH):
            batch = [sendable(text) or " " for text in texts[start : start + EMBED_BATCH]]
            body = {"query": sendable(query), "documents": batch}
            answer = self._ask("/v1/rerank", body, slot=True)
            found = sorted(answer["results"], key=lambda entry: entry["index"])
            scores += [float(entry["relevance_score"]) for entry in found]
        return scores

    def _generation(self, plan: Plan, options: GenerateOptions) -> Generation:
        check_schema(options.json_schema)
        options = replace(options, adapters=options.adapters or self._adapters)
        return Generation(lambda cancellation: tokens(self._lease, plan, options, cancellation))

    def _ask(
        self, path: str, body: Mapping[str, Any] | None = None, *, slot: bool = False
    ) -> dict[str, Any]:
        return ask(self._lease, lambda wire: wire.ask(path, body), GenerateOptions(), slot=slot)


def _raw(wire: Wire, body: dict[str, Any]) -> Generator[Token]:
    """A raw completion. A schema that it would silently ignore is tried before."""
    if "json_schema" in body:
        wanted = {"type": "json_schema", "json_schema": {"schema": body["json_schema"]}}
        question = {"messages": [{"role": "user", "content": ""}], "response_format": wanted}
        wire.ask("/apply-template", question, wire.loaded.silence_seconds)
        found = wire.tokens("/v1/completions", body, constrained=True)
        return json_only(found, body["json_schema"])
    return wire.tokens("/v1/completions", body, constrained=False)


def _echo(
    wire: Wire,
    body: dict[str, Any],
    prompt: str | Sequence[int],
    scored: list[Scored],
    known: Known | None,
) -> Generator[Token]:
    started = time.monotonic()
    ids = prompt_tokens(wire, prompt) if isinstance(prompt, str) else list(prompt)
    scored[:] = score_tokens(wire, ids, wire.options.logprobs or 0, known=known)
    seconds = time.monotonic() - started
    body["prompt"] = ids
    if wire.options.max_tokens == 0:
        usage = Usage(len(ids), prompt_seconds=seconds, total_seconds=seconds)
        yield Token("", finish_reason="length", usage=usage)
        return
    for token in wire.tokens("/v1/completions", body, constrained=False):
        yield token if token.usage is None else replace(token, usage=_longer(token.usage, seconds))


def _longer(usage: Usage, seconds: float) -> Usage:
    """``usage`` with the time that scoring the prompt took, of which nothing was cached before."""
    return replace(
        usage,
        cached_tokens=0,
        prompt_seconds=usage.prompt_seconds + seconds,
        total_seconds=usage.total_seconds + seconds,
    )


def _between(wire: Wire, body: dict[str, Any]) -> Generator[Token]:
    try:
        yield from wire.tokens("/infill", body, constrained=False, reading=chat_events)
    except Refused as refusal:
        if refusal.status != 501:
            raise
        told = t("engine.no_insertion")
        raise UsageError(told, t("engine.no_insertion_hint"), param="suffix") from None
