"""What a member has said, kept before it is said: what was said first stands, in this process and
in every later one.

A shelf for each session, of which a device has one at a time, and beside them the number of the
last round that it masked a vector for. Whoever reads it and has seen what home saw can take the
mask off: ``forget`` erases it when the round is over. Raises ``MaskingError`` and ``StorageError``.
"""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ondol import leftovers, paths, whole_file
from ondol.errors import MaskingError
from ondol.federated.masking.keys import SECRET_BYTES
from ondol.federated.masking.session import Session
from ondol.i18n import t

_ROUND = "masked-round-"


class Store(Protocol):
    """Bytes by name; a name is a word, or a shelf's and a word (``shelf/word``)."""

    def names(self) -> list[str]:
        """All of them."""

    def read(self, name: str) -> bytes | None:
        """What stands there."""

    def first(self, name: str, said: bytes) -> None:
        """Write ``said``, for good, if nothing stands there."""

    def erase(self, name: str) -> None:
        """Take away a name, or a shelf with all that is in it."""


class Disk:
    """A store that outlasts kills and power cuts: a folder for its owner alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        files = [*self._folder.glob("*"), *self._folder.glob("*/*")]
        return [file.relative_to(self._folder).as_posix() for file in files]

    def read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise paths.storage_error(error, self._folder) from error

    def first(self, name: str, said: bytes) -> None:
        file = self._folder / name
        paths.ensure(file.parent)
        whole_file.write(file, said, keeps_first=True)
        # The name too outlasts a power cut.
        leftovers.sync(file.parent)

    def erase(self, name: str) -> None:
        path = self._folder / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
            return
        # Its name goes first: zeros under the name of a seed would be a seed that everybody knows.
        over = path.with_name(f".over-{path.name}")
        with suppress(FileNotFoundError):
            path.replace(over)
            leftovers.erase(over)


class Memory:
    """A store for simulations, where nothing is killed."""

    def __init__(self) -> None:
        self._said: dict[str, bytes] = {}

    def names(self) -> list[str]:
        return list(self._said)

    def read(self, name: str) -> bytes | None:
        return self._said.get(name)

    def first(self, name: str, said: bytes) -> None:
        self._said.setdefault(name, said)

    def erase(self, name: str) -> None:
        for known in [known for known in self._said if f"{known}/".startswith(f"{name}/")]:
            del self._said[known]


class Kept:
    """The facts of one session on one device."""

    def __init__(self, store: Store, session: Session) -> None:
        self._store = store
        self._session = session
        self._shelf = session.digest.hex()[:32]

    def seed(self, *, makes: bool) -> bytes:
        """The seed of all secrets of this session. ``makes`` one if there is none, and erases what
        other sessions left: they are over."""
        self.check_round()
        if makes and self.read("seed") is None:
            shelves = {name.partition("/")[0] for name in self._store.names() if "/" in name}
            for other in shelves - {self._shelf}:
                self._erase(other)
            self._first("seed", secrets.token_bytes(SECRET_BYTES))
        return self.must("seed")

    def settle(self, name: str, said: bytes) -> None:
        """Keep ``said``; raises where something else was said before."""
        if self._first(name, said) != said:
            raise MaskingError(t("federated_masking.changed", what=name))

    def read(self, name: str) -> bytes | None:
        """What was said, if it was."""
        return self._store.read(f"{self._shelf}/{name}")

    def must(self, name: str) -> bytes:
        """What was said; raises where nothing was."""
        said = self.read(name)
        if said is None:
            raise MaskingError(t("federated_masking.order", what=name))
        return said

    def claim_round(self) -> None:
        """Take the number of this round for this session; raises where another has it, or a later
        round was masked."""
        self._store.first(f"{_ROUND}{self._session.round}", self._session.digest)
        self.check_round()
        for earlier in self._rounds():
            if earlier < self._session.round:
                self._store.erase(f"{_ROUND}{earlier}")

    def check_round(self) -> None:
        """Raises where this session must not be gone on with: a later round was masked, or this one
        in another session, or this session is over and forgotten."""
        number = self._session.round
        last = max(self._rounds(), default=-1)
        if last < number:
            return
        is_mine = self._store.read(f"{_ROUND}{last}") == self._session.digest
        if not is_mine or self.read("seed") is None:
            raise MaskingError(t("federated_masking.old_round", round=number))

    def forget(self) -> None:
        """Erase the secrets of this session."""
        self._erase(self._shelf)

    def _erase(self, shelf: str) -> None:
        # Without its seed a session is over, whatever else a kill leaves of it.
        self._store.erase(f"{shelf}/seed")
        self._store.erase(shelf)

    def _first(self, name: str, said: bytes) -> bytes:
        if (known := self.read(name)) is not None:
            return known
        self._store.first(f"{self._shelf}/{name}", said)
        return self.must(name)

    def _rounds(self) -> list[int]:
        names = (name for name in self._store.names() if name.startswith(_ROUND))
        return [int(name.removeprefix(_ROUND)) for name in names]
