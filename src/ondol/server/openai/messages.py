"""The messages of a chat, as the engine takes them.

An assistant's calls and a tool's results belong together by id; a result that has none (the old
role ``function``) belongs to the last call of its name. Raises ``UsageError`` naming the field.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.server.calling import arguments_text
from ondol.server.generation import cannot, role_of
from ondol.server.openai.images import image
from ondol.server.openai.requests import CalledTool, ChatCompletionRequest, ChatMessage, Part
from ondol.types import Message, ToolCall

_TEXTS = ("text", "refusal")


class Able(Protocol):
    """A model, as far as what it can do matters."""

    @property
    def capabilities(self) -> Sequence[str]: ...


def messages_of(body: ChatCompletionRequest, model: Able) -> list[Message]:
    """The conversation that ``model`` is to go on with."""
    if not body.messages:
        raise UsageError(t("server.no_messages"), param="messages")
    found: list[Message] = []
    names: dict[str, str] = {}
    for place, message in enumerate(body.messages):
        calls = _calls(message, place)
        names |= {call.id: call.name for call in calls}
        role = role_of(message.role)
        id = message.tool_call_id or ""
        if role == "tool" and not id:
            id = next((i for i in reversed(names) if names[i] == message.name), "")
        images = _images(message.content)
        found.append(
            Message(
                role,
                _text(message.content),
                tool_calls=calls if role == "assistant" else (),
                tool_call_id=id if role == "tool" else "",
                tool_name=(names.get(id) or message.name or "") if role == "tool" else "",
                images=tuple(images),
            )
        )
    check_images(found, model, body.model or "", "messages")
    return found


def check_images(messages: Sequence[Message], model: Able, name: str, param: str) -> None:
    """Raise ``UsageError`` where there are images and ``model`` sees none."""
    if any(message.images for message in messages) and "vision" not in model.capabilities:
        raise cannot(name, t("server.deed_vision"), param)


def _calls(message: ChatMessage, place: int) -> tuple[ToolCall, ...]:
    called = list(message.tool_calls or ())
    if message.function_call is not None:
        called.append(CalledTool(function=message.function_call))
    found = []
    for number, one in enumerate(called):
        if one.function is None or not one.function.name:
            raise UsageError(t("openai.bad_call"), param="messages")
        id = one.id or f"call_{place}_{number}"
        arguments = arguments_text(one.function.arguments, f"messages[{place}]")
        found.append(ToolCall(id, one.function.name, arguments))
    return tuple(found)


def _text(content: str | list[Part] | None) -> str:
    if not isinstance(content, list):
        return content or ""
    for part in content:
        if part.type not in (*_TEXTS, "image_url"):
            raise UsageError(t("server.bad_part", type=part.type[:40]), param="messages")
    return "\n".join(p.text or p.refusal or "" for p in content if p.type in _TEXTS)


def _images(content: str | list[Part] | None) -> list[bytes]:
    found = []
    for part in content if isinstance(content, list) else ():
        if part.type == "image_url":
            given = part.image_url
            url = given if isinstance(given, str) else given.url if given else ""
            found.append(image(url, "messages"))
    return found
