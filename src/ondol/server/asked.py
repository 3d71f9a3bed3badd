"""What a request of any dialect asks for by its ``model``, and the reply to it.

The one place where a foreign dialect gets its tokens from: whatever holds for one holds for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ondol import preset
from ondol.answering import merge
from ondol.chat import Reply, Start
from ondol.server.generation import cannot
from ondol.server.grounded.names import named
from ondol.server.grounded.reply import GroundedReply, check, question_in, unasked
from ondol.server.verdict import Chat
from ondol.types import GenerateOptions, Message, Wanted

if TYPE_CHECKING:
    from fastapi import Request

    from ondol.models.store import Model
    from ondol.parts import Parts
    from ondol.retrieval.filters import Filter


@dataclass(frozen=True, slots=True)
class Asked:
    """``name`` is what the client wrote, ``model`` what answers. With ``where`` it answers from the
    documents that pass it, and can do nothing else. ``path`` is the endpoint."""

    name: str
    model: Model
    where: Filter | None = None
    path: str = ""


def asked(parts: Parts, request: Request, name: str, deed: str) -> Asked:
    """What ``name`` asks for. Raises ``UsageError`` and ``ModelNotFoundError``; ``deed`` names what
    a model that cannot chat is said not to support. Waits for the disk."""
    found = named(parts, request, name)
    if "completion" not in found.model.capabilities:
        raise cannot(name, deed)
    if found.where is None:
        return Asked(name, found.model)
    model = replace(found.model, capabilities=found.view.capabilities)
    return Asked(name, model, found.where, request.url.path)


def refuse(what: Asked, **fields: object) -> None:
    """Raise ``UsageError`` for the first of ``fields`` that asks for something, where ``what``
    answers from documents: a text is not continued from them."""
    for field, value in fields.items():
        if value and what.where is not None:
            raise cannot(what.name, field, field)


def reply(
    parts: Parts,
    what: Asked,
    messages: list[Message],
    options: GenerateOptions,
    start: Start,
    wanted: Wanted = "auto",
    loading: Mapping[str, Any] = MappingProxyType({}),
) -> Chat:
    """The tokens of one reply; ``start`` begins the generation where the model itself replies, and
    ``loading`` is how it is loaded where it answers from documents. Raises ``UsageError``."""
    model, where, question = what.model.name, what.where, question_in(messages)
    if where is None or question is None:
        options = options if where is None else unasked(messages, options)
        manner = parts.chat_manner(model)
        given = merge(manner.options, options)
        before = preset.messages_of(what.model.made) if what.model.made else ()
        how = partial(Reply, is_personal=manner.is_personal, before=before)
        return Chat(lambda: how(start, messages, given, parts.trust, manner.model, wanted))
    check(what.name, what.path, question, options)
    return Chat(
        lambda: GroundedReply(parts, model, where, question, options, wanted, loading), quotes=True
    )
