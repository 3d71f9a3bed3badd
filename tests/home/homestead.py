"""A home in this process for tests, on a real port with a real certificate; no model thinks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ondol import config as configuration
from ondol import database
from ondol.egress import Egress
from ondol.engine.generation import Cancellation, Generation
from ondol.engine.scripted import ScriptedEngine
from ondol.errors import OndolError
from ondol.home import certificate
from ondol.home.admission import Gate, SeenNonces
from ondol.home.app import create_app
from ondol.home.certificate import Certificate
from ondol.home.fair_queue import FairQueue
from ondol.home.registry import Registry
from ondol.home.service import Limits, Served, Service
from ondol.homes import enrolment
from ondol.homes.client import Exchange
from ondol.homes.homes import Homes
from ondol.server.door import tls
from ondol.server.listening import listen, server_for
from ondol.types import GenerateOptions, Label, Message, Sensitivity, Token, Usage

QUESTION = [Message("user", "What keeps a house warm? zebra-4711-marker")]
REPLY = "The stove under the floor keeps a house warm."
TRUSTED = Label(Sensitivity.TRUSTED)
PRIVATE = Label(Sensitivity.PRIVATE, ("document",))


class FakeBackend:
    """Answers with ``REPLY``, or as ``produce`` does."""

    def __init__(self, slots: int = 2) -> None:
        self.slots = slots
        self.is_well = True
        self.asked: list[Sequence[Message]] = []
        self.produce: Callable[[Cancellation], Iterator[Token]] | None = None
        self.error: OndolError | None = None

    def describe(self) -> tuple[str, int | None]:
        return "bigger", 8192

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Generation:
        self.asked.append(messages)
        if self.error is not None:
            raise self.error
        if self.produce is not None:
            return Generation(self.produce)
        return ScriptedEngine([REPLY]).generate(messages, options)


class Gated:
    """Says a word, then waits for ``go_on`` or for being cancelled, and says another."""

    def __init__(self, prompt_tokens: int = 5) -> None:
        self.prompt_tokens = prompt_tokens
        self.go_on = threading.Event()
        self.was_cancelled = threading.Event()

    def __call__(self, cancellation: Cancellation) -> Iterator[Token]:
        try:
            yield Token("first ")
            with cancellation.calling(self.go_on.set):
                self.go_on.wait(60)
        finally:
            if cancellation.cancelled:
                self.was_cancelled.set()
        if cancellation.cancelled:
            yield Token("", finish_reason="cancelled", usage=Usage(self.prompt_tokens, 1))
            return
        yield Token("last")
        yield Token("", finish_reason="stop", usage=Usage(self.prompt_tokens, 2))


class Clock:
    """A clock that can be wrong."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.ahead_seconds = 0.0

    def __call__(self) -> float:
        return self._now() + self.ahead_seconds


@dataclass
class Homestead:
    """A running home and what is inside."""

    url: str
    mine: Certificate
    registry: Registry
    backend: FakeBackend
    service: Service
    gate: Gate
    served: list[Served] = field(default_factory=list)

    def noted(self, count: int) -> list[Served]:
        """What it served, once there are so many: they are noted after an answer's last byte."""
        deadline = time.monotonic() + 20
        while len(self.served) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.served


@contextmanager
def homestead(
    folder: Path,
    *,
    limits: Limits | None = None,
    max_waiting: int = 8,
    slots: int = 2,
    now: Callable[[], float] | None = None,
    own_certificate: Certificate | None = None,
    port: int = 0,
) -> Iterator[Homestead]:
    """A home that keeps its things in ``folder``."""
    now = now or time.time
    with ExitStack() as stack:
        connection = stack.enter_context(closing(database.connect(folder / "ondol.db")))
        mine = own_certificate or certificate.ensure(folder)
        registry, backend = Registry(connection, now=now), FakeBackend(slots)
        served: list[Served] = []
        queue = FairQueue(backend.slots, max_waiting)
        service = Service(backend, queue, registry, limits or Limits(), served.append)
        nonces = SeenNonces(now=now)
        gate = Gate(registry, mine.fingerprint, nonces, 1 << 20, now() - 60, now)
        app = create_app(service, gate, "nest", 64)
        listener = stack.enter_context(closing(listen("127.0.0.1", port)))
        started = threading.Event()
        server = server_for(app, started.set, certificate=tls.Certificate(mine.file, mine.file))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        try:
            assert started.wait(30)
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            yield Homestead(url, mine, registry, backend, service, gate, served)
        finally:
            server.should_exit = True
            thread.join(30)
        assert not thread.is_alive()


@dataclass
class Device:
    """A device with what it wrote down."""

    homes: Homes
    exchanges: list[Exchange]

    def ask(self, label: Label = TRUSTED, **options: int) -> str:
        tokens = self.homes.generate(QUESTION, GenerateOptions(**options), label=label)
        return "".join(token.text for token in tokens)

    def join(self, home: Homestead, name: str = "laptop") -> str:
        invite = home.registry.invite(home.url, home.mine.fingerprint)
        return enrolment.join(self.homes, invite, name)[1]


@contextmanager
def device(folder: Path, **settings: object) -> Iterator[Device]:
    """A device that keeps its things in ``folder``."""
    config = configuration.load(environ={}, file=folder / "config.toml")
    config = config.with_flags({k.replace("_", ".", 1): v for k, v in settings.items()})
    with closing(database.connect(folder / "device.db")) as connection:
        homes = Homes.open(connection, Egress(), config)
        exchanges: list[Exchange] = []
        homes.record = exchanges.append
        yield Device(homes, exchanges)
