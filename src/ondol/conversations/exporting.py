"""A conversation as a file that its owner takes along: Markdown to read, JSON to keep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from ondol.conversations.records import Conversation, Message
from ondol.i18n import t


def as_markdown(conversation: Conversation, path: Sequence[Message]) -> str:
    """One branch of it, with the sentences that its answers quote."""
    lines = [f"# {conversation.title or t('conversations.untitled')}", ""]
    for message in path:
        who = t("conversations.owner") if message.role == "user" else _speaker(message)
        lines += [f"**{who}** ({message.created_at[:16].replace('T', ' ')} UTC)", ""]
        lines += [message.content.strip(), ""]
        quotes = (message.answer or {}).get("quotes") or ()
        for quote in quotes:
            place = PurePath(str(quote["source"])).name
            page = f", {t('conversations.page', page=quote['page'])}" if quote.get("page") else ""
            said = " ".join(str(quote["text"]).split())
            lines.append(f"> [{quote['number']}] {said} ({place}{page})  ")
        lines += [""] if quotes else []
    return "\n".join(lines).rstrip() + "\n"


def as_json(conversation: Conversation, messages: Sequence[Message]) -> dict[str, Any]:
    """All of it, as the API gives it."""
    return {
        "conversation": conversation.json(),
        "messages": [message.json() for message in messages],
    }


def _speaker(message: Message) -> str:
    model = (message.answer or {}).get("model")
    return f"Ondol, {model}" if model else "Ondol"
