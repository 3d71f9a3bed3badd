"""Who thinks at home: its own engine, or other programs' servers.

Several servers (vLLM, llama-server, Ollama: whatever speaks OpenAI's protocol) share the work: the
one that is at work on the fewest answers gets the next. One that fails before its first word is
left alone for a while and the next one is asked; after the first word nothing is asked twice.
Raises what the engine raises.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from ondol.engine.generation import Cancellation, Generation
from ondol.engine.remote import PURPOSE, RemoteEngine
from ondol.errors import ContextLengthError, EgressError, EngineError, OndolError
from ondol.i18n import t
from ondol.models import scales
from ondol.types import GenerateOptions, Message, Sensitivity, Token

if TYPE_CHECKING:
    from ondol.egress import Egress
    from ondol.parts import Parts

SLOTS_OF_A_SERVER = 8
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 120.0
LOOK_SECONDS = 5.0
LONGEST_LIST_BYTES = 1 << 20


class Backend(Protocol):
    """Messages to tokens. ``slots`` answers at once are worth its while."""

    @property
    def slots(self) -> int: ...

    @property
    def is_well(self) -> bool:
        """Whether an answer is to be expected."""
        ...

    def describe(self) -> tuple[str, int | None]:
        """The model's name, and how many tokens its context has, if that is known."""
        ...

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Generation: ...


def choose(parts: Parts) -> Backend:
    """What the settings say."""
    config = parts.config
    if config["home.upstreams"]:
        return Upstreams(
            parts.egress,
            config["home.upstreams"],
            model=config["home.model"],
            api_key=config["home.upstream_api_key"],
            slots=config["home.parallel"],
            timeout_seconds=config["home.timeout_seconds"],
        )
    return OwnEngine(parts)


class OwnEngine:
    """This machine's own engine, with ``home.model`` or the chat model."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._name = parts.config["home.model"] or parts.config["models.chat"]
        parallel = parts.config["home.parallel"]
        self.slots = parallel or int(parts.config["engine.num_parallel"])
        self.is_well = True

    def describe(self) -> tuple[str, int | None]:
        model, _ = scales.of(self._parts.adapters, self._name)
        most = int(self._parts.config["engine.num_ctx"])
        return self._name, min(most, model.context_length or most)

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Generation:
        own = replace(options, keeps_nothing=True)  # what a device says is no business of our disk
        return self._parts.engine(self._name).generate(messages, own)


@dataclass(slots=True, eq=False)
class _Server:
    """One of several. ``free_at`` is when it may be asked again, by ``time.monotonic``."""

    url: str
    engine: RemoteEngine | None = None
    num_ctx: int | None = None
    active: int = 0
    asked: int = 0
    failures: int = 0
    free_at: float = 0.0


class Upstreams:
    """Servers at ``urls`` (each ends where ``/chat/completions`` begins). Without a ``model`` each
    is asked for the first one it has."""

    def __init__(
        self,
        egress: Egress,
        urls: Sequence[str],
        *,
        model: str = "",
        api_key: str = "",
        slots: int = 0,
        timeout_seconds: float = 60.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.slots = slots or SLOTS_OF_A_SERVER * len(urls)
        self._egress = egress
        self._servers = [_Server(url.rstrip("/")) for url in dict.fromkeys(urls)]
        self._model = model
        self._api_key = api_key
        self._timeout_seconds = timeout_seconds
        self._now = now
        self._lock = threading.Lock()
        for server in self._servers:
            egress.declare(PURPOSE, server.url)

    @property
    def is_well(self) -> bool:
        """Whether one of them did not fail just now."""
        with self._lock:
            now = self._now()
            return any(server.free_at <= now for server in self._servers)

    def describe(self) -> tuple[str, int | None]:
        """Of the server that would be asked next; the next one, where that does not answer."""
        tried: set[_Server] = set()
        while (server := self._next(tried)) is not None:
            tried.add(server)
            try:
                engine = self._open(server)
            except OndolError:
                self._note(server, failed=True)
            else:
                return engine.model, server.num_ctx
        return self._model, None

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Generation:
        return Generation(lambda cancellation: self._tokens(messages, options, cancellation))

    def _tokens(
        self, messages: Sequence[Message], options: GenerateOptions, cancellation: Cancellation
    ) -> Generator[Token]:
        tried: set[_Server] = set()
        failure: OndolError | None = None
        while (server := self._next(tried)) is not None:
            tried.add(server)
            begun = False
            try:
                with self._at_work(server):
                    generation = self._open(server).generate(messages, options)
                    with cancellation.calling(generation.close), generation:
                        for token in generation:
                            begun = True
                            yield token
            except (EngineError, EgressError) as error:
                if isinstance(error, ContextLengthError):
                    raise
                self._note(server, failed=True)
                if begun or cancellation.cancelled:
                    raise
                failure = error
            else:
                self._note(server, failed=False)
                return
        raise failure or EngineError(t("home.no_upstream"), t("home.no_upstream_hint"))

    def _next(self, tried: set[_Server]) -> _Server | None:
        """The least loaded of those that are well; of those that are not, the first to be again."""
        with self._lock:
            now = self._now()
            left = [server for server in self._servers if server not in tried]
            return min(
                left,
                key=lambda s: (s.free_at if s.free_at > now else 0.0, s.active, s.asked),
                default=None,
            )

    @contextmanager
    def _at_work(self, server: _Server) -> Iterator[None]:
        with self._lock:
            server.active += 1
            server.asked += 1
        try:
            yield
        finally:
            with self._lock:
                server.active -= 1

    def _note(self, server: _Server, *, failed: bool) -> None:
        with self._lock:
            if not failed:
                server.failures, server.free_at = 0, 0.0
                return
            pause = FIRST_PAUSE_SECONDS * 2 ** min(server.failures, 16)
            server.free_at = self._now() + min(LONGEST_PAUSE_SECONDS, pause)
            server.failures += 1

    def _open(self, server: _Server) -> RemoteEngine:
        """The engine behind ``server``; asks once what it has."""
        if server.engine is None:
            listed = self._models(server.url)
            names = [str(one.get("id") or "") for one in listed]
            name = self._model or next(filter(None, names), "")
            if not name:
                raise EngineError(t("home.no_model", server=server.url), t("home.no_upstream_hint"))
            mine = next((one for one in listed if one.get("id") == name), {})
            server.num_ctx = _num_ctx(mine)
            server.engine = RemoteEngine(
                server.url,
                name,
                self._api_key,
                self._egress,
                timeout_seconds=self._timeout_seconds,
                # What devices send to their home may be seen by the servers that home names.
                sensitivity=Sensitivity.TRUSTED,
            )
        return server.engine

    def _models(self, url: str) -> list[dict[str, Any]]:
        import httpx2

        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        door = self._egress.client(
            f"{url}/models", PURPOSE, headers=headers, timeout_seconds=LOOK_SECONDS
        )
        try:
            with door as client, client.stream("GET", f"{url}/models") as response:
                response.raise_for_status()
                body = b"".join(_at_most(response.iter_bytes(), LONGEST_LIST_BYTES))
            listed = json.loads(body)["data"]
            return [one for one in listed if isinstance(one, dict)]
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError):
            raise EngineError(
                t("home.upstream_silent", server=url), t("home.no_upstream_hint")
            ) from None


def _num_ctx(model: dict[str, Any]) -> int | None:
    """vLLM says it at once, llama-server among what it knows of the file."""
    meta = model.get("meta")
    found = model.get("max_model_len") or (meta.get("n_ctx") if isinstance(meta, dict) else None)
    return found if isinstance(found, int) and found > 0 else None


def _at_most(pieces: Iterator[bytes], limit: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise ValueError(size)
        yield piece
