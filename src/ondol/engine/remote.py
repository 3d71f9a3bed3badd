"""An engine on somebody's OpenAI-compatible server: vLLM, llama-server, Ollama, a hosted one.

An adapter there is a model of its own (vLLM serves each under a name, an Ondol takes
``model:adapter``), so it is named as the ``model``; the protocol cannot switch one on.
Every connection goes through ``egress``. Raises ``EgressError`` when the door is shut,
``EngineError`` for a server that fails, stalls or talks nonsense, ``UsageError`` for what it
refuses.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

from ondol.egress import Egress
from ondol.engine.dialect import chat_body, prompt_body, tokens_of
from ondol.engine.generation import Cancellation, Generation
from ondol.engine.llama import refused
from ondol.engine.wire import Garbled, Refused, stream_events
from ondol.errors import EngineError, OndolError, UsageError
from ondol.i18n import t
from ondol.types import GenerateOptions, Message, Sensitivity, Token

PURPOSE = "remote-model"


class RemoteEngine:
    """``base_url`` ends where ``/chat/completions`` begins, usually in ``/v1``. A server that sends
    nothing for ``timeout_seconds`` is given up. ``sensitivity`` is the label of all that it will be
    asked; what is private reaches a server on this machine only."""

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str,
        egress: Egress,
        *,
        timeout_seconds: float = 120.0,
        sensitivity: Sensitivity = Sensitivity.PRIVATE,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._sensitivity = sensitivity
        egress.declare(PURPOSE, self._base_url)
        self._model = model
        self._api_key = api_key
        self._egress = egress
        self._timeout_seconds = timeout_seconds

    @property
    def model(self) -> str:
        return self._model

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Generation:
        """Answer a conversation; the server applies the template."""
        body = chat_body(messages, options)
        if isinstance(options.think, str):
            body["reasoning_effort"] = options.think
        return self._generation("chat/completions", body, options)

    def complete(self, prompt: str, options: GenerateOptions) -> Generation:
        """Continue a raw prompt, on servers that still offer it."""
        return self._generation("completions", prompt_body(prompt, options), options)

    def count_tokens(self, text: str) -> int:
        """An estimate, on the high side: the protocol has no way to ask. A token is taken to be
        three ASCII characters, or one of any other script."""
        ascii_characters = sum(character.isascii() for character in text)
        return -(-ascii_characters // 3) + len(text) - ascii_characters

    def _generation(self, path: str, body: dict[str, Any], options: GenerateOptions) -> Generation:
        url = f"{self._base_url}/{path}"
        if any(options.adapters.values()):
            raise UsageError(
                t("engine.remote_adapters", server=self._base_url),
                t("engine.remote_adapters_hint"),
                param="adapters",
            )
        body = body | {"model": self._model}
        return Generation(lambda cancellation: self._tokens(url, body, options, cancellation))

    def _tokens(
        self, url: str, body: dict[str, Any], options: GenerateOptions, cancellation: Cancellation
    ) -> Generator[Token]:
        import httpx2

        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        door = self._egress.client(
            url,
            PURPOSE,
            sensitivity=self._sensitivity,
            headers=headers,
            timeout_seconds=self._timeout_seconds,
        )
        try:
            with door as client:
                events = stream_events(client, url, body, cancellation)
                with closing(events):
                    yield from tokens_of(events, options, cancellation)
        except Refused as refusal:
            raise self._refused(refusal) from None
        except Garbled:
            raise self._error("remote_garbled") from None
        except httpx2.TimeoutException:
            raise self._error("remote_stalled", seconds=f"{self._timeout_seconds:g}") from None
        except httpx2.HTTPError as error:
            raise self._error("remote_lost", reason=str(error) or type(error).__name__) from None
        except (httpx2.InvalidURL, ValueError):
            raise self._error("remote_bad_url") from None

    def _refused(self, refusal: Refused) -> OndolError:
        if refusal.status in (401, 403):
            return self._error("remote_key", status=refusal.status)
        if refusal.status in (404, 429) or refusal.status >= 500:
            return self._error("remote_failed", status=refusal.status, reason=refusal.reason)
        return refused(refusal)

    def _error(self, key: str, **values: object) -> EngineError:
        return EngineError(
            t(f"engine.{key}", server=self._base_url, **values), t("engine.remote_hint")
        )
