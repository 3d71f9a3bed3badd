"""Synchronous iterators, served asynchronously.

An iterator runs in a thread of its own (``relay``); its first chunk is awaited before the response
begins, so that an early failure still has its own status. When the client hangs up, at any moment,
the source is stopped. Knows nothing about models or dialects.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Generic, TypeVar

import anyio
from anyio.to_thread import run_sync
from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ondol.server.errors import Failure, failure_of
from ondol.server.relay import Relay, closing, places

NDJSON = "application/x-ndjson"
SSE = "text/event-stream"

T = TypeVar("T")


class StoppedError(Exception):
    """The client is gone; whoever still reads the source unwinds."""


class Source(Generic[T]):
    """An iterator that any thread may stop, even while another thread waits in it.

    ``start`` is called in the thread that takes the first item; ``is_over`` once there are no more.
    """

    def __init__(self, start: Callable[[], Iterator[T]]) -> None:
        self._start = start
        self._iterator: Iterator[T] | None = None
        self._stopped = False
        self.is_over = False

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._stopped:
            raise StoppedError
        try:
            if self._iterator is None:
                self._iterator = self._start()
            if self._stopped:
                raise StoppedError
            return next(self._iterator)
        except StopIteration:
            self.is_over = True
            raise
        finally:
            if self._stopped:
                self._close()

    def stop(self) -> None:
        """Close the iterator now, or, where it is a generator that is running, at its next item."""
        self._stopped = True
        self._close()

    def _close(self) -> None:
        close = getattr(self._iterator, "close", None)
        if close is not None:
            try:
                close()
            except ValueError:
                # "generator already executing": __next__ closes it as soon as it returns.
                pass


async def in_thread(work: Callable[[], T]) -> T:
    """Run something short in a worker thread."""
    return await run_sync(work)


async def whole(
    request: Request, source: Source[T], work: Callable[[Source[T]], Response]
) -> Response:
    """A response made from all of ``source``; stops early when the client hangs up. Raises what
    ``Places.check`` raises."""
    here = places()
    here.check()
    making = run_sync(partial(work, source), abandon_on_cancel=True, limiter=here.limiter)
    try:
        return await _unless_gone(request, making)
    except StoppedError:
        return Response(status_code=499)
    finally:
        await _stop(source)


async def stream(
    request: Request,
    source: Source[T],
    chunks: Iterator[bytes],
    media_type: str,
    on_error: Callable[[Failure], bytes],
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A response that sends ``chunks`` (which read ``source``) as they come.

    A failure before the first chunk is raised; after it, ``on_error`` makes the last chunk.
    """
    relay = Relay(chunks)
    try:
        relay.start()
        first = await _unless_gone(request, relay.take())
    except StoppedError:
        await _stop(source)
        return Response(status_code=499)
    except BaseException:
        await _stop(source)
        raise
    return _SourceResponse(source, relay, first, on_error, media_type, headers)


class _SourceResponse(Response):
    """What a relay carries, after ``first``. Stops its source however it ends, even when it never
    began."""

    def __init__(
        self,
        source: Source[T],
        relay: Relay,
        first: tuple[bytes, bool],
        on_error: Callable[[Failure], bytes],
        media_type: str,
        headers: Mapping[str, str] | None,
    ) -> None:
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers(headers)
        self._source = source
        self._relay = relay
        self._first = first
        self._on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_disconnect(receive))
        gone.add_done_callback(lambda _: self._relay.end(StoppedError()))
        try:
            # Made now: whoever cuts speaks another language than the request.
            ended = closing()
            with places().cutting(lambda: self._relay.end(ended)):
                await self._send(send)
        finally:
            gone.cancel()
            self._relay.end()
            if not self._relay.is_said:
                await _stop(self._source)

    async def _send(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        chunk, is_last = self._first
        while not is_last:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk, is_last = await self._next()
        await send({"type": "http.response.body", "body": chunk, "more_body": False})

    async def _next(self) -> tuple[bytes, bool]:
        try:
            return await self._relay.take()
        except StoppedError:
            return b"", True
        except Exception as error:
            return self._on_error(failure_of(error)), True


async def _unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of ``work``; StoppedError as soon as the client hangs up, ``ClosingError`` when
    the server ends."""
    running = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnect(request.receive))
    ended = asyncio.get_running_loop().create_future()

    told = closing()

    def cut() -> None:
        if not ended.done():
            ended.set_exception(told)

    try:
        with places().cutting(cut):
            await asyncio.wait((running, gone, ended), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            return running.result()
        if ended.done():
            ended.result()
        raise StoppedError
    finally:
        running.cancel()
        gone.cancel()
        ended.cancel()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stop(source: Source[T]) -> None:
    if source.is_over:
        return
    with anyio.CancelScope(shield=True):
        await run_sync(source.stop)


class Work(Generic[T]):
    """A function that reports progress, as an iterator over its reports and then its result.

    ``run(report, cancel)`` runs in its own thread; ``close`` sets ``cancel`` and makes the next
    ``report`` raise, so the function unwinds wherever it is.
    """

    def __init__(self, run: Callable[[Callable[[T], None], threading.Event], T]) -> None:
        self._run = run
        self._cancel = threading.Event()
        self._items: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(256)
        self._thread: threading.Thread | None = None
        self._finished = False

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._finished or self._cancel.is_set():
            raise StopIteration
        if self._thread is None:
            # The language of the request goes along.
            work = partial(copy_context().run, self._work)
            self._thread = threading.Thread(target=work, name="ondol-work", daemon=True)
            self._thread.start()
        item, error, self._finished = self._items.get()
        if error is not None:
            raise error
        return item  # type: ignore[return-value]

    def close(self) -> None:
        self._cancel.set()

    def _work(self) -> None:
        try:
            self._end(self._run(self._report, self._cancel), None)
        except BaseException as error:
            self._end(None, error)

    def _report(self, item: T) -> None:
        if self._cancel.is_set():
            raise StoppedError
        try:
            self._items.put_nowait((item, None, False))
        except queue.Full:
            pass  # A client that reads slowly misses some progress; the work does not wait for it.

    def _end(self, item: T | None, error: BaseException | None) -> None:
        while True:
            try:
                return self._items.put_nowait((item, error, True))
            except queue.Full:  # The end takes the place of the oldest report.
                with suppress(queue.Empty):
                    self._items.get_nowait()
