"""The parent's side: opens each file, hands it to the child, and takes down what it says.

A file that ends the child, or keeps it too long, is refused for that; a new child goes on with the
next one. What the child says of a file is taken for hostile (``confinement.frames``).
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ondol.confinement import frames
from ondol.confinement.child import CAN_CONFINE, Child, ChildGoneError
from ondol.errors import StorageError
from ondol.hub.card import Card
from ondol.hub.scan import comparing, kinds, opening
from ondol.hub.scan.refused import Refused
from ondol.hub.scan.report import Finding, Report
from ondol.i18n import language, t

MEMORY_BYTES = 768 * 2**20
"""Of addresses; what a look keeps in memory is far less, whatever the size of a file."""
SECONDS = 30
BYTES_PER_SECOND = 20_000_000
"""Weights are looked at a hundred times as fast on a machine with nothing else to do."""
PATIENCE = 4
"""So many times its processor time a look may last on the clock: other programs run too."""
COMMAND = (sys.executable, "-P", "-m", "ondol.hub.scan.child")
MAX_ANSWER_BYTES = 4 * 2**20
MAX_DEATHS = 20

# In the store a file is called after its content.
_BASE = "base.gguf"
_CODE = re.compile(r"[a-z_]{1,40}")


def scan(
    files: Mapping[str, Path],
    card: Card | None = None,
    *,
    bases: Sequence[Path] = (),
    linked: bool = False,
) -> Report:
    """Look at every byte of ``files``, by the names under which they are published.

    With a ``card``, what it says is compared with the files. ``bases`` are the files of the weights
    that an adapter among ``files`` is for, where they are here: then it is checked to fit them, and
    they to be the card's ``base_digest``. A file with a second name elsewhere on the disk (a hard
    link) is refused, for who has that name can change it afterwards, unless ``linked``: for files
    of which only this process's owner has names, or that are copied and hashed after.
    Never raises for what a file is; raises ``StorageError`` where the child cannot be started.
    """
    begun = time.monotonic()
    inodes = [opening.inode(path) for path in files.values()]
    findings: list[Finding] = []
    facts: dict[str, dict[str, Any]] = {}
    size_bytes = 0
    with _Look(bases) as looking:
        for name, path in files.items():
            facts[name] = {}
            try:
                kinds.named(name)
                with opening.opened(path, inodes, linked=linked) as descriptor:
                    size_bytes += os.fstat(descriptor).st_size
                    findings += looking.at(name, descriptor, facts[name])
            except Refused as refused:
                findings.append(_finding(name, refused))
        protections = looking.protections
    compared = list(comparing.together(facts))
    # What is wrong in itself need not agree with its card too.
    if card is not None and not findings:
        compared += comparing.with_card(card, facts, bases)
    findings += [_finding(name, refused) for name, refused in compared]
    return Report(
        ok=not findings,
        findings=tuple(findings),
        seconds=time.monotonic() - begun,
        size_bytes=size_bytes,
        kinds=tuple((name, one["kind"]) for name, one in facts.items() if "kind" in one),
        protections=protections,
    )


def refused_by_name(name: str) -> str:
    """Why a file that is called ``name`` would be refused whatever is in it; "" if it would not."""
    try:
        kinds.named(name)
    except Refused as refused:
        return refused.sentence(frames.sentence(frames.well_formed(name)))
    return ""


class _Look:
    """A child, started with the first file and again after one that ended it."""

    def __init__(self, bases: Sequence[Path]) -> None:
        self._bases = bases
        self._child: Child | None = None
        self._deaths = 0
        self._has_bases = True
        self.protections: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def at(self, name: str, descriptor: int, facts: dict[str, Any]) -> list[Finding]:
        """What is wrong with the open file; what is known of it is put into ``facts``."""
        if self._deaths >= MAX_DEATHS:
            return [_finding(name, Refused("not_looked"))]
        found: list[Finding] = []
        try:
            child = self._ready()
            for said in self._ask(child, name, descriptor):
                if said.get("kind") == "done":
                    facts |= _checked(said.get("facts"))
                    if facts.get("purpose") == "adapter" and not self._has_bases:
                        found.append(_finding(name, Refused("bad_base")))
                else:
                    code = frames.text(said.get("code"), 40)
                    if not _CODE.fullmatch(code):
                        raise ValueError("code")
                    found.append(Finding(name, code, frames.sentence(said.get("message"))))
        except ChildGoneError as gone:
            found.append(_finding(name, self._lost(gone)))
        except ValueError:
            found.append(_finding(name, self._lost(ChildGoneError(t("isolation.nonsense")))))
        return found

    def _ask(
        self, child: Child, name: str, descriptor: int, *, is_base: bool = False
    ) -> Iterator[dict[str, Any]]:
        seconds = SECONDS + os.fstat(descriptor).st_size // BYTES_PER_SECOND
        request = {"name": name, "seconds": seconds, "language": language(), "is_base": is_base}
        deadline = time.monotonic() + PATIENCE * seconds
        child.ask(request, descriptor)
        while True:
            said = child.hear(deadline)
            yield said
            if said.get("kind") == "done":
                return

    def _ready(self) -> Child:
        if self._child is None:
            if not CAN_CONFINE:
                raise StorageError(t("hub_scan.no_child", reason=os.name))
            try:
                more = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
                child = Child(COMMAND, MEMORY_BYTES, answer_bytes=MAX_ANSWER_BYTES, more=more)
            except (ChildGoneError, OSError) as error:
                raise StorageError(t("hub_scan.no_child", reason=error)) from error
            self._child, self.protections = child, child.protections
            self._has_bases = all(self._reads(child, base) for base in self._bases)
        return self._child

    def _reads(self, child: Child, base: Path) -> bool:
        """Have the child keep the header of ``base``; whether it could."""
        try:
            with opening.opened(base, (), linked=True) as descriptor:
                answers = list(self._ask(child, _BASE, descriptor, is_base=True))
        except Refused:
            return False
        return len(answers) == 1

    def _lost(self, gone: ChildGoneError) -> Refused:
        self._end()
        self._deaths += 1
        if gone.is_slow:
            return Refused("too_slow")
        return Refused("ended_child", reason=str(gone))

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()


def _checked(facts: object) -> dict[str, Any]:
    """``facts`` if they are plain: numbers, short texts, and short lists of these."""
    if not isinstance(facts, dict) or len(facts) > 20:
        raise ValueError("facts")
    for value in facts.values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                frames.text(one, 1000)
            elif type(one) not in (int, float):
                raise ValueError("facts")
    return facts


def _finding(name: str, refused: Refused) -> Finding:
    shown = frames.sentence(frames.well_formed(name))
    return Finding(name, refused.code, refused.sentence(shown))
