"""python-tuf's own client on a hub's folder, without a network: what anybody else would see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

URL = "http://hub.test/"


class _Folder(FetcherInterface):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _fetch(self, url: str) -> Iterator[bytes]:
        file = self.folder / url.removeprefix(URL)
        if not file.is_file():
            raise DownloadHTTPError(url, 404)
        yield file.read_bytes()


class TufClient:
    """A client that once trusted the first root of ``folder`` and keeps what it has seen."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        self.root = (folder / "metadata" / "1.root.json").read_bytes()
        cache.mkdir(exist_ok=True)

    def updater(self, folder: Path | None = None) -> Updater:
        """Refreshed; raises what python-tuf raises."""
        updater = Updater(
            str(self.cache),
            f"{URL}metadata/",
            fetcher=_Folder(folder or self.folder),
            bootstrap=self.root,
        )
        updater.refresh()
        return updater

    def sees(self, path: str, folder: Path | None = None) -> str:
        """The SHA-256 of the target ``path``, verified; empty where there is none."""
        found = self.updater(folder).get_targetinfo(path)
        return found.hashes["sha256"] if found else ""
