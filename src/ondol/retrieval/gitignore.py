"""One line of a .gitignore file, as a regular expression that means exactly what git means.

Follows git's wildmatch.c and dir.c, byte by byte: ``?`` is one byte. The expressions use atomic
groups, so that no pattern takes exponential time. Knows nothing about files. Raises nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_CLASSES = {
    b"alnum": rb"[0-9A-Za-z]", b"alpha": rb"[A-Za-z]", b"blank": rb"[ \t]",
    b"cntrl": rb"[\x00-\x1f\x7f]", b"digit": rb"[0-9]", b"graph": rb"[!-~]",
    b"lower": rb"[a-z]", b"print": rb"[ -~]", b"punct": rb"[!-/:-@\[-`{-~]",
    b"space": rb"[ \t\n\v\f\r]", b"upper": rb"[A-Z]", b"xdigit": rb"[0-9A-Fa-f]",
}  # fmt: skip

_BEFORE_FOLDERS = re.compile(rb"[^*?\[\\]*[^*?\[\\/](?=\*\*+(?:/|$))")
_STAR, _SLASH = b"*", b"/"


@dataclass(frozen=True, slots=True)
class Pattern:
    """``regex`` matches a path below the file's folder, or its last part when ``by_name``."""

    regex: re.Pattern[bytes]
    ignores: bool
    folders_only: bool
    by_name: bool

    def fits(self, path: bytes, *, is_folder: bool) -> bool:
        """Whether this pattern speaks of ``path`` (parts joined by "/", none at the ends)."""
        if self.folders_only and not is_folder:
            return False
        entry = path[path.rfind(b"/") + 1 :] if self.by_name else path
        return self.regex.fullmatch(entry) is not None


class _NeverMatches(Exception):
    """The pattern is malformed; git lets it match nothing."""


def parse(line: bytes) -> Pattern | None:
    """The pattern in a line; ``None`` for comments, empty lines and what never matches."""
    line = _strip(line.removesuffix(b"\r"))
    if line.startswith(b"#"):
        return None
    ignores = not line.startswith(b"!")
    body = line if ignores else line[1:]
    folders_only = body.endswith(b"/")
    body = body.removesuffix(b"/")
    by_name = b"/" not in body
    prefix, rest = _literal_prefix(b"" if by_name else body.removeprefix(b"/"))
    try:
        parts = _split(_tokens(body if by_name else rest))
    except _NeverMatches:
        return None
    if parts == [[]] and not prefix:
        return None
    regex = _name(parts[0]) if by_name else prefix + _path(parts)
    return Pattern(re.compile(regex, re.DOTALL), ignores, folders_only, by_name)


def _literal_prefix(body: bytes) -> tuple[bytes, bytes]:
    """git compares what stands before the first wildcard by itself, and so lets ``a**/b`` be an
    ``a``, then any folders, then ``b``."""
    match = _BEFORE_FOLDERS.match(body)
    if not match:
        return b"", body
    return re.escape(match.group()), body[match.end() :]


def _strip(line: bytes) -> bytes:
    """Without the spaces at the end, but for one that a backslash protects."""
    bare = line.rstrip(b" ")
    escapes = len(bare) - len(bare.rstrip(b"\\"))
    return bare + b" " if escapes % 2 and len(bare) < len(line) else bare


def _tokens(body: bytes) -> list[bytes]:
    """``_STAR``, ``_SLASH``, and expressions for one byte each."""
    tokens: list[bytes] = []
    position = 0
    while position < len(body):
        character = body[position : position + 1]
        position += 1
        if character in (_STAR, _SLASH):
            tokens.append(character)
        elif character == b"?":
            tokens.append(b"[^/]")
        elif character == b"[":
            members, position = _set(body, position)
            tokens.append(members)
        else:
            if character == b"\\":
                character = _at(body, position)
                position += 1
            tokens.append(_literal(character))
    return tokens


def _literal(character: bytes) -> bytes:
    return b"\\x%02x" % character[0]


def _at(body: bytes, position: int) -> bytes:
    if position >= len(body):
        raise _NeverMatches
    return body[position : position + 1]


def _set(body: bytes, position: int) -> tuple[bytes, int]:
    """The bracket expression that begins before ``position``, and where it ends."""
    negated = _at(body, position) in (b"!", b"^")
    position += negated
    members: set[int] = set()
    previous: int | None = None
    first = True
    while first or _at(body, position) != b"]":
        first = False
        previous, position = _member(body, position, previous, members)
    if negated:
        members = set(range(256)) - members
    members.discard(ord("/"))
    if not members:
        raise _NeverMatches
    return b"[%s]" % b"".join(b"\\x%02x" % member for member in sorted(members)), position + 1


def _member(
    body: bytes, position: int, previous: int | None, members: set[int]
) -> tuple[int | None, int]:
    """One character, range or class; returns what a range may begin with, and what comes next."""
    character = _at(body, position)
    following = body[position + 1 : position + 2]
    if character == b"-" and previous is not None and following not in (b"", b"]"):
        position += 1
        if following == b"\\":
            position += 1
        members.update(range(previous, _at(body, position)[0] + 1))
        return None, position + 1
    if character == b"[" and following == b":":
        end = body.find(b"]", position + 2)
        if end < 0:
            raise _NeverMatches
        if body[end - 1 : end] == b":" and end - 1 >= position + 2:
            members.update(_class(body[position + 2 : end - 1]))
            return None, end + 1
    if character == b"\\":
        position += 1
        character = _at(body, position)
    members.add(character[0])
    return character[0], position + 1


def _class(name: bytes) -> set[int]:
    if name not in _CLASSES:
        raise _NeverMatches
    expression = re.compile(_CLASSES[name])
    return {value for value in range(256) if expression.match(bytes((value,)))}


def _split(tokens: Sequence[bytes]) -> list[list[bytes]]:
    parts: list[list[bytes]] = [[]]
    for token in tokens:
        if token == _SLASH:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _name(part: Sequence[bytes]) -> bytes:
    """An expression for one part of a path. A star gives its first chance for what follows it
    and never takes it back, unless it is the last one: the end is where it must fit."""
    chunks: list[bytes] = [b""]
    for token in part:
        if token == _STAR:
            chunks.append(b"")
        else:
            chunks[-1] += token
    if len(chunks) == 1:
        return chunks[0]
    middle = b"".join(b"(?>[^/]*?%s)" % chunk for chunk in chunks[1:-1] if chunk)
    return chunks[0] + middle + b"[^/]*" + chunks[-1]


def _path(parts: Sequence[Sequence[bytes]]) -> bytes:
    """An expression for a path: runs of parts between ``**``, which is any number of folders."""
    runs: list[list[bytes]] = [[]]
    for part in parts:
        if len(part) > 1 and all(token == _STAR for token in part):
            runs.append([])
        else:
            runs[-1].append(_name(part))
    if len(runs) == 1:
        return b"/".join(runs[0])
    begin = b"".join(expression + b"/" for expression in runs[0])
    middle = b"".join(b"(?>(?:[^/]*/)*?%s/)" % b"/".join(run) for run in runs[1:-1] if run)
    end = b"(?:[^/]*/)*" + b"/".join(runs[-1]) if runs[-1] else b".*"
    return begin + middle + end
