"""Long questions and answers in pieces, so that a lost link loses one piece and not an upload.

``ChunkedGrid`` stands before a grid and ``ChunkedDevice`` before a device; neither the coordinator
nor the device behind them notices. What is short goes in one question and one answer. What is long
is named by its SHA-256 and moved from an offset on: who was interrupted goes on where it was, with
a smaller piece. A device keeps pieces in memory, since it answers the same question with the same
bytes again; a home keeps those of its last question in ``folder``, and asks for them once only.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ondol.errors import MalformedMessageError
from ondol.federated.grid import Device, Failure, Grid
from ondol.federated.wire import pack, unpack
from ondol.i18n import t

PUT, ASK, GET = "chunks/put", "chunks/ask", "chunks/get"
FIRST_CHUNK, LEAST_CHUNK, MOST_CHUNK, MOST_BYTES = 1 << 18, 1 << 15, 1 << 20, 1 << 28
HEAD_BYTES = 4096
KEPT = 2
"""Long bodies that a device holds in each direction: this question's, and one that was given up."""
PIECE_SECONDS = 60.0
TRIES, MOST_FAILURES = 7, 42
"""Failures until a device is given up, in a row (a minute of pauses at least) and in one question:
who has less again and again would be waited for without end."""

_ID = re.compile(r"[0-9a-f]{64}")


def longest(numbers: int) -> int:
    """Bytes of the longest message about so many numbers: eight each, and a thousand members."""
    return min(MOST_BYTES, 8 * numbers + (1 << 20))


class ChunkedDevice:
    """``device`` behind it answers whole questions; others of its stages go through untouched."""

    def __init__(self, device: Device, most_bytes: int = MOST_BYTES) -> None:
        self._device, self._most_bytes = device, most_bytes
        self._coming: dict[str, bytearray] = {}
        self._going: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def answer(self, stage: str, body: bytes) -> bytes:
        """Raises ``MalformedMessageError``, and what the device raises."""
        if stage == PUT:
            return self._put(_fields(body, MOST_CHUNK, {"id": str, "offset": int, "part": bytes}))
        if stage == GET:
            return self._get(_fields(body, 0, {"id": str, "offset": int, "length": int}))
        if stage == ASK:
            return self._ask(unpack(body, MOST_CHUNK + HEAD_BYTES))
        return self._device.answer(stage, body)

    def _put(self, said: dict[str, Any]) -> bytes:
        with self._lock:
            held = self._coming.setdefault(_checked_id(said["id"]), bytearray())
            _drop_oldest(self._coming)
            if said["offset"] == len(held):
                if len(held) + len(said["part"]) > self._most_bytes:
                    raise MalformedMessageError(t("federated_privacy.long"))
                held += said["part"]
            return pack({"have": len(held)})

    def _ask(self, said: dict[str, Any]) -> bytes:
        stage, body = said.get("stage"), said.get("body")
        if not isinstance(stage, str) or stage in (PUT, ASK, GET):
            raise MalformedMessageError(t("federated_privacy.piece"))
        if body is None:
            key = _checked_id(said.get("id"))
            with self._lock:
                body = bytes(self._coming.get(key, b""))
            if hashlib.sha256(body).hexdigest() != key:
                return pack({"have": self._whole_or_nothing(key, said.get("size"))})
        if not isinstance(body, bytes):
            raise MalformedMessageError(t("federated_privacy.piece"))
        answer = self._device.answer(stage, body)
        if len(answer) <= LEAST_CHUNK:
            return pack({"answer": answer})
        key = hashlib.sha256(answer).hexdigest()
        with self._lock:
            self._going.pop(key, None)
            self._going[key] = answer
            _drop_oldest(self._going)
        return pack({"id": key, "size": len(answer)})

    def _whole_or_nothing(self, key: str, size: object) -> int:
        """How much of a body is here; one that is long enough and still another is thrown away."""
        with self._lock:
            held = self._coming.get(key, bytearray())
            if len(held) == size:
                held = self._coming[key] = bytearray()
            return len(held)

    def _get(self, said: dict[str, Any]) -> bytes:
        with self._lock:
            held = self._going.get(_checked_id(said["id"]))
        if held is None:
            return pack({"lost": True})
        start = said["offset"]
        return pack({"part": held[start : start + min(said["length"], MOST_CHUNK)]})


@dataclass
class _Talk:
    """One question to one device."""

    node: int
    body: bytes
    key: str = ""
    sent: int = -1  # not known: it may have some of it from before home was killed
    chunk: int = FIRST_CHUNK
    failures: int = 0
    all_failures: int = 0
    answer: bytes | Failure | None = None
    coming: str = ""
    size: int = 0
    got: int = 0

    @property
    def stage(self) -> str:
        if self.coming:
            return GET
        return ASK if not self.key or self.sent >= len(self.body) else PUT

    def went_well(self) -> None:
        self.failures, self.chunk = 0, min(2 * self.chunk, MOST_CHUNK)

    def failed(self, failure: Failure) -> None:
        """Try again if the device was only out of reach."""
        self.failures, self.chunk = self.failures + 1, max(self.chunk // 2, LEAST_CHUNK)
        self.all_failures += 1
        is_hopeless = self.failures >= TRIES or self.all_failures >= MOST_FAILURES
        if failure.code != "gone" or is_hopeless:
            self.answer = failure


class ChunkedGrid:
    """A ``Grid`` over ``grid``, whose devices are ``ChunkedDevice``. ``timeout_seconds`` of ``ask``
    is for the device's answer; a piece has ``PIECE_SECONDS``, and a device that gets nothing
    through ``TRIES`` times in a row is gone. ``folder`` is home's, for this federation."""

    def __init__(
        self,
        grid: Grid,
        folder: Path,
        most_bytes: int = MOST_BYTES,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._grid, self._folder, self._most_bytes, self._pause = grid, folder, most_bytes, pause

    def nodes(self) -> Sequence[int]:
        return self._grid.nodes()

    def ask(
        self, stage: str, bodies: Mapping[int, bytes], timeout_seconds: float
    ) -> dict[int, bytes | Failure]:
        names = {body: hashlib.sha256(body).hexdigest() for body in bodies.values()}
        talks = [
            _Talk(node, body, names[body] if len(body) > LEAST_CHUNK else "")
            for node, body in bodies.items()
        ]
        # Everybody gets the question before anybody is waited for: training takes long, and all
        # of them train at the same time.
        while waiting := [talk for talk in talks if talk.answer is None]:
            for step in (PUT, ASK, GET):
                now = [talk for talk in waiting if talk.stage == step]
                if now:
                    self._step(step, now, stage, timeout_seconds)
                    break
        self._keep_only(talks)
        return {talk.node: talk.answer for talk in talks if talk.answer is not None}

    def _step(self, step: str, talks: list[_Talk], stage: str, timeout_seconds: float) -> None:
        questions = {talk.node: _question(talk, stage) for talk in talks}
        seconds = timeout_seconds if step == ASK else PIECE_SECONDS
        said = self._grid.ask(step, questions, seconds)
        for talk in talks:
            got = said.get(talk.node, Failure("gone", t("federated_privacy.silent")))
            if isinstance(got, Failure):
                talk.failed(got)
                # A device that did not answer in its time is not asked for as long again.
                if step == ASK and got.code == "gone":
                    talk.answer = got
                continue
            try:
                self._heard(talk, step, got)
            except MalformedMessageError as error:
                talk.answer = Failure(error.code, error.message)
        if again := max((talk.failures for talk in talks if talk.answer is None), default=0):
            self._pause(min(2.0 ** (again - 1), 60.0))

    def _heard(self, talk: _Talk, step: str, got: bytes) -> None:
        said = unpack(got, MOST_CHUNK + HEAD_BYTES)
        if "have" in said and step != GET:
            self._sent(talk, said["have"])
        elif step == ASK and isinstance(said.get("answer"), bytes):
            talk.answer = said["answer"]
        elif step == ASK and "id" in said:
            self._begin(talk, _checked_id(said["id"]), _checked_size(said.get("size")))
        elif step == GET and isinstance(said.get("part"), bytes):
            self._received(talk, said["part"])
        elif step == GET and said.get("lost") is True:
            talk.coming = ""  # it restarted: it will say the same again
            talk.failed(Failure("gone", t("federated_privacy.silent")))
        else:
            raise MalformedMessageError(t("federated_privacy.piece"))

    def _sent(self, talk: _Talk, have: object) -> None:
        before, talk.sent = talk.sent, min(_checked_size(have), len(talk.body))
        if before < 0 or talk.sent >= min(before + LEAST_CHUNK, len(talk.body)) > before:
            talk.went_well()
        else:
            talk.failed(Failure("gone", t("federated_privacy.silent")))

    def _begin(self, talk: _Talk, key: str, size: int) -> None:
        if size > self._most_bytes:
            raise MalformedMessageError(t("federated_privacy.long"))
        talk.coming, talk.size, talk.chunk = key, size, FIRST_CHUNK
        file = self._file(talk)
        talk.got = file.stat().st_size if file.exists() else 0
        self._end(talk)

    def _received(self, talk: _Talk, part: bytes) -> None:
        if not 0 < len(part) == min(talk.chunk, talk.size - talk.got):
            raise MalformedMessageError(t("federated_privacy.piece"))
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._file(talk).open("ab") as kept:
            kept.write(part)
        talk.got += len(part)
        talk.went_well()
        self._end(talk)

    def _end(self, talk: _Talk) -> None:
        """The answer, if all of it is here."""
        if talk.got < talk.size:
            return
        whole = self._file(talk).read_bytes()
        if hashlib.sha256(whole).hexdigest() != talk.coming:
            self._file(talk).unlink()
            raise MalformedMessageError(t("federated_privacy.piece"))
        talk.answer = whole

    def _file(self, talk: _Talk) -> Path:
        return self._folder / f"{talk.node}-{talk.coming}.part"

    def _keep_only(self, talks: list[_Talk]) -> None:
        """What came with this question stays until the next one is answered: whoever asked may be
        killed before it has written the answer down."""
        keep = {self._file(talk).name for talk in talks if talk.coming}
        for file in self._folder.glob("*.part"):
            if file.name not in keep:
                file.unlink(missing_ok=True)


def _question(talk: _Talk, stage: str) -> bytes:
    if talk.stage == PUT:
        part = talk.body[talk.sent : talk.sent + talk.chunk] if talk.sent >= 0 else b""
        return pack({"id": talk.key, "offset": max(talk.sent, 0), "part": part})
    if talk.stage == GET:
        length = min(talk.chunk, talk.size - talk.got)
        return pack({"id": talk.coming, "offset": talk.got, "length": length})
    if talk.key:
        return pack({"stage": stage, "id": talk.key, "size": len(talk.body)})
    return pack({"stage": stage, "body": talk.body})


def _fields(body: bytes, most_bytes: int, kinds: Mapping[str, type]) -> dict[str, Any]:
    said = unpack(body, most_bytes + HEAD_BYTES)
    numbers = [said.get(name) for name, kind in kinds.items() if kind is int]
    if set(said) != set(kinds) or any(type(said[name]) is not kind for name, kind in kinds.items()):
        raise MalformedMessageError(t("federated_privacy.piece"))
    for number in numbers:
        _checked_size(number)
    return said


def _checked_id(said: object) -> str:
    if not isinstance(said, str) or not _ID.fullmatch(said):
        raise MalformedMessageError(t("federated_privacy.piece"))
    return said


def _checked_size(said: object) -> int:
    if type(said) is not int or said < 0:
        raise MalformedMessageError(t("federated_privacy.piece"))
    return said


def _drop_oldest(held: dict[str, Any]) -> None:
    while len(held) > KEPT:
        del held[next(iter(held))]
