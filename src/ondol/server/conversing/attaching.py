"""Files that are dropped into a conversation: kept under the data directory, read into a collection
of that conversation only, private, and gone with it.

In a locked library only what was read of them is kept, encrypted like everything in it: a plain
file beside it would be open to anybody.
"""

from __future__ import annotations

import os
import shutil
import unicodedata
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ondol import leftovers, paths
from ondol.cipher import is_encrypted
from ondol.conversations.records import Attachment
from ondol.conversations.store import Conversations
from ondol.errors import CollectionNotFoundError, ConversationNotFoundError, UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.retrieval import sight
from ondol.retrieval.filters import Filter

MOST_FILES = 100
MOST_NAME_BYTES = 200


def valid_name(name: str) -> str:
    """The name that a file is kept under: no path, nothing that nobody sees."""
    plain = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2].strip()
    # A filter takes these for any letters.
    plain = plain.encode("utf-8", "replace").decode().translate({ord("*"): "_", ord("?"): "_"})
    if not plain.strip(".") or not plain.isprintable() or len(plain.encode()) > MOST_NAME_BYTES:
        raise UsageError(t("conversations.bad_file_name"), param="name")
    return plain


def attach(
    parts: Parts, conversations: Conversations, conversation: str, name: str, content: bytes
) -> Attachment:
    """Keep and read a file, in the place of one of the same name. That it cannot be read is said in
    what is returned."""
    name = valid_name(name)
    known = conversations.get(conversation).attachments
    if not content:
        raise UsageError(t("conversations.empty_file"), param="name")
    if any(one.name == name for one in known):
        detach(parts, conversations, conversation, name)
    elif len(known) >= MOST_FILES:
        raise UsageError(t("conversations.too_many_files", most=MOST_FILES), param="name")
    file = folder_of(conversation) / name
    one = Attachment(name, len(content), "reading", source=str(file))
    conversations.attachments.put(conversation, one)
    try:
        _write(file, content)
        reason = parts.library.attach(file, conversation)
        one = replace(one, status="failed" if reason else "ready", reason=reason)
        return conversations.attachments.put(conversation, one)
    except ConversationNotFoundError:
        # Deleted while its file was being read: what came of it since goes too.
        _forget(parts, Filter(collections=(sight.collection_of(conversation),)))
        _erase(folder_of(conversation))
        raise
    except BaseException:
        detach(parts, conversations, conversation, name)
        raise
    finally:
        if is_encrypted(paths.database_file()):
            leftovers.erase(file)


def detach(parts: Parts, conversations: Conversations, conversation: str, name: str) -> None:
    """Erase a file of a conversation, and what was read of it."""
    one = conversations.attachments.get(conversation, name)
    _forget(parts, Filter(collections=(sight.collection_of(conversation),)), Path(one.source))
    leftovers.erase(Path(one.source))
    conversations.quoting.forget([one.source])
    conversations.attachments.remove(conversation, name)


def detach_all(parts: Parts, conversations: Conversations, conversation: str) -> None:
    """Erase everything that was dropped into a conversation; its rows go with the conversation."""
    conversations.get(conversation)
    _forget(parts, Filter(collections=(sight.collection_of(conversation),)))
    _erase(folder_of(conversation))


def recover(parts: Parts, conversations: Conversations) -> None:
    """After a kill, a restored backup or a rebuilt library: what was read of a file and is not in
    the library has to be dropped again, and files of conversations that are gone go."""
    everything = conversations.attachments.all()
    there = parts.library.holds([one.source for _, one in everything]) if everything else set()
    for id, one in everything:
        if one.status != "failed" and (one.status == "reading" or one.source not in there):
            reason = t("conversations.interrupted")
            conversations.attachments.put(id, replace(one, status="failed", reason=reason))
    known = set(conversations.ids())
    for folder in paths.attachments_dir().glob("*"):
        if folder.name not in known:
            _erase(folder)


def folder_of(conversation: str) -> Path:
    """Where the files of a conversation are."""
    return paths.attachments_dir() / conversation


def _erase(folder: Path) -> None:
    for file in folder.glob("*"):
        leftovers.erase(file)
    shutil.rmtree(folder, ignore_errors=True)


def _write(file: Path, content: bytes) -> None:
    paths.ensure(file.parent)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
    except OSError as error:
        file.unlink(missing_ok=True)
        raise paths.storage_error(error, file) from error


def _forget(parts: Parts, where: Filter, file: Path | None = None) -> None:
    # Nothing could be read of it, so that there is no collection.
    with suppress(CollectionNotFoundError):
        if file is not None:
            where = replace(where, paths=(str(file),))
        parts.library.forget(where=where)
