"""A round of secure aggregation between real processes, one of which is killed with SIGKILL: at a
chosen line of the federation's code, or at any moment. What is left, and what the round comes to.

Four devices listen on sockets, a home asks them; each is forked from one process that has the
libraries loaded. Who is killed is started again at once, as a service manager would.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "federated"))

from rounds import PLAN, SIZE, Household

import ondol.federated
from ondol.errors import OndolError
from ondol.federated.coordinating import messages
from ondol.federated.coordinating.asking import Patience
from ondol.federated.coordinating.device import Participant
from ondol.federated.coordinating.learned import Learned
from ondol.federated.coordinating.messages import Message
from ondol.federated.encoding import Codec
from ondol.federated.grid import Failure

COUNT = 4
HOME = "home"
PATIENCE = Patience(training=20, other=20, again=0.02, tries=500, grace=100, ready=500, failures=2)
CODE = str(Path(ondol.federated.__file__).parent)
SOON = 60.0
_LENGTH = struct.Struct("<I")

Arm = Callable[[], object]


@dataclass
class Scene:
    """Who there is, and how many lines of our code a device and home each run in a round."""

    folder: Path
    num_lines: dict[str, int]
    seconds: float


class Noting(Participant):
    """Keeps what it encoded last, where the judge can see it, and every answer's hash."""

    def encoded(self, learned: Learned, round: int, num_clients: int) -> Any:
        ring = super().encoded(learned, round, num_clients)
        np.save(self.folder.parent / f"{self.folder.name}.{round}.npy", ring)
        return ring

    def answer(self, stage: str, body: bytes) -> bytes:
        said = super().answer(stage, body)
        if stage not in (messages.READY, messages.ADOPT):
            message = Message(self.plan, body)
            about = f"{stage} {message.round} {message._fields.get('sum', '')}"
            with (self.folder.parent / f"{self.folder.name}.said").open("a") as file:
                file.write(f"{about}: {hashlib.sha256(said).hexdigest()}\n")
        return said


class Sockets:
    """A grid over sockets; who does not listen is gone."""

    def __init__(self, household: Household) -> None:
        self._household = household
        self._pool = ThreadPoolExecutor(COUNT)

    def nodes(self) -> list[int]:
        return self._household.nodes

    def ask(self, stage: str, bodies: dict[int, bytes], timeout_seconds: float) -> dict[int, Any]:
        asked = {
            node: self._pool.submit(self._one, node, stage, body, timeout_seconds)
            for node, body in bodies.items()
        }
        return {node: found.result() for node, found in asked.items()}

    def _one(self, node: int, stage: str, body: bytes, timeout_seconds: float) -> bytes | Failure:
        number = self._household.nodes.index(node)
        try:
            with socket.socket(socket.AF_UNIX) as stream:
                stream.settimeout(timeout_seconds)
                stream.connect(str(self._household.folder / f"{number}.socket"))
                _send(stream, stage.encode())
                _send(stream, body)
                kind, said = _receive(stream), _receive(stream)
        except OSError:
            return Failure("gone", "")
        return said if kind == b"" else Failure(kind.decode(), said.decode())


def prepare(folder: Path) -> Scene:
    """A round that nobody disturbs: how long it is."""
    scene = Scene(folder, {}, 0.0)
    began = time.monotonic()
    _round(scene, "whole", None, None)
    scene.seconds = time.monotonic() - began
    for who in (HOME, "0"):
        file = folder / f"{who}.lines"
        _round(scene, f"lines-{who}", who, lambda file=file: _count(file))
        scene.num_lines[who] = int(file.read_text())
    return scene


def kill_at_line(scene: Scene, who: str, line: int) -> str:
    """Kill ``who`` ("home", or a device's number) before the ``line``-th line of our code."""
    return _round(scene, f"{who}-line-{line}", who, lambda: _at_line(line))


def kill_at_random(scene: Scene, who: str, chooser: random.Random) -> str:
    """The same at any moment."""
    seconds = chooser.random() * scene.seconds * 1.2
    return _round(scene, f"{who}-at-{seconds:.6f}", who, lambda: _after(seconds))


def _round(scene: Scene, name: str, victim: str | None, arm: Arm | None) -> str:
    """One round in a folder of its own; how the victim was found: "killed" or "through"."""
    household = Household(scene.folder / name, COUNT, replace(PLAN, rounds=1))
    household.folder.mkdir(parents=True)
    household.grid.close()
    armed = {victim: arm} if arm is not None else {}
    names = [*map(str, range(COUNT)), HOME]
    running = {_started(household, who, armed.get(who)): who for who in names}
    was_killed, until = False, time.monotonic() + SOON
    try:
        while HOME in running.values():
            assert time.monotonic() < until, f"{name}: it does not end"
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                time.sleep(0.005)
                continue
            if pid not in running:  # of another test, which did not wait for it
                continue
            who, code = running.pop(pid), os.waitstatus_to_exitcode(status)
            if code == 0 and who == HOME:
                continue
            assert code == -signal.SIGKILL and who == victim, f"{name}: {who} ended with {code}"
            was_killed = True
            running[_started(household, who, None)] = who
    finally:
        for pid in running:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
    _judge(household, name)
    return "killed" if was_killed else "through"


def _judge(household: Household, name: str) -> None:
    coordinator = household.coordinator()
    (record,) = coordinator.state.records()
    assert not record.failed, f"{name}: {record.failed}"
    assert record.clients == tuple(sorted(household.nodes)), f"{name}: only {record.clients}"
    codec = Codec.of(household.plan, COUNT, SIZE, 1)
    rings = [np.load(household.folder / f"device-{n}.1.npy") for n in range(COUNT)]
    total = codec.wrap(sum(ring.astype(np.int64) for ring in rings))
    expected = codec.decode_sum(total, COUNT) / np.float32(COUNT)
    assert (coordinator.state.mean() == expected).all(), f"{name}: another sum"
    assert (coordinator.state.vector() == expected).all(), f"{name}: another vector"
    for number in range(COUNT):
        lines = (household.folder / f"device-{number}.said").read_text().splitlines()
        told: dict[str, set[str]] = {}
        for line in lines:
            about, _, said = line.partition(": ")
            told.setdefault(about, set()).add(said)
        assert all(len(said) == 1 for said in told.values()), f"{name}: two answers of {number}"
        assert not list(household.folder.glob(f"device-{number}/masking-*/*/seed")), name


def _started(household: Household, who: str, arm: Arm | None) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
            report = arm() if arm is not None else None
            if who == HOME:
                household.coordinator(Sockets(household), patience=PATIENCE).run()
            else:
                _listen(household, int(who), report)
            if callable(report):
                report()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def _listen(household: Household, number: int, report: object) -> None:
    device = Noting(
        household.folder / f"device-{number}",
        household.plan,
        household.learners[number],
        household.identities[number],
        household.roster,
    )
    address = household.folder / f"{number}.socket"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(address))
        server.listen(8)
        while True:
            stream, _ = server.accept()
            with stream:
                try:
                    stage, body = _receive(stream).decode(), _receive(stream)
                except OSError:  # home was killed
                    continue
                try:
                    kind, said = b"", device.answer(stage, body)
                except OndolError as error:
                    kind, said = error.code.encode(), error.message.encode()
                try:
                    _send(stream, kind)
                    _send(stream, said)
                except OSError:
                    continue
            if callable(report):
                report()


def _send(stream: socket.socket, data: bytes) -> None:
    stream.sendall(_LENGTH.pack(len(data)) + data)


def _receive(stream: socket.socket) -> bytes:
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    return _exactly(stream, length)


def _exactly(stream: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = stream.recv(count - len(found))
        if not more:
            raise ConnectionResetError
        found += more
    return found


def _traced(at_line: Callable[[], None]) -> None:
    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(CODE):
            return None
        if event == "line":
            at_line()
        return trace

    sys.settrace(trace)


def _count(file: Path) -> Callable[[], object]:
    lines = 0

    def one_more() -> None:
        nonlocal lines
        lines += 1

    _traced(one_more)
    return lambda: file.write_text(str(lines))


def _at_line(line: int) -> None:
    left = line

    def one_less() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    _traced(one_less)


def _after(seconds: float) -> None:
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
    timer.daemon = True
    timer.start()
