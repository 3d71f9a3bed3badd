"""Blocks of Anthropic's messages, as turns of a conversation.

Texts, documents with text in them, images, calls, results, and thinking, of which a model's
template takes what is to be read again. Nothing is ever fetched from an address: a server that
fetches what a request names can be sent anywhere its owner can reach. Raises ``UsageError`` naming
the field.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.server.anthropic.requests import Block, SourceOfBlock
from ondol.types import Message, Role, ToolCall

MOST_DEEP = 4

_UNREAD = ("redacted_thinking", "tool_reference")
# Claude Code's first system block counts its requests: to read it would be to read all that follows
# anew each time.
_BILLING = "x-anthropic-billing-header:"


def system_text(system: str | list[Block] | None, field: str = "system") -> str:
    """What the system says, in a string or in blocks of text."""
    if isinstance(system, str):
        return system
    texts = [_plain(block, f"{field}.{place}") for place, block in enumerate(system or ())]
    return "\n\n".join(text for text in texts if text and not text.startswith(_BILLING))


def _plain(block: Block, field: str) -> str:
    if block.type != "text":
        raise _unread(block, field)
    return block.text or ""


def turns(
    role: Role, content: str | list[Block], names: dict[str, str], field: str
) -> Iterator[Message]:
    """The turns in one message: results of calls come first, as their API has it, then what else
    is said. ``names`` are those of the calls so far, by id."""
    if not isinstance(content, list):
        yield Message(role, content)
        return
    texts: list[str] = []
    thoughts: list[str] = []
    images: list[bytes] = []
    calls: list[ToolCall] = []
    for place, block in enumerate(content):
        where = f"{field}.{place}"
        if block.type == "tool_use" and role == "assistant":
            calls.append(_call(block, where))
            names[calls[-1].id] = calls[-1].name
        elif block.type == "tool_result" and role == "user":
            yield _result(block, names, where)
        elif block.type == "thinking":
            thoughts += [block.thinking] if block.thinking else []
        elif block.type not in _UNREAD:
            _read(block, where, texts, images)
    if texts or images or calls:
        reasoning = "\n".join(thoughts) if role == "assistant" else ""
        said = "\n".join(texts)
        yield Message(role, said, tuple(calls), images=tuple(images), reasoning=reasoning)


def _call(block: Block, field: str) -> ToolCall:
    if not block.id or not block.name:
        raise UsageError(t("anthropic.bad_call"), param=field)
    return ToolCall(block.id, block.name, json.dumps(block.input or {}, ensure_ascii=False))


def _result(block: Block, names: dict[str, str], field: str) -> Message:
    if not block.tool_use_id:
        name = f"{field}.tool_use_id"
        raise UsageError(t("server.field_required", field=name), param=name)
    texts: list[str] = []
    images: list[bytes] = []
    content = block.content
    for place, one in enumerate(content if isinstance(content, list) else ()):
        if one.type == "tool_reference":
            texts.append(one.tool_name or "")
        else:
            _read(one, f"{field}.content.{place}", texts, images)
    text = content if isinstance(content, str) else "\n".join(texts)
    if block.is_error:
        text = f"Error: {text}"
    id = block.tool_use_id
    return Message("tool", text, (), id, names.get(id, ""), tuple(images))


def _read(block: Block, field: str, texts: list[str], images: list[bytes], deep: int = 0) -> None:
    """Add what ``block`` says and shows to ``texts`` and ``images``."""
    source = block.source if isinstance(block.source, SourceOfBlock) else None
    if block.type == "text":
        texts.append(block.text or "")
    elif block.type == "image":
        images.append(_image(source, field))
    elif block.type == "document" and deep < MOST_DEEP:
        texts += [line for line in (block.title, block.context) if line]
        _read_document(source, field, texts, images, deep)
    elif block.type == "search_result" and isinstance(block.content, list):
        texts += [line for line in (block.title, block.source) if isinstance(line, str) and line]
        for place, one in enumerate(block.content):
            texts.append(_plain(one, f"{field}.content.{place}"))
    else:
        raise _unread(block, field)


def _read_document(
    source: SourceOfBlock | None, field: str, texts: list[str], images: list[bytes], deep: int
) -> None:
    kind = source.type if source else ""
    if source is not None and kind == "text":
        texts.append(source.data or "")
    elif source is not None and kind == "content" and source.content is not None:
        inner = source.content
        if isinstance(inner, str):
            texts.append(inner)
            return
        for place, one in enumerate(inner):
            _read(one, f"{field}.source.content.{place}", texts, images, deep + 1)
    else:
        raise UsageError(
            t("anthropic.bad_document"), t("anthropic.bad_document_hint"), param=f"{field}.source"
        )


def _image(source: SourceOfBlock | None, field: str) -> bytes:
    if source is not None and source.type in ("url", "file"):
        raise UsageError(
            t("anthropic.image_elsewhere"), t("anthropic.image_hint"), param=f"{field}.source"
        )
    try:
        data = source.data or "" if source is not None and source.type == "base64" else ""
        image = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        image = b""
    if not image:
        raise UsageError(t("anthropic.bad_image"), param=f"{field}.source")
    return image


def _unread(block: Block, field: str) -> UsageError:
    return UsageError(t("anthropic.bad_block", type=block.type[:60]), param=field)
