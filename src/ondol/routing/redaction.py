"""Personal data out of a prompt before it travels, and back into what comes home.

``[PHONE_1]`` stands for a value, the same one for the same spelling. The mapping stays in memory on
the device. Only the owner's choice switches this on (``routing.redact``), and it frees a prompt
from nothing but its personal data: see ``sensitivity.PromptLabeller``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ondol.routing import personal_data
from ondol.types import GenerateOptions, Home, HomeState, Label, Message, Token

_LIKE_A_PLACEHOLDER = re.compile(r"\[([A-Z][A-Z_]*)_(\d+)\]")


@dataclass(frozen=True, slots=True)
class Redacted:
    """Messages with placeholders, and what each stands for; the mapping is never shown."""

    messages: tuple[Message, ...]
    mapping: Mapping[str, str] = field(repr=False)


def redact(messages: Sequence[Message]) -> Redacted:
    """``messages`` with a placeholder for everything personal in them. A placeholder that the text
    already has is not used, so that none can be forged."""
    taken = {m.group() for one in messages for m in _LIKE_A_PLACEHOLDER.finditer(one.content)}
    names: dict[tuple[str, str], str] = {}
    counts: dict[str, int] = {}

    def placeholder(kind: str, value: str) -> str:
        while (kind, value) not in names:
            counts[kind] = counts.get(kind, 0) + 1
            name = f"[{kind.upper()}_{counts[kind]}]"
            if name not in taken:
                names[kind, value] = name
        return names[kind, value]

    redacted = []
    for message in messages:
        pieces, at, text = [], 0, message.content
        for found in personal_data.find(text):
            pieces += [
                text[at : found.start],
                placeholder(found.kind, text[found.start : found.end]),
            ]
            at = found.end
        redacted.append(replace(message, content="".join([*pieces, text[at:]])))
    return Redacted(tuple(redacted), {name: value for (_, value), name in names.items()})


def restore(text: str, mapping: Mapping[str, str]) -> str:
    """``text`` with every placeholder of ``mapping`` replaced by what it stands for, once."""
    return _LIKE_A_PLACEHOLDER.sub(lambda m: mapping.get(m.group(), m.group()), text)


class Restorer:
    """Restores a text that comes in pieces, however they cut through placeholders."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self._mapping = mapping
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be said now; a beginning of a placeholder waits for the rest of it."""
        text = self._held + piece
        at = text.rfind("[")
        tail = text[at:] if at >= 0 else ""
        waits = bool(tail) and any(name.startswith(tail) and name != tail for name in self._mapping)
        self._held = tail if waits else ""
        return restore(text[:at] if waits else text, self._mapping)

    def flush(self) -> str:
        """What was held back, at the end."""
        held, self._held = self._held, ""
        return held


def restored(tokens: Iterator[Token], mapping: Mapping[str, str]) -> Iterator[Token]:
    """``tokens`` with what the placeholders stand for; as many as came in."""
    answer, reasoning = Restorer(mapping), Restorer(mapping)
    for token in tokens:
        restorer = reasoning if token.reasoning else answer
        text = restorer.feed(token.text)
        if token.finish_reason is not None:
            text += restorer.flush()
        # The alternatives are of the text with placeholders.
        yield replace(token, text=text, top=()) if text != token.text else token


class RedactingHome:
    """A home that is never told anything personal: what it says of a placeholder is restored."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def state(self) -> HomeState | None:
        return self._home.state()

    def generate(
        self, messages: Sequence[Message], options: GenerateOptions, *, label: Label
    ) -> Iterator[Token]:
        """Like ``home``'s; ``label`` is that of the messages once they are redacted."""
        redacted = redact(messages)
        stream = self._home.generate(redacted.messages, options, label=label)
        try:
            yield from restored(stream, redacted.mapping)
        finally:
            close = getattr(stream, "close", None)
            if close is not None:
                close()
