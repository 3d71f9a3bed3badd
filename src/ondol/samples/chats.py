"""Chats as other programs export them: ChatGPT, Claude, Open WebUI; a JSON file, or a zip of it.

None of the three documents its form; these are the fields that their exports have had since 2023,
and whatever has them is read. Of branches the one that was shown counts. Never writes. Raises
``InvalidSamplesError``.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ondol.errors import InvalidSamplesError
from ondol.i18n import t
from ondol.samples.jsonfile import from_bytes
from ondol.samples.talk import Turn

CHATGPT, CLAUDE, OPEN_WEBUI = "ChatGPT", "Claude", "Open WebUI"

MOST_BYTES = 512 << 20
# A whole export of ChatGPT's is cut into several files by now.
_IN_ZIP = re.compile(r"(?:.*/)?(?:conversations(?:[-_]\d+)?|chat-export.*)\.json", re.IGNORECASE)
_THOUGHTS = re.compile(r"<details\b[^>]{0,300}?type=\"(?:reasoning|tool_calls|code_interpreter)\"")
_END_OF_THOUGHTS = "</details>"
_ROLES = {"user": "user", "human": "user", "assistant": "assistant", "system": "system"}

Conversations = list[tuple[str, list[Turn]]]


def read_zip(file: Path) -> list[object]:
    """The conversations in the JSON files of an export as it was downloaded."""
    found: list[object] = []
    try:
        with zipfile.ZipFile(file) as archive:
            members = [one for one in archive.infolist() if _IN_ZIP.fullmatch(one.filename)]
            if sum(one.file_size for one in members) > MOST_BYTES:
                raise InvalidSamplesError(
                    t("samples.too_large", file=file.name, megabytes=MOST_BYTES >> 20)
                )
            for member in sorted(members, key=lambda one: one.filename):
                with archive.open(member) as stream:
                    data = from_bytes(stream.read(MOST_BYTES), member.filename)
                found += data if isinstance(data, list) else [data]
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        # RuntimeError: it has a password.
        raise InvalidSamplesError(t("samples.bad_zip", file=file.name)) from error
    if not members:
        raise InvalidSamplesError(
            t("samples.no_chats_in_zip", file=file.name), t("samples.no_chats_in_zip_hint")
        )
    return found


def form_of(data: object) -> str:
    """Whose export it is; "" when it is none."""
    rows = data if isinstance(data, list) else [data]
    first = next((row for row in rows if isinstance(row, dict)), {})
    if isinstance(first.get("mapping"), dict):
        return CHATGPT
    if isinstance(first.get("chat_messages"), list):
        return CLAUDE
    chat = first.get("chat", first)
    if isinstance(chat, dict) and isinstance(chat.get("history"), dict):
        return OPEN_WEBUI
    return ""


def conversations(data: Sequence[object]) -> tuple[Conversations, int]:
    """Each conversation's name and turns, and how many are not of any form that is known."""
    found: Conversations = []
    bad = 0
    readers = {CHATGPT: _chatgpt, CLAUDE: _claude, OPEN_WEBUI: _open_webui}
    for number, row in enumerate(data):
        form = form_of(row)
        if not isinstance(row, dict) or not form:
            bad += 1
            continue
        turns = [turn for turn in readers[form](row) if turn.text.strip()]
        id = next((str(row[key]) for key in ("conversation_id", "id", "uuid") if row.get(key)), "")
        found.append((f"{form}:{id or number}", turns))
    return found, bad


def _chatgpt(row: Mapping[str, Any]) -> Iterator[Turn]:
    nodes = {id: node for id, node in row["mapping"].items() if isinstance(node, dict)}
    for node in _path(nodes, _shown(nodes, row.get("current_node")), "parent"):
        message = _object(node.get("message"))
        role = _ROLES.get(str(_object(message.get("author")).get("role")))
        content, metadata = _object(message.get("content")), _object(message.get("metadata"))
        is_spoken = content.get("content_type") in (None, "text", "multimodal_text")
        is_hidden = metadata.get("is_visually_hidden_from_conversation")
        # To anybody else than all it is a call of a tool.
        if role in ("user", "assistant") and is_spoken and not is_hidden:
            if message.get("recipient", "all") == "all":
                yield Turn(role, _parts(content.get("parts")))  # type: ignore[arg-type]


def _claude(row: Mapping[str, Any]) -> Iterator[Turn]:
    for message in row["chat_messages"]:
        fields = _object(message)
        role = _ROLES.get(str(fields.get("sender")))
        blocks = [_object(one) for one in _list(fields.get("content"))]
        said = [str(one["text"]) for one in blocks if one.get("type") == "text" and one.get("text")]
        text = "\n\n".join(said) or _text(fields.get("text"))
        rated = str(_object(fields.get("chat_feedback")).get("type", ""))
        is_right = {"upvote": True, "flag": False}.get(rated.rpartition("/")[2])
        if role in ("user", "assistant"):
            yield Turn(role, text, is_right)  # type: ignore[arg-type]


def _open_webui(row: Mapping[str, Any]) -> Iterator[Turn]:
    history = _object(_object(row.get("chat", row)).get("history"))
    nodes = {
        id: node for id, node in _object(history.get("messages")).items() if isinstance(node, dict)
    }
    for node in _path(nodes, _shown(nodes, history.get("currentId")), "parentId"):
        role = _ROLES.get(str(node.get("role")))
        if role is None:
            continue
        beside = [
            (_said(other), _rating(other))
            for other in nodes.values()
            if other is not node
            and other.get("parentId") == node.get("parentId")
            and other.get("role") == "assistant"
            and _said(other).strip()
        ]
        others = tuple(beside) if role == "assistant" else ()
        yield Turn(role, _said(node), _rating(node), others)  # type: ignore[arg-type]


def _said(node: Mapping[str, Any]) -> str:
    content = node.get("content")
    return _parts(content) if isinstance(content, list) else _without_thoughts(_text(content))


def _without_thoughts(text: str) -> str:
    """Open WebUI keeps what a model thought, and its calls of tools, in the answer's text."""
    kept, at = [], 0
    for begin in _THOUGHTS.finditer(text):
        if begin.start() < at:
            continue
        end = text.find(_END_OF_THOUGHTS, begin.end())
        if end < 0:
            break
        kept.append(text[at : begin.start()])
        at = end + len(_END_OF_THOUGHTS)
        while text[at : at + 1].isspace():
            at += 1
    return "".join([*kept, text[at:]])


def _rating(node: Mapping[str, Any]) -> bool | None:
    rating = _object(node.get("annotation")).get("rating")
    return {"1": True, "-1": False}.get(str(rating))


def _shown(nodes: dict[str, Any], current: object) -> str:
    """The end of the branch that was shown; where that is not said, what came last."""
    if isinstance(current, str) and current in nodes:
        return current
    return next(reversed(nodes), "")


def _path(nodes: Mapping[str, Mapping[str, Any]], id: object, parent: str) -> list[Any]:
    """From the beginning to node ``id``, however its parents are tied into a knot."""
    found, seen = [], set()
    while isinstance(id, str) and id in nodes and id not in seen:
        seen.add(id)
        found.append(nodes[id])
        id = nodes[id].get(parent)
    return found[::-1]


def _parts(parts: object) -> str:
    """The texts among a message's parts; pictures are left out."""
    texts = (part if isinstance(part, str) else _object(part).get("text") for part in _list(parts))
    return "\n\n".join(text for text in texts if isinstance(text, str) and text.strip())


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
