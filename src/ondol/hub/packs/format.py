"""The files of a pack, and what ``pack.toml`` says: strict, bounded, no code.

A pack is a folder of files with fixed names; on a hub each is a target. Nothing in it is run, and a
name or a field that nobody would read is refused. Raises ``InvalidPackError`` and ``HubError``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ondol.errors import InvalidPackError, UsageError
from ondol.hub import targets
from ondol.hub.card import Card, Channel
from ondol.hub.packs import questions
from ondol.hub.packs.questions import Question
from ondol.hub.targets import Version
from ondol.i18n import t
from ondol.models import glossary
from ondol.models.glossary import Glossary
from ondol.models.json_lines import is_plain, read_text
from ondol.models.made import parameters_of
from ondol.models.manifest import DIGEST

FORMAT = 1
PACK, GLOSSARY, EVALUATION = "pack.toml", "glossary.jsonl", "evaluation.jsonl"
ADAPTER, README, LICENCE = "adapter.gguf", "README.md", "LICENSE"
ROLES: Mapping[str, str] = MappingProxyType(
    {
        PACK: "pack",
        GLOSSARY: glossary.ROLE,
        EVALUATION: "evaluation",
        ADAPTER: "adapter",
        README: "readme",
        LICENCE: "licence",
    }
)
"""Every file that a pack may have, and its role."""

MOST_BYTES = 256 * 1024
MOST_PROMPTS = 50
LONGEST_LINE = 200
LONGEST_TEXT = 4_000
LONGEST_PROMPT = 8_000
MOST_LANGUAGES = 40

_TEXTS = {
    "field": LONGEST_LINE,
    "title": LONGEST_LINE,
    "description": LONGEST_TEXT,
    "not_for": LONGEST_TEXT,
    "licence": LONGEST_LINE,
    "source": LONGEST_TEXT,
}
"""What has to be said of a pack, and how many letters it may take."""
_KNOWN = (*_TEXTS, "format", "name", "version", "languages", "instructions", "channel", "min_ondol")
_TABLES = ("model", "prompts", "measured")


@dataclass(frozen=True, slots=True)
class Prompt:
    """For the owner's library of prompts."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack that was read whole.

    ``model`` is the name of the base model, ``base_digest`` that of its weights ("" until it was
    built); ``parameters`` are defaults in Ollama's words (``models.made``). ``not_for`` says what
    it must not be used for. ``measured`` is what its publisher measured; ``digest`` that of its
    ``pack.toml``. ``files`` are all of its files, by name.
    """

    name: str
    version: Version
    field: str
    title: str
    description: str
    not_for: str
    licence: str
    source: str
    languages: tuple[str, ...]
    model: str
    base_digest: str
    files: Mapping[str, Path]
    digest: str
    instructions: str = ""
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    prompts: tuple[Prompt, ...] = ()
    glossary: Glossary = dataclasses.field(default_factory=Glossary)
    questions: tuple[Question, ...] = ()
    measured: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    channel: Channel = "stable"
    min_ondol: str = ""

    @property
    def roles(self) -> dict[str, str]:
        """The role of each of its files."""
        return {name: ROLES[name] for name in self.files}

    def card(self) -> Card:
        """What a hub shows of it, and its publisher signs."""
        return Card(
            kind="pack",
            name=self.name,
            files=self.roles,
            channel=self.channel,
            title=self.title,
            description=f"{self.description}\n\n{self.not_for}"[:LONGEST_TEXT],
            base_model=self.model,
            base_digest=self.base_digest,
            licence=self.licence,
            languages=self.languages,
            evaluation=dict(self.measured),
            source=self.source,
            min_ondol=self.min_ondol,
        )


def read(folder: Path) -> Pack:
    """The pack in ``folder``, which holds its files and nothing else."""
    try:
        found = {one.name: one for one in sorted(folder.iterdir()) if not _is_hidden(one)}
    except OSError as error:
        raise InvalidPackError(t("packs.no_folder", folder=folder)) from error
    if PACK not in found:
        # Said first: any other folder has files that are none of a pack's.
        raise InvalidPackError(t("packs.missing", file=PACK))
    for path in found.values():
        if not stat.S_ISREG(path.lstat().st_mode):
            raise InvalidPackError(t("packs.no_file", file=path.name))
    return check(found)


def check(files: Mapping[str, Path]) -> Pack:
    """The pack that ``files`` are, by name. The adapter's own bytes are for who knows its base."""
    for name in files:
        if name not in ROLES:
            raise InvalidPackError(
                t("packs.unknown_file", file=name[:LONGEST_LINE]),
                t("packs.unknown_file_hint", files=", ".join(ROLES)),
            )
    if PACK not in files:
        raise InvalidPackError(t("packs.missing", file=PACK))
    for name in (README, LICENCE):
        if name in files:
            read_text(files[name], name, MOST_BYTES)
    text = read_text(files[PACK], PACK, MOST_BYTES)
    try:
        said = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidPackError(t("packs.no_toml", reason=error)) from None
    found = _pack(said, files, f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")
    if not (found.instructions or found.glossary.terms or found.prompts or ADAPTER in files):
        raise InvalidPackError(t("packs.nothing_in_it"))
    return found


def _pack(said: Mapping[str, Any], files: Mapping[str, Path], digest: str) -> Pack:
    _only(said, (*_KNOWN, *_TABLES), "")
    if said.get("format") != FORMAT:
        raise InvalidPackError(t("packs.other_format", format=str(said.get("format"))[:20]))
    texts = {name: _text(said, name, longest) for name, longest in _TEXTS.items()}
    model = _table(said, "model")
    _only(model, ("name", "digest", "parameters"), "model.")
    base_digest = _text(model, "digest", LONGEST_LINE, "model.", required=False)
    if base_digest and not DIGEST.fullmatch(base_digest):
        raise _bad("model.digest")
    channel = said.get("channel", "stable")
    if channel not in ("stable", "beta"):
        raise _bad("channel")
    min_ondol = _text(said, "min_ondol", LONGEST_LINE, required=False)
    return Pack(
        name=targets.name(_text(said, "name", LONGEST_LINE)),
        version=Version.of(_text(said, "version", LONGEST_LINE)),
        **texts,
        languages=_languages(said),
        model=_text(model, "name", LONGEST_LINE, "model."),
        base_digest=base_digest,
        files=dict(files),
        digest=digest,
        instructions=_text(said, "instructions", LONGEST_TEXT, required=False),
        parameters=_parameters(model),
        prompts=_prompts(said),
        glossary=glossary.read(files[GLOSSARY]) if GLOSSARY in files else Glossary(),
        questions=questions.read(files[EVALUATION]) if EVALUATION in files else (),
        measured=_measured(said),
        channel=channel,
        min_ondol=str(Version.of(min_ondol)) if min_ondol else "",
    )


def _parameters(model: Mapping[str, Any]) -> dict[str, Any]:
    try:
        known, idle = parameters_of(_table(model, "parameters"))
    except UsageError as error:
        raise InvalidPackError(error.message) from None
    if idle:
        raise _bad(f"model.parameters.{idle[0]}")
    return known


def _prompts(said: Mapping[str, Any]) -> tuple[Prompt, ...]:
    tables = said.get("prompts", [])
    if not isinstance(tables, list) or len(tables) > MOST_PROMPTS:
        raise _bad("prompts")
    found: dict[str, Prompt] = {}
    for one in tables:
        if not isinstance(one, dict):
            raise _bad("prompts")
        _only(one, ("name", "text"), "prompts.")
        name = " ".join(_text(one, "name", 60, "prompts.").split())
        if name in found:
            raise InvalidPackError(
                t("packs.bad_field", field="prompts", why=t("packs.twice", term=name))
            )
        found[name] = Prompt(name, _text(one, "text", LONGEST_PROMPT, "prompts."))
    return tuple(found.values())


def _languages(said: Mapping[str, Any]) -> tuple[str, ...]:
    found = said.get("languages")
    if not isinstance(found, list) or not 0 < len(found) <= MOST_LANGUAGES:
        raise _bad("languages")
    if not all(is_plain(one, 20) for one in found):
        raise _bad("languages")
    return tuple(found)


def _measured(said: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and short texts, two levels deep; whose they are the signature says."""
    found = _table(said, "measured")
    tables = [found, *(one for one in found.values() if isinstance(one, dict))]
    for value in (value for table in tables for value in table.values()):
        is_number = type(value) in (int, float) and math.isfinite(value)
        if not (is_number or is_plain(value, LONGEST_LINE) or any(value is one for one in tables)):
            raise _bad("measured")
    if sum(map(len, tables)) > MOST_PROMPTS:
        raise _bad("measured")
    return dict(found)


def _text(
    table: Mapping[str, Any], name: str, longest: int, place: str = "", *, required: bool = True
) -> str:
    value = table.get(name, "")
    if value == "" and not required:
        return ""
    if not is_plain(value, longest):
        raise InvalidPackError(
            t("packs.bad_field", field=place + name, why=t("packs.a_text", most=longest))
        )
    return str(value).strip()


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = table.get(name, {})
    if not isinstance(found, dict):
        raise _bad(name)
    return found


def _only(table: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
    for name in table:
        if name not in known:
            raise InvalidPackError(t("packs.unknown_field", field=(place + name)[:LONGEST_LINE]))


def _is_hidden(path: Path) -> bool:
    """What a desktop leaves in folders."""
    return path.name.startswith(".") or path.name in ("Thumbs.db", "desktop.ini")


def _bad(name: str) -> InvalidPackError:
    return InvalidPackError(t("packs.bad_field", field=name, why=t("packs.see_docs")))
