"""An engine on llama-server's HTTP: messages to tokens, texts to vectors.

Knows one address and its key, through the ``lease`` the pool gives it for each request; starts and
stops nothing. Raises ``EngineError`` and its kin, ``UsageError`` for what the server refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ondol.engine.dialect import (
    chat_body,
    llama_extras,
    messages_body,
    prompt_body,
    sendable,
    tokens_of,
)
from ondol.engine.generation import Cancellation, Cancelled, Generation
from ondol.engine.wire import Garbled, Refused, error_of, stream_events
from ondol.errors import ContextLengthError, EngineCrashedError, EngineError, OndolError, UsageError
from ondol.i18n import t
from ondol.types import GenerateOptions, Message, Token, Usage

if TYPE_CHECKING:
    import httpx2
    import numpy as np
    import numpy.typing as npt

EMBED_BATCH = 32

_TOO_LARGE = re.compile(r"\((\d+) tokens\).*?(\d+)\)?\D*$", re.S)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory, for the length of one request; ``adapters`` are those it has loaded."""

    client: httpx2.Client
    crashed: Callable[[], OndolError]
    load_seconds: float
    adapters: tuple[str, ...] = ()


Lease = Callable[[Cancellation, bool, Mapping[str, float]], AbstractContextManager[Loaded]]
"""Loads the model if need be, with the adapters that the mapping asks for, and holds it; the flag
asks for one of its parallel slots too."""


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
        body = chat_body(messages, options)
        return self._generation("/v1/chat/completions", body, options)

    def complete(self, prompt: str, options: GenerateOptions) -> Generation:
        """Continue a raw prompt; no template is applied."""
        body = prompt_body(prompt, options)
        if schema := body.pop("response_format", None):
            # llama-server reads the standard field in chats only.
            body["json_schema"] = schema["json_schema"]["schema"]
        return self._generation("/v1/completions", body, options)

    def load(self) -> float:
        """Bring the model into memory; the seconds it took."""
        with self._lease(Cancellation(), False, self._adapters) as loaded:
            return loaded.load_seconds

    def count_tokens(self, text: str) -> int:
        """The number of tokens of a plain text."""
        return len(self.tokenize(text))

    def tokenize(self, text: str) -> list[int]:
        """The token ids of a plain text; marks that look like special tokens are plain too."""
        body = {"content": sendable(text), "add_special": False, "parse_special": False}
        return [int(token) for token in self._ask("POST", "/tokenize", body)["tokens"]]

    def prompt_tokens(self, messages: Sequence[Message]) -> list[int]:
        """The token ids that ``generate`` reads of ``messages``, special tokens among them."""
        text = self.apply_template(messages)
        body = {"content": text, "add_special": True, "parse_special": True}
        return [int(token) for token in self._ask("POST", "/tokenize", body)["tokens"]]

    def apply_template(self, messages: Sequence[Message]) -> str:
        """The raw prompt that ``generate`` would send for ``messages``."""
        answer = self._ask("POST", "/apply-template", {"messages": messages_body(messages)})
        return str(answer["prompt"])

    def props(self) -> dict[str, Any]:
        """llama-server's ``/props``; ``chat_template`` is the template's text."""
        return self._ask("GET", "/props")

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors, shape ``(len(texts), dimensions)``; the model must be an embedding one."""
        import numpy as np

        rows: list[list[float]] = []
        for start in range(0, len(texts), EMBED_BATCH):
            # An empty input is refused; a blank one is its honest nearest.
            batch = [sendable(text) or " " for text in texts[start : start + EMBED_BATCH]]
            answer = self._ask("POST", "/v1/embeddings", {"input": batch}, slot=True)
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
            answer = self._ask("POST", "/v1/rerank", body, slot=True)
            found = sorted(answer["results"], key=lambda entry: entry["index"])
            scores += [float(entry["relevance_score"]) for entry in found]
        return scores

    def _generation(self, path: str, body: dict[str, Any], options: GenerateOptions) -> Generation:
        options = replace(options, adapters=options.adapters or self._adapters)
        return Generation(lambda cancellation: self._tokens(path, body, options, cancellation))

    def _tokens(
        self, path: str, body: dict[str, Any], options: GenerateOptions, cancellation: Cancellation
    ) -> Generator[Token]:
        last = Token("", finish_reason="cancelled", usage=Usage())
        try:
            for attempt in (1, 2):
                spoken = False
                try:
                    with closing(self._attempt(path, body, options, cancellation)) as tokens:
                        for token in tokens:
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
        self, path: str, body: dict[str, Any], options: GenerateOptions, cancellation: Cancellation
    ) -> Generator[Token]:
        import httpx2

        with self._lease(cancellation, True, options.adapters) as loaded:
            body = body | llama_extras(options, loaded.adapters)
            try:
                if "json_schema" in body:
                    _check_schema(loaded.client, body["json_schema"])
                events = stream_events(loaded.client, path, body, cancellation)
                with closing(events):
                    for token in tokens_of(events, options, cancellation):
                        yield _with_load(token, loaded.load_seconds)
            except Refused as refusal:
                raise refused(refusal) from None
            except (httpx2.TransportError, Garbled):
                raise loaded.crashed() from None

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, slot: bool = False
    ) -> dict[str, Any]:
        try:
            return self._ask_once(method, path, body, slot)
        except EngineCrashedError:
            return self._ask_once(method, path, body, slot)

    def _ask_once(
        self, method: str, path: str, body: Mapping[str, Any] | None, slot: bool
    ) -> dict[str, Any]:
        import httpx2

        with self._lease(Cancellation(), slot, {}) as loaded:
            try:
                response = loaded.client.request(method, path, json=body)
                if response.status_code != 200:
                    raise refused(Refused(response.status_code, error_of(response.content)))
                answer = response.json()
            except (httpx2.TransportError, ValueError):
                raise loaded.crashed() from None
        if not isinstance(answer, dict):
            raise EngineError(t("engine.garbled"), t("engine.garbled_hint"))
        return answer


def refused(refusal: Refused) -> OndolError:
    """The sentence for an error that a llama-server or OpenAI-compatible server answers."""
    error = refusal.error
    if error.get("type") == "exceed_context_size_error" or "too large to process" in refusal.reason:
        match = _TOO_LARGE.search(refusal.reason)
        need = error.get("n_prompt_tokens") or (match[1] if match else "?")
        limit = error.get("n_ctx") or (match[2] if match else "?")
        return ContextLengthError(
            t("engine.context_length", tokens=need, limit=limit), t("engine.context_length_hint")
        )
    if error.get("code") == "context_length_exceeded":
        return ContextLengthError(
            t("engine.context_length_told", reason=refusal.reason), t("engine.context_length_hint")
        )
    if refusal.status in (400, 422):
        return UsageError(t("engine.refused", reason=refusal.reason), t("engine.refused_hint"))
    return EngineError(t("engine.failed", reason=refusal.reason), t("engine.failed_hint"))


def _check_schema(client: httpx2.Client, schema: Mapping[str, Any]) -> None:
    """Raise ``Refused`` for a schema that a raw completion would silently ignore."""
    wanted = {"type": "json_schema", "json_schema": {"schema": schema}}
    body = {"messages": [{"role": "user", "content": ""}], "response_format": wanted}
    response = client.post("/apply-template", json=body)
    if response.status_code == 400:
        raise Refused(400, error_of(response.content))


def _with_load(token: Token, load_seconds: float) -> Token:
    if token.usage is None:
        return token
    total = token.usage.total_seconds + load_seconds
    return replace(
        token, usage=replace(token.usage, load_seconds=load_seconds, total_seconds=total)
    )
