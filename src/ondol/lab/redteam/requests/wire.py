"""A client that sends bytes as they are, over a connection that it keeps."""

from __future__ import annotations

import asyncio


class Client:
    """One connection that is opened again when it ends."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, raw: bytes) -> tuple[int, str, bytes]:
        for attempt in (1, 2):
            is_new = self.streams is None
            if self.streams is None:
                self.streams = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
            reader, writer = self.streams
            try:
                writer.write(raw)
                await writer.drain()
                return await self._answer(reader, method)
            except (ConnectionError, asyncio.IncompleteReadError, OSError):
                self.close()
                # One that was kept may have been closed after the request before.
                if is_new or attempt == 2:
                    raise
        raise AssertionError

    async def _answer(self, reader: asyncio.StreamReader, method: str) -> tuple[int, str, bytes]:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status = int(head.split(" ", 2)[1])
            if status != 100:
                break
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
        }
        body = b""
        if method != "HEAD" and status not in (204, 304):
            if fields.get("transfer-encoding") == "chunked":
                while size := int(await reader.readuntil(b"\r\n"), 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readuntil(b"\r\n")
            elif "content-length" in fields:
                body = await reader.readexactly(int(fields["content-length"]))
            else:
                body = await reader.read()
                self.close()
        if fields.get("connection", "").lower() == "close":
            self.close()
        return status, fields.get("content-type", ""), body

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None
