"""Saved states on disk, within a budget: one file each, the least recently used leave first.

Plain while the library is plain, sealed while it is locked; llama.cpp reads and writes plain files
only, which then lie in memory for as long as that takes. Knows no engine. Raises ``OSError`` where
the disk does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from ondol import encryption, leftovers, paths
from ondol.engine import in_use
from ondol.engine.states import sealing
from ondol.engine.states.identity import NOBODY, Name, model_tag, owner_tag
from ondol.errors import StorageError

PASSING = "passing-"
FORGOTTEN = "forgotten"
SEALED = ".sealed"
# llama-server has a state within seconds; what is to be forgotten waits no longer for that.
PATIENCE_SECONDS = 5.0


def exchange() -> Path | None:
    """The folder through which states come from and go to llama.cpp: in memory while the library
    is locked, and None where the system then has none."""
    if not sealing.is_locked():
        return paths.ensure(directory())
    memory = encryption.in_memory()
    return paths.ensure(memory / encryption.STATES) if memory else None


def given(megabytes: int) -> str:
    """What a process is told of that folder: "" where nothing is to be saved; then what was saved
    before goes."""
    if not megabytes:
        erase()
    try:
        found = exchange() if megabytes else None
    except StorageError:
        return ""  # a disk that takes nothing must not keep a model from answering
    return str(found or "")


def directory() -> Path:
    """Where the states are."""
    return paths.data_dir() / encryption.STATES


def passing() -> str:
    """A name for a file on its way."""
    return f"{PASSING}{uuid4().hex}"


@contextmanager
def on_its_way(through: Path) -> Iterator[Path]:
    """A file in the folder ``through`` that nobody sweeps inside the block, and that is gone after
    it, unless it has its own name by then."""
    held = None
    while held is None:
        path = through / passing()
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        held = in_use.take(path)
    try:
        yield path
    finally:
        with suppress(OSError):
            # What was in memory only is nowhere once it is gone.
            leftovers.erase(path) if through == directory() else path.unlink(missing_ok=True)
        os.close(held)


def find(head: str, exactly: str = "") -> Path | None:
    """The state that begins with what ``head`` is the tag of (``exactly`` the one of that name); it
    counts as used now."""
    for path, name in _all():
        if name.head == head and exactly in ("", str(name)):
            with suppress(OSError):
                os.utime(path)
            return path
    return None


@contextmanager
def lent(state: Path, through: Path) -> Iterator[str]:
    """The name in the folder ``through`` under which ``state`` is plain inside the block, in which
    nobody overwrites it: the model would read zeros. Raises ``ValueError`` for a sealed one that
    does not open, ``FileNotFoundError`` for one that has just gone."""
    held = in_use.take(state, shared=True)
    if held is None:
        raise FileNotFoundError(state.name)
    try:
        if state.suffix != SEALED:
            yield state.name
            return
        key = sealing.secret()
        if not key:
            raise ValueError("the library's key is not known")
        with on_its_way(through) as plain:
            sealing.unseal(state, plain, key, state.name)
            yield plain.name
    finally:
        os.close(held)


def erase_unpinned() -> int:
    """Every state of what is not pinned: it may hold what was remembered of the owner."""
    _begin_epoch()
    return erase(lambda name: name.owner == NOBODY)


def epoch() -> str:
    """Another one each time that something was forgotten."""
    try:
        return (directory() / FORGOTTEN).read_text()
    except OSError:
        return ""


def keep(written: Path, name: Name, budget_bytes: int, since: str) -> bool:
    """Make ``written`` the state called ``name``, in the place of others that begin so; False, and
    it is gone, where it has no room, or something was forgotten or the library locked ``since`` the
    epoch in which its text was given."""
    folder, key = paths.ensure(directory()), sealing.secret()
    size = written.stat().st_size
    is_plain_here = written.parent == folder
    is_late = epoch() != since
    if is_late or key is None or size > budget_bytes or (key and is_plain_here):
        leftovers.erase(written)
        return False
    sweep()
    erase(lambda other: other.head == name.head or _is_older(other, name))
    _make_room(budget_bytes - size)
    kept = folder / f"{name}{SEALED}" if key else folder / str(name)
    if key:
        with on_its_way(folder) as sealed:
            sealing.seal(written, sealed, key, kept.name)
            written.unlink()
            sealed.rename(kept)
    else:
        written.chmod(0o600)
        written.rename(kept)
    if epoch() != since:
        # Whoever forgot something just now may have looked before it had its name.
        leftovers.erase(kept)
        return False
    return True


def erase(which: Callable[[Name], bool] = lambda name: True) -> int:
    """Overwrite and remove states; how many."""
    gone = [path for path, name in _all() if which(name)]
    for path in gone:
        _let_go(path)
    return len(gone)


def erase_of_model(digest: str) -> int:
    """The states of a model that goes, or changes; "": any may be meant."""
    key = sealing.secret()
    wanted = model_tag(key, digest) if key is not None and digest else ""
    return erase(lambda name: not wanted or name.model == wanted)


def erase_of_pins(pins: set[str]) -> int:
    """The states of ``pins``."""
    key = sealing.secret()
    tags = {owner_tag(key, pin) for pin in pins} if key is not None else set()
    return erase(lambda name: key is None or name.owner in tags)


def erase_all_but(pins: set[str]) -> int:
    """Every state but those of ``pins``: what else was saved may hold any text. A state that is
    being made meanwhile will not be kept."""
    _begin_epoch()
    key = sealing.secret()
    tags = {owner_tag(key, pin) for pin in pins} if key is not None else set()
    sweep()
    return erase(lambda name: name.owner not in tags)


def owned(pin: str) -> list[Path]:
    """The states of one pin."""
    key = sealing.secret()
    wanted = None if key is None else owner_tag(key, pin)
    return [path for path, name in _all() if name.owner == wanted]


def size_of(pin: str) -> int:
    """What the states of one pin take."""
    return sum(map(_size, owned(pin)))


def used_bytes() -> int:
    """What all of them take."""
    return sum(_size(path) for path, _ in _all())


def sweep() -> None:
    """Erase what a process that was killed left on its way. What one that runs has there it erases
    itself, and keeps none of it once something was forgotten."""
    memory = encryption.in_memory() if sealing.is_locked() else None
    for folder in (directory(), *([memory / encryption.STATES] if memory else ())):
        for path in folder.glob(f"{PASSING}*"):
            with in_use.alone(path) as is_left, suppress(OSError):
                if is_left:
                    leftovers.erase(path)


def _let_go(path: Path) -> None:
    """Overwrite and remove a state, after the model that is just being given it."""
    with in_use.alone(path, PATIENCE_SECONDS), suppress(OSError):
        leftovers.erase(path)


def _begin_epoch() -> None:
    file = directory() / FORGOTTEN
    try:
        paths.ensure(directory())
        file.write_text(uuid4().hex)
    except (OSError, StorageError):
        # A disk that takes nothing more still lets go, and what is forgotten must.
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _is_older(other: Name, name: Name) -> bool:
    """Whether it is of the same pin, before what is pinned was changed."""
    is_same = (other.model, other.adapters, other.owner) == (name.model, name.adapters, name.owner)
    return is_same and name.owner != NOBODY


def _make_room(budget_bytes: int) -> None:
    # What its owner pinned goes last.
    found = sorted(_all(), key=lambda one: (one[1].owner != NOBODY, _used_at(one[0])))
    left = sum(_size(path) for path, _ in found)
    for path, _ in found:
        if left <= budget_bytes:
            return
        left -= _size(path)
        _let_go(path)


def _all() -> Iterator[tuple[Path, Name]]:
    with suppress(FileNotFoundError):
        for path in list(directory().iterdir()):
            name = Name.read(path.name.removesuffix(SEALED))
            if name is not None:
                yield path, name


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
