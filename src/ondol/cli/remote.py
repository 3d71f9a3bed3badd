"""A client of the running server, so that the model it has loaded answers: documented endpoints
only (docs/api.md). Events, tokens and errors are those of the house itself: an error that the
server sends is raised as the class that has its code.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from ondol.chat_dialect import messages_body, tools_body
from ondol.egress import guard
from ondol.errors import EngineCrashedError, OndolError
from ondol.i18n import language, t
from ondol.json import sensitivity_of, usage_json
from ondol.types import (
    Answer,
    Confidence,
    Cost,
    Escalation,
    Evidence,
    FinishReason,
    GenerateOptions,
    Message,
    Quote,
    Route,
    Seconds,
    Support,
    Token,
    ToolCallDelta,
    Usage,
    Wanted,
)

if TYPE_CHECKING:
    import httpx2

    from ondol.ask import Event
    from ondol.config import Config

CONNECT_SECONDS = 5.0

Words = Mapping[str, Sequence[str]]


def find(config: Config) -> Server | None:
    """The running server of this user, if there is one."""
    from ondol.server.background import running

    info = running()
    return Server(info.url, config["server.api_key"], info.certificate) if info else None


@dataclass(frozen=True, slots=True)
class Server:
    """A running Ondol; ``certificate`` is the file of the one that it has to have, if any."""

    url: str
    api_key: str = ""
    certificate: str = ""

    def ask(
        self,
        question: str,
        model: str,
        options: GenerateOptions,
        where: Words | None = None,
        *,
        everything: bool = False,
        wanted: Wanted = "auto",
        redact: bool = False,
        pinned: str | None = None,
    ) -> Iterator[Event]:
        """What ``ondol.ask.ask`` yields. Closing the iterator stops the engine."""
        body: dict[str, Any] = {"question": question, "model": model, "options": _given(options)}
        body |= {"filter": where} if where else {}
        body |= {name: True for name, on in (("all", everything), ("redact", redact)) if on}
        body |= {"wanted": wanted} if wanted != "auto" else {}
        body |= {"pinned": pinned} if pinned is not None else {}
        with self.stream("/ondol/v1/ask", body) as events:
            for name, data in events:
                if name == "evidence":
                    quotes = tuple(map(quote_of, data["quotes"]))
                    yield Evidence(quotes=quotes, is_listing=data.get("is_listing", False))
                elif name == "token":
                    yield Token(data["text"], reasoning=data["reasoning"])
                elif name == "escalation":
                    draft = answer_of(data["draft"]) if data["draft"] else None
                    yield Escalation(draft, data["home"], tuple(data["reasons"]))
                elif name == "answer":
                    yield answer_of(data)
                else:
                    raise error_of(data)

    def chat(
        self,
        model: str,
        messages: Sequence[Message],
        options: GenerateOptions,
        wanted: Wanted = "here",
    ) -> Generator[Token, None, Answer | None]:
        """What an engine's ``generate`` yields; returns what is known of the reply."""
        known = None
        body = {
            **{"ondol": True, "fold": True},
            **({"wanted": wanted} if wanted == "home" else {}),
            "model": model,
            "messages": messages_body(messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            **_given(options),
        }
        last = Token("", finish_reason="stop", usage=Usage())
        with self.stream("/v1/chat/completions", body) as events:
            for _, data in events:
                if "error" in data:
                    raise error_of(data)
                if data.get("usage"):
                    last = replace(last, usage=_usage(data["usage"]))
                if data.get("ondol"):
                    known = _reply_of(data["ondol"], model, last.usage)
                for choice in data["choices"]:
                    yield from _tokens(choice["delta"])
                    if choice["finish_reason"]:
                        reason = cast(FinishReason, choice["finish_reason"])
                        last = replace(last, finish_reason=reason)
        yield last
        return known

    def search(
        self,
        query: str,
        limit: int | None,
        where: Words | None = None,
        *,
        everything: bool = False,
    ) -> list[dict[str, Any]]:
        """Hits as ``json.hit_json`` writes them; ``where`` is a filter that is written down
        (``query.written``). Without ``limit`` as many as the server's settings say, or all."""
        body: dict[str, Any] = {"query": query}
        body |= {"limit": limit} if limit else {}
        body |= {"filter": where} if where else {}
        body |= {"all": True} if everything else {}
        return list(self.request("POST", "/ondol/v1/search", body)["hits"])

    def loaded(self) -> list[dict[str, Any]]:
        """The models in memory."""
        return list(self.request("GET", "/ondol/v1/loaded")["loaded"])

    def unload(self, model: str) -> bool:
        """Free a model's memory; False when it was not loaded."""
        return bool(self.request("DELETE", "/ondol/v1/loaded", {"model": model})["stopped"])

    def open_phone_door(self) -> None:
        """Let phones in until the server ends."""
        self.request("PATCH", "/ondol/v1/pairing", {"open": True})

    def pairing(self) -> dict[str, Any]:
        """A new code for a phone, with the address to open there."""
        return dict(self.request("GET", "/ondol/v1/pairing"))

    def request(self, method: str, path: str, body: object = None) -> Any:
        with self._client() as client:
            response = client.request(method, path, json=body)
            if response.is_error:
                raise _refusal(response)
            return response.json()

    @contextmanager
    def stream(self, path: str, body: object) -> Iterator[Iterator[tuple[str, Any]]]:
        with self._client() as client, client.stream("POST", path, json=body) as response:
            if response.is_error:
                response.read()
                raise _refusal(response)
            yield _events(response.iter_lines())

    @contextmanager
    def _client(self) -> Iterator[httpx2.Client]:
        import httpx2

        from ondol.server.door.tls import trusting

        headers = {"Accept-Language": language()}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        # A model may take minutes to load; the person has Ctrl-C.
        timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS)
        how: dict[str, Any] = {"base_url": self.url, "headers": headers, "timeout": timeout}
        how |= {"trust_env": False, "verify": trusting(self.certificate)}
        try:
            with guard.own_server(self.url), httpx2.Client(**how) as client:
                yield client
        except httpx2.HTTPError as error:
            raise EngineCrashedError(t("cli.server_gone"), t("cli.server_gone_hint")) from error


def quote_of(data: Mapping[str, Any]) -> Quote:
    """The quote that ``ondol.json.quote_json`` wrote."""
    return Quote(
        **{
            **data,
            "also_in": tuple(data.get("also_in", ())),
            "sensitivity": sensitivity_of(data.get("sensitivity", "")),
        }
    )


def answer_of(data: Mapping[str, Any]) -> Answer:
    """The answer that ``ondol.json.answer_json`` wrote."""
    confidence = data["confidence"]
    return Answer(
        text=data["answer"],
        quotes=tuple(map(quote_of, data["quotes"])),
        citations=tuple(data["citations"]),
        confidence=Confidence(**confidence) if confidence else None,
        route=Route(data["route"]),
        reasons=tuple(data["reasons"]),
        usage=_usage(data["usage"]),
        seconds=Seconds(**data["seconds"]),
        model=data["model"],
        ledger_id=data.get("ledger_id"),
        support=tuple(Support(**one) for one in data.get("support", ())),
        sensitivity=sensitivity_of(data.get("sensitivity", "")),
        draft=answer_of(data["draft"]) if data.get("draft") else None,
        cost=Cost(**data["cost"]) if data.get("cost") else None,
    )


def _reply_of(data: Mapping[str, Any], model: str, usage: Usage | None) -> Answer:
    """The reply that ``ondol.json.verdict_json`` wrote about, without its words. Which model home
    has is not in there."""
    known = {
        **{"answer": "", "quotes": (), "citations": (), "usage": usage_json(usage or Usage())},
        **{"seconds": {"retrieve": 0.0, "first_token": None, "total": 0.0}, "model": model},
        **data,
    }
    if data["route"] == Route.HOME.value:
        known["model"] = t("trust.home")
    return answer_of(known)


def error_of(body: Any) -> OndolError:
    """The error in a body of either dialect."""
    error = body["error"] if isinstance(body, dict) and isinstance(body.get("error"), dict) else {}
    code = str(error.get("code"))
    made = _classes(OndolError).get(code, OndolError)(
        str(error.get("message") or t("cli.server_gone")), str(error.get("hint") or "")
    )
    made.code = code if error else made.code
    return made


def _classes(root: type[OndolError]) -> dict[str, type[OndolError]]:
    """Error code to class; of two with one code the one nearer the root."""
    found: dict[str, type[OndolError]] = {}
    for child in root.__subclasses__():
        found.update(_classes(child))
    return {**found, root.code: root}


def _refusal(response: httpx2.Response) -> OndolError:
    try:
        return error_of(response.json())
    except ValueError:
        return error_of(None)


def _events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """(name, data) of each server-sent event, up to ``[DONE]``."""
    name = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data" and value != "[DONE]":
            yield name, json.loads(value)


def _tokens(delta: Mapping[str, Any]) -> Iterator[Token]:
    if delta.get("reasoning"):
        yield Token(delta["reasoning"], reasoning=True)
    if delta.get("content"):
        yield Token(delta["content"])
    for call in delta.get("tool_calls") or ():
        said = call["function"]
        piece = said.get("arguments", ""), call.get("id", ""), said.get("name", "")
        yield Token("", tool_call=ToolCallDelta(call["index"], *piece))


def _usage(data: Mapping[str, Any]) -> Usage:
    return Usage(data["prompt_tokens"], data["completion_tokens"])


def _given(options: GenerateOptions) -> dict[str, Any]:
    values = {name: getattr(options, name) for name in ("max_tokens", "temperature", "seed")}
    values |= {"tools": tools_body(options.tools) or None}
    return {name: value for name, value in values.items() if value is not None}
