"""The definitions in source code of many languages, found by the look of its lines.

A definition begins where a line says so ("fn run", "CREATE TABLE", "void run(int x) {") at low
indentation, with the comments above it; it ends where a line stands as far left that does not
belong to it. Wrong guesses cost a heading, never text. Patterns see only short lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Definitions further in are local to the one around them.
MAX_INDENT = 8
TAB_WIDTH = 4
MAX_LINE_CHARACTERS = 300
MAX_NAME_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Definition:
    """Line numbers count from 0; ``end`` is the line after the last."""

    start: int
    end: int
    name: str


_COMMENT = re.compile(r"[ \t]*(?:#|//|/\*|\*|--|;|%|@|\[[A-Z]|'''|\"\"\")")
# What may stand as far left as a definition and still belong to it.
_GOES_ON = re.compile(r"[\]})({=|:&]|(?:end|else|elif|elsif|rescue|ensure|where|begin|then|do)\b")
_PREPROCESSOR = re.compile(r"#\s*(?:if|ifdef|ifndef|else|elif|endif|define|undef|pragma|include)\b")

_MODIFIERS = (
    r"(?:(?:export|default|pub(?:\([\w:]+\))?|public|private|protected|internal|static|final|abstract|"
    r"sealed|open|override|virtual|async|unsafe|extern|const|inline|data|partial|readonly|declare|"
    r"suspend|implicit|case|local|native|mutating|fileprivate|indirect|constexpr|typedef)\s+)*"
)
_KEYWORDS = (
    "class|interface|struct|enum|union|trait|impl|namespace|module|object|protocol|extension|record|"
    "actor|type|mixin|fn|func|function|fun|def|defp|defmacro|defmodule|defprotocol|defimpl|sub|proc|"
    "procedure|macro|subroutine"
)
_NAME = r"[\w$]+(?:[.:'-]+[\w$]+)*[!?']?"


def _keyword(words: str) -> re.Pattern[str]:
    return re.compile(
        rf"{_MODIFIERS}({words})\b\*?\s*(?:<[^>]*>\s*)?(?:\([^)]*\)\s*)?"
        rf"\"?({_NAME}(?:\"\s+\"{_NAME}|\s+for\s+{_NAME})?)"
    )


_BY_KEYWORD = _keyword(_KEYWORDS)
_TERRAFORM = _keyword("resource|data|variable|output|provider|module|locals")
_PROTOBUF = _keyword("message|service|rpc|enum|type|input|interface|struct")
_OCAML = _keyword("let rec|let|module|type|class|and")
_METHOD = re.compile(
    r"(?:(?:get|set|async|static|public|private|protected)\s+)*()\*?(#?[\w$]+)\s*"
    r"\((?:[^()]|\([^()]*\))*\)[^;{}=]*\{"
)
_ASSIGNED = re.compile(
    rf"(?:export\s+)?(?:(?:const|let|var|local)\s+)?()({_NAME})\s*(?::[^=]+)?(?:=|<-)\s*"
    r"(?:async\s+)?(?:function\b|\((?:[^()]|\([^()]*\))*\)\s*(?::[^=]+)?=>|\w+\s*=>)"
)
_SHELL = re.compile(r"()([\w:-]+)\s*\(\)")
_SQL = re.compile(
    r"create\s+(?:or\s+replace\s+)?(?:temp\s+|temporary\s+|unique\s+|materialized\s+)?"
    r"(table|view|function|procedure|trigger|index|type)\s+(?:if\s+not\s+exists\s+)?([\w.\"`]+)",
    re.I,
)
_LISP = re.compile(r"\((def\w*|define\S*)\s+\(?([^\s()]+)")
_SIGNATURE = re.compile(r"()([a-z_][\w']*)\s*::\s")
_SECTION = re.compile(r"\[+()([^\[\]]+)\]+\s*(?:[#;].*)?$")
_TARGET = re.compile(r"()([\w.%/-]+)\s*:(?!=)")
# A type and a name in front of parameters; checked further by ``_shaped``.
_SHAPE = re.compile(r"[\w:<>,*&\[\]?.~ \t]+\(")
_NOT_NAMES = frozenset(
    "if for while switch return else catch do try when match new throw delete sizeof await yield "
    "typeof in of and or not case using lock foreach until unless except with function super this "
    "assert".split()
)
# No type begins with these: "go run(", "echo run(".
_NOT_TYPES = _NOT_NAMES | frozenset("print echo require include import from goto defer go".split())

_SCRIPT = (_BY_KEYWORD, _ASSIGNED, _METHOD)
_PATTERNS: dict[str, tuple[re.Pattern[str], ...]] = {
    "javascript": _SCRIPT, "typescript": _SCRIPT, "vue": _SCRIPT, "dart": _SCRIPT,
    "r": (_ASSIGNED,), "lua": (_BY_KEYWORD, _ASSIGNED), "sql": (_SQL,), "clojure": (_LISP,),
    "lisp": (_LISP,), "haskell": (_keyword("data|newtype|class|instance|type"), _SIGNATURE),
    "ocaml": (_OCAML,), "toml": (_SECTION,), "ini": (_SECTION,), "make": (_TARGET,),
    "shell": (_BY_KEYWORD, _SHELL), "terraform": (_TERRAFORM,), "protobuf": (_PROTOBUF,),
}  # fmt: skip
_SHAPED = frozenset("c c++ csharp java objective-c dart".split())
_UNTIL_NEXT = frozenset("toml ini haskell ocaml make".split())
_NONE = frozenset("yaml log xml subtitles diff css asm".split())


def definitions(lines: list[str], language: str) -> list[Definition]:
    """The definitions in ``lines``; ``language`` is the last part of a media type ("c++")."""
    if language in _NONE:
        return []
    run = _Outline(lines, language)
    for index, line in enumerate(lines):
        if line.strip():
            run.read(index, line)
    run.close(-1, len(lines))
    return run.found


def with_comments(
    lines: list[str], first: int, *, floor: int = 0, comment: re.Pattern[str] = _COMMENT
) -> int:
    """The first line of the comments and annotations that stand right above line ``first``, not
    above line ``floor``."""
    while first > floor and lines[first - 1].strip() and comment.match(lines[first - 1]):
        first -= 1
    return first


class _Outline:
    """One walk through the lines of a file; open definitions are a stack by indentation."""

    def __init__(self, lines: list[str], language: str) -> None:
        self.found: list[Definition] = []
        self._lines = lines
        self._language = language
        self._patterns = _PATTERNS.get(language, (_BY_KEYWORD,))
        self._open: list[tuple[int, int, str]] = []
        self._after = 0  # the line after the last one that defined something

    def read(self, index: int, line: str) -> None:
        text = line.strip()
        if _PREPROCESSOR.match(text) and self._language in _SHAPED:
            return
        indent = len(line.expandtabs(TAB_WIDTH)) - len(line.expandtabs(TAB_WIDTH).lstrip())
        name = self._name(text, indent)
        if name:
            start = with_comments(self._lines, index, floor=self._after)
            self.close(indent, start)
            self._open.append((indent, start, name))
            self._after = index + 1
        elif self._language not in _UNTIL_NEXT and not _GOES_ON.match(text):
            if not _COMMENT.match(text):
                self.close(indent, with_comments(self._lines, index, floor=self._after))

    def close(self, indent: int, end: int) -> None:
        """Definitions that stand as far right as ``indent`` end before the line ``end``."""
        while self._open and self._open[-1][0] >= indent:
            _, start, name = self._open.pop()
            self.found.append(Definition(start, max(end, start + 1), name))

    def _name(self, text: str, indent: int) -> str:
        """What the line defines; empty when it defines nothing."""
        if indent > MAX_INDENT or len(text) > MAX_LINE_CHARACTERS:
            return ""
        if text.endswith(";") and self._language != "sql":  # declared here, defined elsewhere
            return ""
        shaped = self._shaped(text, indent) if self._language in _SHAPED else ""
        for pattern in self._patterns if not shaped else ():
            match = pattern.match(text)
            if pattern is _METHOD and not self._is_in_class(indent):
                continue
            if match and match.group(2) not in _NOT_NAMES:
                name = f"{match.group(1)} {match.group(2)}".strip().replace('"', "")
                return name[:MAX_NAME_CHARACTERS]
        return shaped

    def _is_in_class(self, indent: int) -> bool:
        around = [name for left, _, name in self._open if left < indent]
        return bool(around) and around[-1].startswith(("class", "struct", "enum"))

    def _shaped(self, text: str, indent: int) -> str:
        """ "int run(" in the languages of C: a type and a name, and no assignment before them."""
        match = _SHAPE.match(text)
        words = match.group()[:-1].split() if match else []
        # A constructor has no type in front of it; deeper in, a lone name is a call.
        is_plain = len(words) >= 2 or (len(words) == 1 and self._is_in_class(indent))
        name = words[-1].lstrip("*&") if is_plain else ""
        if name in _NOT_NAMES or any(word in _NOT_TYPES for word in words[:-1]):
            return ""
        return f"{name}()"[:MAX_NAME_CHARACTERS] if re.fullmatch(r"[\w:~]+", name) else ""
