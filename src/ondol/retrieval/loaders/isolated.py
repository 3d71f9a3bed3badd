"""The child that parses files: ``python -P -m ondol.retrieval.loaders.isolated``.

Its standard input is a socket to the parent. It confines itself, then reads one open file after the
other until the parent closes the socket; ``isolation.wire`` says how they talk.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from ondol.confinement import frames
from ondol.confinement.child import claim_stdin, take_request
from ondol.confinement.privileges import renew_cpu
from ondol.egress import guard
from ondol.errors import DocumentError
from ondol.i18n import t, use_language
from ondol.retrieval.loaders import contents, loader, ocr, page_picture
from ondol.retrieval.loaders.isolation import confinement, drawing, wire
from ondol.retrieval.loaders.isolation.reader import WHOLE_FILE_FACTOR
from ondol.retrieval.loaders.members import Full, Limits
from ondol.types import Document


def main() -> None:
    """Serve until the parent goes away."""
    guard.install()
    parent = claim_stdin()
    settings = frames.Incoming(parent, frames.MAX_FRAME_BYTES).frame()
    held = confinement.confine(
        settings["parent_pid"], settings["memory_bytes"], str(settings["home"])
    )
    frames.send(parent, {"protections": held})
    while taken := take_request(parent):
        request, descriptor = taken
        with use_language(request["language"]):
            _answer(parent, request, descriptor)


def _answer(parent: socket.socket, request: dict[str, Any], descriptor: int) -> None:
    try:
        reading = _Reading(parent, request)
        if wanted := drawing.wanted_in(request):
            picture = reading.draw(descriptor, wanted)
            _report(parent)
            drawing.send(parent, picture)
            return
        document = reading.read(descriptor)
        _report(parent)
        wire.send_document(parent, document)
    except DocumentError as error:
        _report(parent)
        frames.send(parent, {"kind": "failed", "message": error.message, "hint": error.hint})
    except MemoryError:
        hint = t("isolation.no_memory_hint")
        message = t("isolation.no_memory", name=request["file_name"])
        frames.send(parent, {"kind": "failed", "message": message, "hint": hint})
    finally:
        os.close(descriptor)


def _report(parent: socket.socket) -> None:
    """Whom the guard did not let the parsers speak to. Between two answers, whichever thread it
    was: nothing may come in between the frames of one."""
    while guard.refusals:
        destination = guard.refusals.popleft().destination
        frames.send(parent, {"kind": "refused", "destination": destination})


class _Reading:
    """One file; tells the parent of each member and picture, so that it waits for each."""

    def __init__(self, parent: socket.socket, request: dict[str, Any]) -> None:
        self._parent = parent
        self._request = request
        self._seconds: int = request["seconds"]
        self._whole_seconds = self._seconds * WHOLE_FILE_FACTOR
        self._until = time.monotonic() + self._whole_seconds

    def read(self, descriptor: int) -> Document:
        file_name, data = self._begun(descriptor)
        limits = Limits(int(self._request["max_bytes"]), begin=self._begin)
        ocr.watchers[:] = [self._begin_picture]
        return loader.read_document(data, file_name, str(self._request["source"]), limits)

    def draw(self, descriptor: int, wanted: page_picture.Wanted) -> page_picture.PagePicture:
        file_name, data = self._begun(descriptor)
        return page_picture.draw(data, file_name, wanted)

    def _begun(self, descriptor: int) -> tuple[str, bytes]:
        renew_cpu(self._seconds)
        file_name, max_bytes = str(self._request["file_name"]), int(self._request["max_bytes"])
        os.lseek(descriptor, 0, os.SEEK_SET)  # an earlier child may have read from it
        return file_name, contents.read_opened(descriptor, file_name, max_bytes=max_bytes)

    def _begin(self, source: str) -> None:
        container, _, _ = source.rpartition("/")
        name = container.rpartition("/")[2]
        if source == self._request["stop_at"]:
            raise Full(t("isolation.crashed_rest", name=name))
        if source in self._request["avoid"]:
            raise DocumentError(str(self._request["avoid"][source]))
        if time.monotonic() > self._until:
            raise Full(t("isolation.too_slow_rest", name=name, limit=self._whole_seconds))
        renew_cpu(self._seconds)
        frames.send(self._parent, {"kind": "member", "source": source})

    def _begin_picture(self, name: str) -> None:
        if time.monotonic() > self._until:
            raise DocumentError(t("isolation.too_slow", name=name, limit=self._whole_seconds))
        renew_cpu(self._seconds)
        frames.send(self._parent, {"kind": "picture"})


if __name__ == "__main__":
    main()
