"""The files of adapters that learned from their owner: in the owner's database, and nowhere else.

So they are encrypted when it is, under whatever passphrase it has, and locking, unlocking, another
passphrase, backups and erasing need nothing of their own. What reads a file is given one in memory
(memfd, Linux): it has no name in any folder, is readable for the owner's processes alone, and is
gone with this process however that ends. Its pages may be swapped out like all memory. Where there
are no such files, it lies in a folder for the owner alone while this process runs. Raises what the
database raises, ``StorageError`` where there is no memory.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from ondol import erasing, leftovers, paths
from ondol.place import Place, Placed


class PrivateAdapters(Placed):
    """All of them, by the digest of their content (``sha256:…``). Safe to use from several threads;
    ``close`` it, and the files in memory are gone."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._lock = threading.Lock()
        self._open: dict[str, _InMemory] = {}
        self._emptied: list[_InMemory] = []

    def put(self, content: bytes) -> str:
        """Keep ``content``; its digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        with self.place.writing() as connection:
            connection.execute(
                "INSERT INTO private_adapters (digest, content) VALUES (?, ?)"
                " ON CONFLICT (digest) DO NOTHING",
                [digest, content],
            )
        return digest

    def path(self, digest: str) -> Path | None:
        """A file with that content, for as long as this is open; None where there is none."""
        with self._lock:
            known = self._open.get(digest)
            if known is None:
                content = self._content(digest)
                if content is None:
                    return None
                known = self._open[digest] = _InMemory(content)
            return known.path

    def _content(self, digest: str) -> bytes | None:
        with self.place.reading() as connection:
            row = connection.execute(
                "SELECT content FROM private_adapters WHERE digest = ?", [digest]
            ).fetchone()
        return bytes(row[0]) if row else None

    def remove(self, digests: Collection[str]) -> int:
        """Erase these, so that no byte of them is left; the bytes freed."""
        freed = 0
        with self.place.writing() as connection:
            for digest in digests:
                row = connection.execute(
                    "DELETE FROM private_adapters WHERE digest = ? RETURNING length(content)",
                    [digest],
                ).fetchone()
                freed += row[0] if row else 0
            if freed:
                erasing.begin(connection)
        if freed:
            self.place.erase()
        with self._lock:
            for digest in digests:
                known = self._open.pop(digest, None)
                if known is not None:
                    known.empty()
                    self._emptied.append(known)
        return freed

    def close(self) -> None:
        """Let go of the database, and of what is in memory."""
        with self._lock:
            for known in (*self._open.values(), *self._emptied):
                known.close()
            self._open.clear()
            self._emptied.clear()
        super().close()


class _InMemory:
    """A file that has no name in any folder. ``path`` leads to it for all processes of the owner,
    as long as this one holds it."""

    def __init__(self, content: bytes) -> None:
        self._named: Path | None = None
        try:
            if sys.platform == "linux":
                self._descriptor = os.memfd_create("ondol-adapter", os.MFD_CLOEXEC)
                self.path = Path(f"/proc/{os.getpid()}/fd/{self._descriptor}")
            else:
                folder = paths.ensure(paths.data_dir() / "in-use")
                self._descriptor, name = tempfile.mkstemp(dir=folder, suffix=".gguf")
                self.path = self._named = Path(name)
            left = memoryview(content)
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise paths.storage_error(error, paths.data_dir()) from error

    def empty(self) -> None:
        """Let go of what is in it. Its number stays taken: who still has the path must not come
        upon another adapter."""
        if self._named is not None:
            with suppress(OSError):
                leftovers.erase(self._named)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(nothing, self._descriptor, inheritable=False)
        os.close(nothing)

    def close(self) -> None:
        if self._named is not None:
            with suppress(OSError):
                leftovers.erase(self._named)
        os.close(self._descriptor)
