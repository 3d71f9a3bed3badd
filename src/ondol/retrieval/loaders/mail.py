"""Mails (.eml) and mailboxes (.mbox): headers decoded, then the body; attachments are members.

Of two versions of one body the plain text is read, unless it is empty. Bytes that say nothing, or
something wrong, about their encoding are guessed like those of a file. Never writes.
"""

from __future__ import annotations

import email
import email.errors
import re
from collections.abc import Iterator
from email.header import decode_header
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import partial

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import encoding, html, names
from ondol.retrieval.loaders.extract import Extract, Member

HEADERS = ("From", "To", "Cc", "Date", "Subject")
MAX_HEADER_CHARACTERS = 500
MAX_PARTS = 2000

_ENCRYPTED = frozenset(
    ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")
)
_SIGNATURES = frozenset(("application/pgp-signature", "application/pkcs7-signature"))
_SEPARATOR = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\r\n\r\n))From [^\r\n]*\d{4}[^\r\n]*\r?\n")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.M)
_BLANK_LINES = re.compile(r"\n{3,}")


def parse(data: bytes, name: str) -> Extract:
    """The mail's text; its title is the subject."""
    mail = email.message_from_bytes(data)
    if not mail.keys():
        raise DocumentError(t("documents.broken", name=name))
    headers = {header: _header(mail, header) for header in HEADERS}
    headers["Date"] = _date(headers["Date"])
    lines = [f"{header}: {value}" for header, value in headers.items() if value]
    text = "\n\n".join(filter(None, ("\n".join(lines), _body(mail))))
    return Extract(text, headers["Subject"], members=_attachments(mail))


def parse_mbox(data: bytes, name: str) -> Extract:
    """No text of its own; every mail is a member "0001 Subject.eml". An empty box has none."""
    starts = [match.span() for match in _SEPARATOR.finditer(data)]
    if data.strip() and (not starts or starts[0][0] != 0):
        raise DocumentError(t("documents.broken", name=name))
    ends = [start for start, _ in starts[1:]] + [len(data)]
    spans = [(begin, end) for (_, begin), end in zip(starts, ends, strict=False)]
    return Extract("", members=_mails(data, spans))


def _mails(data: bytes, spans: list[tuple[int, int]]) -> Iterator[Member]:
    for number, (begin, end) in enumerate(spans, start=1):
        content = _QUOTED_FROM.sub(rb"\1", data[begin:end])
        subject = _header(email.message_from_bytes(content[:20_000]), "Subject")
        name = names.one_step(f"{number:04} {subject}")
        yield Member(f"{name}.eml", len(content), partial(bytes, content))


def _header(mail: Message, name: str) -> str:
    """A header in one line, whatever its bytes are."""
    for key, value in mail.raw_items():
        if key.lower() == name.lower():
            return _decoded(str(value))
    return ""


def _decoded(raw: str) -> str:
    """Encoded words decoded; bytes that should not stand in a header are guessed."""
    try:
        raw.encode("ascii")
        parts = decode_header(raw)
    except (UnicodeEncodeError, ValueError, email.errors.MessageError):
        parts = [(raw.encode("utf-8", "surrogateescape"), None)]
    text = "".join(
        part if isinstance(part, str) else encoding.decode(part, declared=charset or "")
        for part, charset in parts
    )
    line = " ".join(text.replace("\0", "").split())
    return line if len(line) <= MAX_HEADER_CHARACTERS else line[:MAX_HEADER_CHARACTERS] + "…"


def _date(header: str) -> str:
    """Year first, with the mail's own time and zone; as it stands when it is no date."""
    try:
        return f"{parsedate_to_datetime(header):%Y-%m-%d %H:%M %z}".strip()
    except (TypeError, ValueError, OverflowError, IndexError):
        return header


def _body(mail: Message) -> str:
    """The text parts in order, without attachments."""
    texts = []
    for part in _leaves(mail):
        if not _is_attachment(part) and part.get_content_type() in ("text/plain", "text/html"):
            texts.append(_part_text(part))
    body = "\n\n".join(filter(None, texts))
    return _BLANK_LINES.sub("\n\n", body).strip("\n")


def _leaves(mail: Message) -> Iterator[Message]:
    """The parts that hold content, one of each set of alternatives; attached mails stay whole."""
    stack, taken = [mail], 0
    while stack and taken < MAX_PARTS:
        part = stack.pop()
        taken += 1
        inside = _inside(part)
        if part.get_content_type() == "message/rfc822" or not part.is_multipart():
            yield part
        elif part.get_content_type() == "multipart/alternative":
            stack.extend(_alternative(inside))
        else:
            stack.extend(reversed(inside))


def _inside(part: Message) -> list[Message]:
    content = part.get_payload()
    return [p for p in content if isinstance(p, Message)] if isinstance(content, list) else []


def _alternative(parts: list[Message]) -> list[Message]:
    """The plain version when it says anything, else the last, which is the richest."""
    plain = [part for part in parts if part.get_content_type() == "text/plain"]
    rest = [part for part in parts if part not in plain]
    if any(_part_text(part) for part in plain):
        # What is no version of the text (an invitation, say) is kept beside it.
        return [*[p for p in rest if not _is_version(p)], *plain]
    versions = [part for part in rest if _is_version(part)]
    return [*[p for p in rest if not _is_version(p)], *versions[-1:]]


def _is_version(part: Message) -> bool:
    return part.get_content_type() == "text/html" or part.is_multipart()


def _part_text(part: Message) -> str:
    data = _content(part)
    declared = part.get_content_charset() or ""
    if part.get_content_type() == "text/html":
        try:
            return html.parse(data, "", declared=declared).text
        except DocumentError:
            return ""
    text = encoding.decode(data, declared=declared).replace("\r\n", "\n").replace("\0", "")
    return text.strip()


def _is_attachment(part: Message) -> bool:
    is_text = part.get_content_type() in ("text/plain", "text/html")
    return part.get_content_disposition() == "attachment" or (
        bool(_file_name(part)) or not is_text or part.is_multipart()
    )


def _attachments(mail: Message) -> Iterator[Member]:
    for number, part in enumerate(filter(_is_member, _leaves(mail)), start=1):
        name = _file_name(part) or _unnamed(part, number)
        size_bytes = len(part.get_payload()) if isinstance(part.get_payload(), str) else 0
        yield Member(names.one_step(name), size_bytes, partial(_read, part, name))


def _is_member(part: Message) -> bool:
    """Attachments, but not signatures and not pictures that only decorate the text."""
    kind = part.get_content_type()
    is_decoration = kind.startswith("image/") and part.get_content_disposition() != "attachment"
    return kind in _ENCRYPTED or (
        _is_attachment(part) and kind not in _SIGNATURES and not is_decoration
    )


def _unnamed(part: Message, number: int) -> str:
    ending = {"message/rfc822": ".eml", "text/html": ".html", "text/calendar": ".ics"}
    subject = ""
    if part.get_content_type() == "message/rfc822" and (inside := _inside(part)):
        subject = _header(inside[0], "Subject")
    return (subject or f"attachment {number}") + ending.get(part.get_content_type(), "")


def _file_name(part: Message) -> str:
    """The name, in any of the ways that programs encode it."""
    for header, parameter in (("content-disposition", "filename"), ("content-type", "name")):
        value = _raw_header(part, header).get_param(parameter, header=header)
        if isinstance(value, tuple):  # RFC 2231: charset, language, percent-decoded as Latin-1
            charset, _, text = value
            raw = text.encode("latin-1", "replace")
            return " ".join(encoding.decode(raw, declared=charset or "").split())
        if isinstance(value, str) and value:
            return _decoded(value)
    return ""


def _raw_header(part: Message, name: str) -> Message:
    """That header alone, in letters: the parser of parameters loses bytes that are no ASCII."""
    alone = Message()
    for key, value in part.raw_items():
        if key.lower() == name:
            raw = str(value).encode("utf-8", "surrogateescape")
            alone[name] = encoding.decode(raw).replace("\n", " ").replace("\r", " ")
            break
    return alone


def _read(part: Message, name: str) -> bytes:
    if part.get_content_type() in _ENCRYPTED:
        message = t("formats.encrypted_mail", name=name)
        raise DocumentError(message, t("formats.encrypted_mail_hint"))
    return _inside(part)[0].as_bytes() if part.is_multipart() else _content(part)


def _content(part: Message) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""
