"""Mails that the owner sent to samples of how the owner writes: each with the mail that it answers.

Mailboxes (.mbox) and single mails (.eml). Of a mail only what its sender wrote counts: no quotes of
other mails, nothing below the mark of a signature (RFC 3676, "-- "). What it answers is found by
its Message-ID (RFC 5322, In-Reply-To), else it is what it quotes. Never writes.
"""

from __future__ import annotations

import email
import hashlib
import mailbox
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.message import Message as Part
from email.utils import getaddresses
from html import unescape
from pathlib import Path

from ondol.samples.records import Draft
from ondol.types import Message

Decode = Callable[[bytes], str]

REPLY = {"en": "Reply to this mail:\n\n{mail}", "ko": "이 메일에 답장을 써 줘:\n\n{mail}"}
WRITE = {"en": "Write a mail about: {subject}", "ko": "이런 제목으로 메일을 써 줘: {subject}"}
MOST_BODY_LETTERS = 6000

_ID = re.compile(r"<[^<>\s]{3,300}>")
_BEGINS_QUOTE = re.compile(
    r"""^(?:>|
        -{2,}\s*(?:Original\ Message|Forwarded\ message|원본\ 메시지|Original\ message)|
        _{20,}\s*$|
        (?:On|Am|Le|El)\ .{6,160}(?:wrote|schrieb|écrit|escribió)\s*:\s*$|
        .{0,160}(?:님이|님께서)\ (?:작성|쓴|보낸).{0,20}:?\s*$|
        (?:From|보낸\ ?사람|발신)\s*:\s.{2,}$)""",
    re.VERBOSE | re.IGNORECASE,
)
_SUBJECT_MARKS = re.compile(
    r"^\s*(?:(?:re|fwd?|aw|wg|회신|답장|전달)\s*(?:\[\d+\])?\s*[:：]\s*)+", re.I
)
_HANGUL = re.compile(r"[가-힣]")


@dataclass(frozen=True, slots=True)
class Mail:
    """What of a mail matters here. ``body`` is what its sender wrote, ``quoted`` what it quotes;
    ``refers_to`` are the ids of the mails before it, the one that it answers last."""

    id: str
    sender: str
    receivers: frozenset[str]
    subject: str
    body: str
    quoted: str
    refers_to: tuple[str, ...]
    is_sent: bool


def read(file: Path, decode: Decode) -> Iterator[Mail | None]:
    """The mails in a file; ``None`` for each that is none or that nobody can read."""
    if file.suffix.lower() == ".mbox":
        box = mailbox.mbox(str(file), create=False)
        try:
            for key in box.iterkeys():
                yield _mail(box.get_bytes(key), decode)
        finally:
            box.close()
    else:
        yield _mail(file.read_bytes(), decode)


def owner_of(mails: Iterable[Mail]) -> str:
    """Whose mails these are, by where they lie and who they came to; "" when that cannot be
    told."""
    mails = list(mails)
    senders = Counter(one.sender for one in mails)
    if len(senders) == 1:
        return next(iter(senders))
    sent = Counter(one.sender for one in mails if one.is_sent)
    if sent:
        return sent.most_common(1)[0][0]
    # Who is in most of the mails, on either side, and wrote some of them.
    present = Counter(who for one in mails for who in {one.sender, *one.receivers})
    likely = [who for who in senders if present[who] >= 0.8 * len(mails)]
    return likely[0] if len(likely) == 1 else ""


def drafts_of(mails: Iterable[Mail], owners: Collection[str]) -> Iterator[Draft]:
    """The samples that the mails of ``owners`` make."""
    mails = list(mails)
    known = {one.id: one for one in mails if one.id}
    mine = {address.lower() for address in owners}
    for one in mails:
        if one.sender not in mine or not one.body.strip():
            continue
        before = next((known[id] for id in reversed(one.refers_to) if id in known), None)
        answered = before.body if before and before.sender not in mine else one.quoted
        asked = _request(one, answered[:MOST_BODY_LETTERS].strip())
        if asked:
            yield Draft("sft", _thread(one), (Message("user", asked),), one.body)


def _request(one: Mail, answered: str) -> str:
    language = "ko" if _HANGUL.search(one.body) else "en"
    if answered:
        return REPLY[language].format(mail=answered)
    subject = _SUBJECT_MARKS.sub("", one.subject)
    return WRITE[language].format(subject=subject) if subject else ""


def _thread(one: Mail) -> str:
    """A name for all mails of a thread: the first that they refer to, or their subject."""
    subject = _SUBJECT_MARKS.sub("", one.subject).casefold()
    first = one.refers_to[0] if one.refers_to else one.id
    name = f"subject {subject}" if subject else first
    return f"mail:{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:16]}"


def _mail(data: bytes, decode: Decode) -> Mail | None:
    try:
        mail = email.message_from_bytes(data)
        if not mail.keys():
            return None
        sender = _addresses(mail, "From")
        if len(sender) != 1 or mail.get("Auto-Submitted", "no").strip().lower() != "no":
            return None
        body, quoted = parted(_text(mail, decode))
        labels, before = _header(mail, "X-Gmail-Labels"), _header(mail, "In-Reply-To")
        return Mail(
            id=next(iter(_ID.findall(_header(mail, "Message-ID"))), ""),
            sender=next(iter(sender)),
            receivers=_addresses(mail, "To", "Cc", "Delivered-To"),
            subject=_header(mail, "Subject"),
            body=body,
            quoted=quoted,
            refers_to=tuple(_ID.findall(f"{_header(mail, 'References')} {before}")),
            is_sent=bool(re.search(r"\bSent\b|보낸편지함", labels)),
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        # The standard library's parser fails on headers in more ways than it names.
        return None


def _header(mail: Part, name: str) -> str:
    raw = str(mail.get(name, ""))
    try:
        raw = str(make_header(decode_header(raw)))
    except (ValueError, LookupError):
        pass
    return " ".join(raw.split())


def _addresses(mail: Part, *names: str) -> frozenset[str]:
    raw = [str(value) for name in names for value in mail.get_all(name, [])]
    return frozenset(address.lower() for _, address in getaddresses(raw) if "@" in address)


def _text(mail: Part, decode: Decode) -> str:
    """The plain version of the text, or what of the HTML one is text."""
    plain: list[str] = []
    rich: list[str] = []
    for part in mail.walk():
        kind = part.get_content_type()
        if part.is_multipart() or part.get_content_disposition() == "attachment":
            continue
        if kind in ("text/plain", "text/html"):
            data = part.get_payload(decode=True)
            text = _decoded(data if isinstance(data, bytes) else b"", part, decode)
            (plain if kind == "text/plain" else rich).append(text)
    said = "\n\n".join(text for text in plain if text.strip())
    return said or "\n\n".join(_prose(text) for text in rich)


def _decoded(data: bytes, part: Part, decode: Decode) -> str:
    try:
        return data.decode(part.get_content_charset() or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return decode(data)


def parted(text: str) -> tuple[str, str]:
    """What the sender of a mail wrote, and what it quotes of another."""
    own: list[str] = []
    quoted: list[str] = []
    lines = text.replace("\r\n", "\n").split("\n")
    for number, line in enumerate(lines):
        if line.rstrip("\n") in ("-- ", "--"):
            break
        if _BEGINS_QUOTE.match(line):
            if line.startswith(">"):
                quoted.append(line.lstrip("> "))
                continue
            if any(one.startswith(">") for one in lines[number + 1 : number + 4]):
                continue  # who wrote what follows
            quoted += [one for one in lines[number + 1 :] if not _is_head(one)]
            break
        own.append(line)
    return _tidy(own), _tidy(quoted)


def _is_head(line: str) -> bool:
    return bool(
        re.match(r"(?:From|To|Cc|Sent|Date|Subject|보낸 ?사람|받는 ?사람|제목|날짜)\s*:", line)
    )


def _tidy(lines: Iterable[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip()


def _prose(html: str) -> str:
    """The text of HTML, without what is quoted in it. The HTML is a stranger's: each letter is
    looked at a few times at most, which the standard library's parser does not promise."""
    first, *others = html.split("<!--")
    pieces: list[str] = []
    silent = at = 0
    seen = first + "".join(one.partition("-->")[2] for one in others)
    for tag in _TAG.finditer(seen):
        pieces += _words(seen[at : tag.start()], silent)
        at, name = tag.end(), tag[2].lower()
        if tag[1]:
            silent = max(0, silent - (name in _SILENT))
            pieces.append("\n" if name == "p" else "")
        else:
            silent += name in _SILENT
            pieces.append("\n" if name in _BLOCKS else "")
    pieces += _words(seen[at:], silent)
    return _tidy("".join(pieces).split("\n"))


def _words(data: str, silent: int) -> list[str]:
    data = "" if silent else " ".join(unescape(data).split())
    return [f"{data} "] if data else []


# What no text begins with ends at the next sign of a tag, so that none is looked for twice.
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*|[!?])[^<>]*>")
_SILENT = frozenset({"script", "style", "head", "title", "blockquote"})
_BLOCKS = frozenset({"p", "div", "br", "li", "tr", "h1", "h2", "h3", "table", "ul", "ol"})
