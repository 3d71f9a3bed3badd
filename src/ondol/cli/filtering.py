"""The flags that say which documents a command is about, beside the same words in a query."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.cli.command import option, words

if TYPE_CHECKING:
    from ondol.retrieval.filters import Filter


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the flags say, by the keys of ``retrieval.query``."""

    values: dict[str, list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.values)

    def read(self, text: str = "") -> tuple[str, Filter]:
        """``text`` without the filters it holds, and these with those of the flags."""
        from ondol.retrieval import query

        rest, said = query.parse(text, base=Path.cwd())
        return rest, said & query.read(self.values, base=Path.cwd())

    def for_server(self, text: str) -> tuple[str, dict[str, Any]]:
        """The same for a server, which stands in another folder: ``text`` with whole paths, and the
        flags as its field ``filter``."""
        from ondol.retrieval import query

        rest, said = query.parse(text, base=Path.cwd())
        flags: dict[str, Any] = dict(query.written(query.read(self.values, base=Path.cwd())))
        for key in ("after", "before"):
            if key in flags:
                (flags[key],) = flags[key]
        return f"{rest} {query.render(said)}".strip(), flags


def filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags; it takes what they say as ``where``, a ``Wanted``."""

    @wraps(function)
    def run(*arguments: Any, **given: Any) -> Any:
        values = {key: list(given.pop(f"filter_{key}") or ()) for key in _FLAGS}
        values["path"] = [_from_here(path) for path in values["path"]]
        where = Wanted({key: found for key, found in values.items() if found})
        return function(*arguments, where=where, **given)

    for key, metavar in reversed(_FLAGS.items()):
        run = option(
            f"--{key}", f"filter_{key}", key=f"filter_{key}", metavar=metavar, multiple=True,
            type=words,
        )(run)  # fmt: skip
    return run


_FLAGS = {
    "in": "COLLECTION",
    "path": "PATH",
    "type": "KIND",
    "after": "DATE",
    "before": "DATE",
    "lang": "CODE",
}


def _from_here(path: str) -> str:
    """What is there seen from here is meant, and only else a part of some path."""
    here = os.path.abspath(path)
    return here if not path.startswith("~") and os.path.exists(here) else path
