"""Rows of JSON lines to drafts, in the forms that trainers take.

- ``messages``: OpenAI's chat fine-tuning; every assistant message without ``"weight": 0`` counts
- ``input``, ``preferred_output``, ``non_preferred_output``: OpenAI's preference fine-tuning
- ``prompt``, ``completion``; with ``label`` a thumb (KTO); ``prompt``, ``chosen``, ``rejected``
  (DPO): TRL's, as texts or as messages, the prompt of a preference perhaps only inside both
- ``instruction``, ``input``, ``output``: Alpaca's
- ``conversations`` of ``from`` and ``value``: ShareGPT's
- ``messages`` and ``reply``, perhaps with ``rejected`` or ``is_desirable``: a sample's own fields

``conversation`` (or ``conversation_id``) is what must not be parted by the split; rows without one
belong together when they begin with the same words. Raises ``ValueError`` with a code that
``samples.row_CODE`` has a sentence for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ondol.samples.records import Draft
from ondol.samples.talk import recent
from ondol.types import Message

_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}


def drafts_of(row: object) -> Iterator[Draft]:
    """What a row holds."""
    if not isinstance(row, dict):
        raise ValueError("no_object")
    read = next((read for fields, read in _FORMS if fields <= row.keys()), None)
    if read is None:
        raise ValueError("unknown_form")
    yield from read(row)


def _chat(row: Mapping[str, Any]) -> Iterator[Draft]:
    raw = row.get("messages", row.get("conversations"))
    said = _messages(raw)
    name = _conversation(row, said[:2])
    weights = [one.get("weight", 1) for one in raw or ()]
    found = False
    for number, one in enumerate(said):
        is_reply = one.role == "assistant" and number and said[number - 1].role == "user"
        found = found or one.role == "assistant"
        if is_reply and weights[number] != 0:
            prompt = [m for m in said[:number] if m.role != "tool" and m.content.strip()]
            yield Draft("sft", name, recent(prompt), one.content)
    if not found:
        raise ValueError("no_reply")


def _sample(row: Mapping[str, Any]) -> Iterator[Draft]:
    prompt, reply, rejected = _prompt(row["messages"]), _text(row["reply"]), row.get("rejected")
    name, right = _conversation(row, prompt), row.get("is_desirable")
    if rejected is not None:
        yield Draft("preference", name, prompt, reply, _text(rejected))
    elif right is not None:
        yield from _thumb({**row, "prompt": row["messages"], "completion": reply, "label": right})
    else:
        yield Draft("sft", name, prompt, reply)


def _openai_preference(row: Mapping[str, Any]) -> Iterator[Draft]:
    asked = row["input"].get("messages") if isinstance(row["input"], dict) else row["input"]
    prompt = _prompt(asked)
    chosen, rejected = _reply(row["preferred_output"]), _reply(row["non_preferred_output"])
    yield Draft("preference", _conversation(row, prompt), prompt, chosen, rejected)


def _preference(row: Mapping[str, Any]) -> Iterator[Draft]:
    if "prompt" in row:
        prompt, given = _prompt(row["prompt"]), 0
    else:
        chosen, rejected = _messages(row["chosen"]), _messages(row["rejected"])
        # What both have in common before the last message of each is what was asked.
        if chosen[:-1] != rejected[:-1] or len(chosen) < 2:
            raise ValueError("no_prompt")
        prompt, given = tuple(chosen[:-1]), len(chosen) - 1
    yield Draft(
        "preference",
        _conversation(row, prompt),
        prompt,
        _reply(row["chosen"], given),
        _reply(row["rejected"], given),
    )


def _thumb(row: Mapping[str, Any]) -> Iterator[Draft]:
    prompt, label = _prompt(row["prompt"]), row["label"]
    if not isinstance(label, bool) and label not in (0, 1):
        raise ValueError("bad_label")
    name, reply = _conversation(row, prompt), _reply(row["completion"])
    yield Draft("thumb", name, prompt, reply, is_desirable=bool(label))


def _completion(row: Mapping[str, Any]) -> Iterator[Draft]:
    prompt = _prompt(row["prompt"])
    yield Draft("sft", _conversation(row, prompt), prompt, _reply(row["completion"]))


def _alpaca(row: Mapping[str, Any]) -> Iterator[Draft]:
    texts = [_text(row["instruction"]), _text(row.get("input") or "")]
    prompt = (Message("user", "\n\n".join(filter(str.strip, texts))),)
    yield Draft("sft", _conversation(row, prompt), prompt, _text(row["output"]))


# The first whose fields are all there.
_FORMS = (
    (frozenset({"messages", "reply"}), _sample),
    (frozenset({"messages"}), _chat),
    (frozenset({"conversations"}), _chat),
    (frozenset({"input", "preferred_output", "non_preferred_output"}), _openai_preference),
    (frozenset({"chosen", "rejected"}), _preference),
    (frozenset({"prompt", "completion", "label"}), _thumb),
    (frozenset({"prompt", "completion"}), _completion),
    (frozenset({"instruction", "output"}), _alpaca),
)


def _messages(value: object) -> list[Message]:
    if not isinstance(value, list) or not value:
        raise ValueError("no_messages")
    found = []
    for one in value:
        if not isinstance(one, dict):
            raise ValueError("no_messages")
        role = _ROLES.get(str(one.get("role", one.get("from", ""))).lower())
        if role is None:
            raise ValueError("bad_role")
        content = one.get("content", one.get("value"))
        found.append(Message(role, "" if content is None else _text(content)))  # type: ignore[arg-type]
    return found


def _prompt(value: object) -> tuple[Message, ...]:
    if isinstance(value, str):
        return (Message("user", value),)
    return recent([one for one in _messages(value) if one.role != "tool"])


def _reply(value: object, given: int = 0) -> str:
    """A text, or the assistant's messages after the ``given`` first ones."""
    if isinstance(value, str):
        return value.strip()
    said = [one.content for one in _messages(value)[given:] if one.role == "assistant"]
    if not said:
        raise ValueError("no_reply")
    return "\n\n".join(said)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = [part if isinstance(part, str) else _part(part) for part in value]
        return "\n\n".join(filter(None, parts))
    raise ValueError("no_text")


def _part(part: object) -> str:
    """The text of a part of OpenAI's; a picture has none."""
    if not isinstance(part, dict):
        raise ValueError("no_text")
    text = part.get("text", "")
    return text if isinstance(text, str) else ""


def _conversation(row: Mapping[str, Any], begin: Sequence[Message]) -> str:
    for key in ("conversation", "conversation_id"):
        if isinstance(row.get(key), str | int):
            return str(row[key])
    said = repr([(one.role, " ".join(one.content.split())) for one in begin])
    return f"row:{hashlib.sha256(said.encode('utf-8', 'replace')).hexdigest()[:16]}"
