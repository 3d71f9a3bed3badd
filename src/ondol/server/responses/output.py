"""The output of a response: its items, and the events that tell of them as they come.

An item is begun, grows and ends; the next one begins where a token is of another kind. The events
are those of OpenAI's Responses API (platform.openai.com/docs/api-reference/responses-streaming),
without ``sequence_number``, which the stream adds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from ondol.server.generation import logprobs_of
from ondol.server.openai.reply import call_id
from ondol.server.responses.items import new_id
from ondol.server.responses.tools import Offered, Origin, plain_input
from ondol.types import Token, ToolCallDelta

Event = dict[str, Any]


class Growing(ABC):
    """An item of the output, at its place ``index``."""

    def __init__(self, kind: str, index: int) -> None:
        self.item: dict[str, Any] = {"id": new_id(kind), "type": kind}
        self._index = index

    @abstractmethod
    def takes(self, token: Token) -> bool:
        """Whether ``token`` belongs to this item."""

    @abstractmethod
    def begin(self) -> Iterator[Event]:
        """The events that open it."""

    @abstractmethod
    def grow(self, token: Token) -> Iterator[Event]:
        """The events of one more token."""

    @abstractmethod
    def end(self, status: str) -> Iterator[Event]:
        """The events that close it, and ``item`` as it stays."""

    def _event(self, kind: str, **fields: Any) -> Event:
        here = {"item_id": self.item["id"], "output_index": self._index}
        return {"type": f"response.{kind}", **here, **fields}

    def _added(self) -> Event:
        item = dict(self.item)
        return {"type": "response.output_item.added", "output_index": self._index, "item": item}

    def _done(self) -> Event:
        return {
            "type": "response.output_item.done",
            "output_index": self._index,
            "item": self.item,
        }


class Said(Growing):
    """What the answer says."""

    def __init__(self, index: int, has_logprobs: bool) -> None:
        super().__init__("message", index)
        self.item |= {"status": "in_progress", "role": "assistant", "content": []}
        self._texts: list[str] = []
        self._logprobs: list[dict[str, Any]] = []
        self._has_logprobs = has_logprobs

    def takes(self, token: Token) -> bool:
        return token.tool_call is None and not token.reasoning

    def begin(self) -> Iterator[Event]:
        yield self._added()
        yield self._event("content_part.added", content_index=0, part=self._part())

    def grow(self, token: Token) -> Iterator[Event]:
        self._texts.append(token.text)
        logprobs = logprobs_of(token) if self._has_logprobs else []
        self._logprobs += logprobs
        yield self._event("output_text.delta", content_index=0, delta=token.text, logprobs=logprobs)

    def end(self, status: str) -> Iterator[Event]:
        part = self._part()
        yield self._event(
            "output_text.done", content_index=0, text=part["text"], logprobs=self._logprobs
        )
        yield self._event("content_part.done", content_index=0, part=part)
        self.item |= {"status": status, "content": [part]}
        yield self._done()

    def _part(self) -> dict[str, Any]:
        text = "".join(self._texts)
        return {
            "type": "output_text",
            "text": text,
            "annotations": [],
            "logprobs": list(self._logprobs),
        }


class Thought(Growing):
    """The model's reasoning, in its own words. A client that asks for a summary reads no other
    field, so it gets them there."""

    def __init__(self, index: int, as_summary: bool) -> None:
        super().__init__("reasoning", index)
        self.item |= {"status": "in_progress", "summary": []}
        self._texts: list[str] = []
        self._as_summary = as_summary

    def takes(self, token: Token) -> bool:
        return token.tool_call is None and token.reasoning

    def begin(self) -> Iterator[Event]:
        yield self._added()
        yield self._event(f"{self._part_name}.added", **self._place, part=self._part())

    def grow(self, token: Token) -> Iterator[Event]:
        self._texts.append(token.text)
        yield self._event(f"{self._text_name}.delta", **self._place, delta=token.text)

    def end(self, status: str) -> Iterator[Event]:
        part = self._part()
        yield self._event(f"{self._text_name}.done", **self._place, text=part["text"])
        yield self._event(f"{self._part_name}.done", **self._place, part=part)
        self.item |= {"status": status}
        self.item |= {"summary": [part]} if self._as_summary else {"content": [part]}
        yield self._done()

    @property
    def _place(self) -> dict[str, int]:
        return {"summary_index" if self._as_summary else "content_index": 0}

    @property
    def _part_name(self) -> str:
        return "reasoning_summary_part" if self._as_summary else "content_part"

    @property
    def _text_name(self) -> str:
        return "reasoning_summary_text" if self._as_summary else "reasoning_text"

    def _part(self) -> dict[str, Any]:
        kind = "summary_text" if self._as_summary else "reasoning_text"
        return {"type": kind, "text": "".join(self._texts)}


class Called(Growing):
    """A call of a function, or of a custom tool, which is told when its input is whole: what comes
    is JSON around it."""

    def __init__(self, index: int, piece: ToolCallDelta, origin: Origin) -> None:
        super().__init__("custom_tool_call" if origin.is_custom else "function_call", index)
        self._call = piece.index
        self._is_custom = origin.is_custom
        self._pieces: list[str] = []
        self.item |= {"call_id": call_id(piece.id), "name": origin.name}
        if origin.namespace:
            self.item["namespace"] = origin.namespace
        self.item |= {"input": ""} if origin.is_custom else {"arguments": ""}
        self.item["status"] = "in_progress"

    def takes(self, token: Token) -> bool:
        return token.tool_call is not None and token.tool_call.index == self._call

    def begin(self) -> Iterator[Event]:
        yield self._added()

    def grow(self, token: Token) -> Iterator[Event]:
        more = token.tool_call.arguments if token.tool_call else ""
        self._pieces.append(more)
        if more and not self._is_custom:
            yield self._event("function_call_arguments.delta", delta=more)

    def end(self, status: str) -> Iterator[Event]:
        arguments = "".join(self._pieces)
        self.item["status"] = status
        if self._is_custom:
            self.item["input"] = text = plain_input(arguments)
            yield self._event("custom_tool_call_input.delta", delta=text)
            yield self._event("custom_tool_call_input.done", input=text)
        else:
            self.item["arguments"] = arguments
            yield self._event(
                "function_call_arguments.done", name=self.item["name"], arguments=arguments
            )
        yield self._done()


class Output:
    """The items of one response, in the order in which they came."""

    def __init__(self, offered: Offered, *, has_logprobs: bool, as_summary: bool) -> None:
        self.items: list[dict[str, Any]] = []
        self._offered = offered
        self._has_logprobs = has_logprobs
        self._as_summary = as_summary
        self._open: Growing | None = None

    def add(self, token: Token) -> Iterator[Event]:
        """The events of one more token."""
        if not token.text and token.tool_call is None:
            return
        if self._open is None or not self._open.takes(token):
            yield from self.close("completed")
            self._open = self._new(token)
            yield from self._open.begin()
        yield from self._open.grow(token)

    def close(self, status: str) -> Iterator[Event]:
        """The events that end the item that is still open."""
        if self._open is not None:
            yield from self._open.end(status)
            self.items.append(self._open.item)
            self._open = None

    def end(self, status: str) -> Iterator[Event]:
        """The events that end the output. An answer that says nothing says an empty text."""
        if self._open is None and not any(i["type"] != "reasoning" for i in self.items):
            self._open = Said(len(self.items), self._has_logprobs)
            yield from self._open.begin()
        yield from self.close(status)

    def _new(self, token: Token) -> Growing:
        place = len(self.items)
        if token.tool_call is not None:
            return Called(place, token.tool_call, self._offered.origin(token.tool_call.name))
        if token.reasoning:
            return Thought(place, self._as_summary)
        return Said(place, self._has_logprobs)
