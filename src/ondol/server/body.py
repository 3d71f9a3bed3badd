"""JSON bodies, in and out.

In: lenient as Ollama and OpenAI are (any content type, unknown fields ignored), strict where a
value could do harm (no NaN, no lone surrogates, no bottomless nesting). Out: ASCII, because
clients split lines at every Unicode line break. Raises ``HTTPException`` 400 for unreadable JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import Response

MAX_DEPTH = 64


class Lenient(BaseModel):
    """A request that ignores the fields it does not know."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, protected_namespaces=())


def _false_if_none(value: object) -> object:
    return False if value is None else value


# Clients write null where they mean "the default".
Flag = Annotated[bool, BeforeValidator(_false_if_none)]


def to_bytes(value: object) -> bytes:
    """Compact ASCII JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def json_response(value: object, status: int = 200) -> Response:
    """A whole JSON answer, with the content type Ollama's clients look for."""
    return Response(to_bytes(value), status, media_type="application/json; charset=utf-8")


class JsonRoute(APIRoute):
    """Reads the body as JSON whatever its content type: ``curl -d`` calls it a form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            headers = [(k, v) for k, v in request.scope["headers"] if k != b"content-type"]
            headers.append((b"content-type", b"application/json"))
            scope = {**request.scope, "headers": headers}
            return await inner(_JsonRequest(scope, request.receive, request._send))

        return handler


class _JsonRequest(Request):
    async def json(self) -> Any:
        raw = await self.body()
        try:
            value = json.loads(raw, parse_constant=_refuse)
            _check_depth(value, MAX_DEPTH)
            # Half a character comes escaped, or as bytes that are not quite UTF-8.
            if b"\\u" in raw or not raw.isascii():
                to_text(value)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError) as error:
            raise HTTPException(400) from error
        return value


def to_text(value: object) -> str:
    """``value`` as JSON text; ValueError when a string in it is not Unicode."""
    text = json.dumps(value, ensure_ascii=False)
    text.encode()
    return text


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _check_depth(value: object, left: int) -> None:
    if left < 0:
        raise ValueError
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict | list):
                _check_depth(inner, left - 1)
