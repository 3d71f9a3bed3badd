"""Folders to files: what ``ondol add`` finds in the paths it is given.

Knows ignore rules and which names are never documents; reads nothing but rule files and the first
bytes of files whose kind their name leaves open. Lazy, in a fixed order, safe from symbolic link
loops. Raises ``DocumentError`` only for the paths that were named.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ondol.errors import DocumentError, DocumentNotFoundError
from ondol.i18n import t
from ondol.retrieval import loaders
from ondol.retrieval.ignore_rules import Rules, is_ignored, read_rules, rules_above
from ondol.retrieval.loaders import contents, media_types
from ondol.retrieval.loaders.names import is_passed_over

OnSkip = Callable[[Path, str], None]
"""Called with a folder that cannot be opened, or a document that has no reader yet, and why."""

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""

# A Python environment, and a cache that says so itself (bford.info/cachedir).
_MARKERS = ("pyvenv.cfg", "CACHEDIR.TAG")


class Found(NamedTuple):
    """A file of a walk; ``reason`` says why a document has no reader, and is empty for others."""

    path: str
    size_bytes: int
    modified_ns: int
    reason: str = ""

    @property
    def stamp(self) -> Stamp:
        return self.size_bytes, self.modified_ns


def walk(paths: Sequence[Path], *, on_skip: OnSkip | None = None) -> Iterator[Path]:
    """The documents in ``paths``, each file once: ``scan`` for who wants the paths alone."""
    skip = on_skip or (lambda path, why: None)

    def read() -> Iterator[Path]:
        for found in documents:
            if found.reason:
                skip(Path(found.path), found.reason)
            else:
                yield Path(found.path)

    documents = scan(paths, on_skip=skip)
    return read()


def scan(
    paths: Sequence[Path],
    *,
    on_skip: OnSkip | None = None,
    known: Mapping[str, Stamp] | None = None,
) -> Iterator[Found]:
    """The documents in ``paths``, each file once. A file with the stamp that ``known`` has for its
    path is a document as it was, and is not opened to find out.

    A file that is named is always given, whatever it is. In folders, hidden entries, ignored ones,
    tool folders and kinds that cannot be read are passed over. Links are followed last, never
    upwards and never to the same place twice. Raises ``DocumentNotFoundError`` before the first
    file when a path is not there.
    """
    for path in paths:
        _check(path)
    return _Walk(on_skip or (lambda path, why: None), known or {}).run(paths)


def is_no_document(path: Path) -> bool:
    """Whether ``path`` is neither a folder nor of a kind that is read here, whatever it holds: a
    pipe, a picture without tesseract, a program."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISDIR(mode) and (not stat.S_ISREG(mode) or loaders.media_type(path) is None)


def absolute(path: Path) -> Path:
    """Where ``path`` leads, one name for one place: ``~`` and ``..`` are resolved, links are not
    (but for those that a ``..`` steps out of)."""
    full = Path(os.path.expanduser(path)).absolute()
    names = full.parts
    if ".." not in names:
        return full
    below = names[::-1].index("..")
    return Path(*names[: len(names) - below]).resolve().joinpath(*names[len(names) - below :])


def _check(path: Path) -> None:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        sentence = t("documents.not_found", name=_printable(path))
        raise DocumentNotFoundError(sentence, t("documents.not_found_hint")) from error
    except OSError as error:
        raise DocumentError(_why(path, error)) from error


def _why(folder: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return t("documents.folder_no_permission", name=_printable(folder))
    return t("documents.folder_unreadable", name=_printable(folder), reason=error.strerror)


def _printable(path: Path) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


class _Walk:
    """One walk: remembers which folders and files it has been to."""

    def __init__(self, on_skip: OnSkip, known: Mapping[str, Stamp]) -> None:
        self._on_skip = on_skip
        self._known = known
        self._files: set[str] = set()
        self._folders: set[tuple[int, int]] = set()
        self._above: set[tuple[int, int]] = set()
        self._links: deque[str] = deque()

    def run(self, paths: Sequence[Path]) -> Iterator[Found]:
        for path in paths:
            if path.is_dir():
                self._above.update(filter(None, map(_identity, Path(path).resolve().parents)))
                yield from self._tree(str(path))
            elif self._is_new(os.path.realpath(path)):
                with suppress(OSError):  # it has just gone
                    status = os.stat(path)
                    yield Found(str(path), status.st_size, status.st_mtime_ns)
        while self._links:
            yield from self._follow(self._links.popleft())

    def _follow(self, link: str) -> Iterator[Found]:
        try:
            status = os.stat(link)
        except OSError:  # it points nowhere
            return
        if stat.S_ISDIR(status.st_mode):
            if _identity(link) not in self._above:
                yield from self._tree(link)
        elif stat.S_ISREG(status.st_mode):
            yield from self._document(link, os.path.realpath(link), status)

    def _tree(self, root: str) -> Iterator[Found]:
        """All of a folder; with a stack, because folders may be nested deeper than calls."""
        real = os.path.realpath(root)
        stack = [self._entries(root, real, rules_above(real), is_root=True)]
        while stack:
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
            elif isinstance(found, Found):
                yield found
            else:
                stack.append(self._entries(*found, is_root=False))

    def _entries(
        self, folder: str, real: str, chain: tuple[Rules, ...], *, is_root: bool
    ) -> Iterator[Found | tuple[str, str, tuple[Rules, ...]]]:
        """The files in one folder, and its folders as what is needed to enter them."""
        entries = self._list(folder, is_root=is_root)
        rules = read_rules(real, (entry.name for entry in entries))
        chain = (*chain, rules) if rules else chain
        for entry in entries:
            name = entry.name
            if is_passed_over(name):
                continue
            path, inside = os.path.join(folder, name), os.path.join(real, name)
            is_folder = _is_folder(entry)
            if chain and is_ignored(inside, chain, is_folder=is_folder):
                continue
            if entry.is_symlink():
                self._links.append(path)
            elif is_folder:
                yield path, inside, chain
            elif (status := _file_status(entry)) is not None:
                yield from self._document(path, inside, status)

    def _list(self, folder: str, *, is_root: bool) -> list[os.DirEntry[str]]:
        identity = _identity(folder)
        if identity is None or identity in self._folders:
            return []
        self._folders.add(identity)
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self._on_skip(Path(folder), _why(Path(folder), error))
            return []
        return [] if not is_root and any(e.name in _MARKERS for e in entries) else entries

    def _document(self, path: str, real: str, status: os.stat_result) -> Iterator[Found]:
        """The file, if it is a document and was not given before."""
        found = Found(path, status.st_size, status.st_mtime_ns)
        if self._known.get(path) == found.stamp or loaders.media_type(Path(path)) is not None:
            if self._is_new(real):
                yield found
            return
        extension = media_types.extension(os.path.basename(path))
        if extension in media_types.NOT_YET:
            name = contents.printable(Path(path))
            yield found._replace(reason=t("documents.not_yet", name=name, kind=extension))

    def _is_new(self, real: str) -> bool:
        is_new = real not in self._files
        self._files.add(real)
        return is_new


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _file_status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """The status of a regular file; ``None`` of anything else."""
    try:
        is_file = entry.is_file(follow_symlinks=False)
        return entry.stat(follow_symlinks=False) if is_file else None
    except OSError:
        return None


def _identity(folder: str | Path) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino
