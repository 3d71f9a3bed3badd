"""A file or a folder to drafts: told by its name and by what is in it.

Nothing is kept here: what was read is shown to the owner, who says yes or no, and only then does it
go to the store. Raises ``InvalidSamplesError`` for what cannot be read as anything, or as what it
says it is; a mail or a note of many that cannot be read is left out and named.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ondol.errors import InvalidSamplesError
from ondol.i18n import t
from ondol.samples import chats, forms, jsonfile, mail, notes, talk
from ondol.samples.records import Draft, SourceKind

JSON_LINES = (".jsonl", ".ndjson")
TEXTS = (".md", ".markdown", ".txt")
MAILS = (".mbox", ".eml")
MOST_BYTES = chats.MOST_BYTES
MOST_FILES = 20_000
# Notes are written by hand: a larger one is a log or a book of somebody else's.
MOST_NOTE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Reading:
    """What a path holds. ``form`` says in a word what it is ("ChatGPT", "JSONL", "mail", "notes",
    "mail, notes"); ``files`` and ``conversations`` how many were read; ``skipped`` are sentences
    about those that were not; ``owners`` the addresses whose mails were taken."""

    kind: SourceKind
    form: str
    files: int
    conversations: int
    drafts: tuple[Draft, ...]
    skipped: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()


def read(
    path: Path, *, decode: mail.Decode, owners: Collection[str] = (), name: str = ""
) -> Reading:
    """Read ``path``. ``decode`` makes text of bytes whose encoding nobody says; ``owners`` are the
    addresses that the owner's mails are from, told from the mails where none is given; ``name`` is
    what the file is called where it lies under another name."""
    name = name or path.name
    try:
        if path.is_dir():
            return _folder(path, decode, owners)
        kind = Path(name).suffix.lower()
        if path.stat().st_size > MOST_BYTES:
            raise _too_large(name)
        if kind == ".zip":
            return _chats(chats.read_zip(path), name)
        if kind == ".json":
            return _json(jsonfile.from_bytes(path.read_bytes(), name), name)
        if kind in JSON_LINES:
            return _rows(_lines(path, name), name)
        if kind in (*TEXTS, *MAILS):
            if path.stat().st_size == 0:
                raise InvalidSamplesError(t("samples.empty_file", file=name))
            return _writing([path], path.parent, decode, owners, name)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InvalidSamplesError(t("samples.unreadable", file=name, reason=reason)) from error
    raise InvalidSamplesError(t("samples.unknown_file", file=name), t("samples.forms_hint"))


def _folder(folder: Path, decode: mail.Decode, owners: Collection[str]) -> Reading:
    export = sorted(folder.glob("conversations*.json"))
    if export:
        if sum(file.stat().st_size for file in export) > MOST_BYTES:
            raise _too_large(folder.name)
        rows: list[object] = []
        for file in export:
            data = jsonfile.from_bytes(file.read_bytes(), file.name)
            rows += data if isinstance(data, list) else [data]
        return _chats(rows, folder.name)
    root = folder.resolve()
    found = [
        file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in (*TEXTS, *MAILS)
        and file.is_file()
        # A link in a folder that somebody sent may lead anywhere.
        and file.resolve().is_relative_to(root)
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]
    if not found:
        raise InvalidSamplesError(
            t("samples.nothing_in_folder", file=folder.name), t("samples.forms_hint")
        )
    if len(found) > MOST_FILES:
        raise InvalidSamplesError(t("samples.too_many_files", file=folder.name, most=MOST_FILES))
    return _writing(found, folder, decode, owners, "")


def _writing(
    files: Sequence[Path], root: Path, decode: mail.Decode, owners: Collection[str], name: str
) -> Reading:
    drafts: list[Draft] = []
    mails: list[mail.Mail] = []
    skipped: list[str] = []
    documents = 0
    for file in files:
        called = name or str(file.relative_to(root))
        try:
            if file.stat().st_size > MOST_BYTES:
                skipped.append(_too_large(called).message)
            elif Path(called).suffix.lower() in MAILS:
                read = list(mail.read(file, decode))
                bad = sum(one is None for one in read)
                mails += [one for one in read if one is not None]
                if bad:
                    skipped.append(t("samples.bad_mails", file=called, count=bad))
            elif file.stat().st_size > MOST_NOTE_BYTES:
                skipped.append(t("samples.long_note", file=called, most=MOST_NOTE_BYTES >> 20))
            else:
                text = decode(file.read_bytes()).replace("\r\n", "\n")
                title = Path(called).stem.replace("_", " ")
                drafts += notes.drafts_of(f"note:{called}", title, text)
                documents += 1
        except OSError as error:
            reason = error.strerror or type(error).__name__
            skipped.append(t("samples.unreadable", file=called, reason=reason))
    mine = tuple(dict.fromkeys(one.strip().lower() for one in owners))
    if mails and not mine:
        if not (found := mail.owner_of(mails)):
            raise InvalidSamplesError(t("samples.whose_mails"), t("samples.whose_mails_hint"))
        mine = (found,)
    drafts += mail.drafts_of(mails, mine)
    form = ", ".join(word for word, is_there in (("mail", mails), ("notes", documents)) if is_there)
    conversations = len({one.conversation for one in drafts})
    what = name or root.name
    return _checked(
        Reading(
            "writing",
            form,
            len(files),
            conversations,
            tuple(drafts),
            tuple(skipped),
            mine if mails else (),
        ),
        what,
    )


def _json(data: object, name: str) -> Reading:
    if chats.form_of(data):
        return _chats(data if isinstance(data, list) else [data], name)
    if isinstance(data, list):
        return _rows(list(enumerate(data, start=1)), name)
    if isinstance(data, dict) and isinstance(data.get("conversations"), list):
        if chats.form_of(data["conversations"]):
            return _chats(data["conversations"], name)
    raise InvalidSamplesError(t("samples.unknown_file", file=name), t("samples.forms_hint"))


def _chats(rows: Sequence[object], name: str) -> Reading:
    found, bad = chats.conversations(rows)
    drafts = [one for id, turns in found for one in talk.drafts_of(id, turns)]
    form = next((id.partition(":")[0] for id, _ in found), "")
    skipped = (t("samples.bad_conversations", file=name, count=bad),) if bad else ()
    reading = Reading("chat_export", form, 1, len(found), tuple(drafts), skipped)
    return _checked(reading, name)


def _lines(file: Path, name: str) -> Iterator[tuple[int, object]]:
    data = file.read_bytes()
    if not data.strip():
        raise InvalidSamplesError(t("samples.empty_file", file=name))
    try:
        wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidSamplesError(
            t("samples.encoding", file=name), t("samples.encoding_hint")
        ) from error
    # Not splitlines: it also splits at characters that may stand inside a JSON string.
    for number, line in enumerate(io.StringIO(text, newline="\n"), start=1):
        if line.strip():
            yield number, jsonfile.line(line, name, number)


def _rows(rows: Iterable[tuple[int, object]], name: str) -> Reading:
    drafts: list[Draft] = []
    for number, row in rows:
        try:
            drafts += forms.drafts_of(row)
        except ValueError as error:
            raise jsonfile.bad_line(name, number, t(f"samples.row_{error}")) from error
    conversations = len({one.conversation for one in drafts})
    return _checked(Reading("file", "JSONL", 1, conversations, tuple(drafts)), name)


def _too_large(name: str) -> InvalidSamplesError:
    return InvalidSamplesError(t("samples.too_large", file=name, megabytes=MOST_BYTES >> 20))


def _checked(reading: Reading, name: str) -> Reading:
    """``reading``, unless there is nothing in it."""
    if not reading.drafts:
        told = " ".join([t("samples.nothing_to_learn", file=name), *reading.skipped[:3]])
        raise InvalidSamplesError(told, t("samples.forms_hint"))
    return reading
