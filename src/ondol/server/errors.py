"""One table: any exception, as the error body of the dialect that the request speaks.

OpenAI (``/v1``), Anthropic (``/v1/messages``), Ollama (``/api`` and the root) and native
(``/ondol``). A wrong field is 422 in our own dialect and 400 in the others, as their clients
expect. An exception that is not ours becomes a plain 500: its text could hold a prompt, so it is
neither shown nor logged.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from traceback import extract_tb
from typing import Any, Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ondol import database
from ondol.errors import ContextLengthError, OndolError, UsageError
from ondol.i18n import t
from ondol.server.body import to_bytes

Dialect = Literal["openai", "anthropic", "ollama", "native"]
# Clients of Anthropic's say which version of its API they speak, of no other.
ANTHROPIC_VERSION = "anthropic-version"

_log = logging.getLogger("ondol.server")

_STATUS_WORDS = {
    400: "server.bad_json",
    404: "server.no_such_route",
    405: "server.no_such_method",
}
_STATUS_CODES = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
}
# What Anthropic's API has no word for, and the status it has instead: 529 says "try again".
_ANTHROPIC_STATUS = {422: 400, 423: 400, 502: 500, 503: 529, 507: 500}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}

_TYPES = ("str", "int", "float", "bool")


class UnauthorizedError(OndolError):
    """The server asks for a key and the request carries none, or another."""

    code = "unauthorized"
    status = 401


class ForbiddenError(OndolError):
    """A Host or Origin that is neither this machine nor configured."""

    code = "forbidden"
    status = 403


class TwoLengthsError(OndolError):
    """A request says in two ways where its body ends. Its connection is closed."""

    code = "two_lengths"
    status = 400


class UnsupportedEncodingError(OndolError):
    """The request's body is packed in a way that this server does not unpack."""

    code = "unsupported_encoding"
    status = 415
    accepted = "gzip, deflate, zstd"


@dataclass(frozen=True, slots=True)
class Failure:
    """What a client is told: ``status`` is the native one; see ``status_in``. ``headers`` are what
    the response needs beside it."""

    status: int
    code: str
    message: str
    hint: str = ""
    param: str | None = None
    retry_after_seconds: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def dialect_of(path: str) -> Dialect:
    """The dialect a path belongs to."""
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return "anthropic"
    if path == "/v1" or path.startswith("/v1/"):
        return "openai"
    is_own = path in ("/ondol", "/mcp") or path.startswith("/ondol/")
    return "native" if is_own else "ollama"


def failure_of(error: Exception) -> Failure:
    """What to say about ``error``."""
    error = database.damage(error) or error
    if isinstance(error, OndolError):
        return _known(error)
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    if isinstance(error, HTTPException):
        if isinstance(error.__cause__, OndolError):
            # FastAPI makes a plain 400 of whatever goes wrong while it reads a body.
            return _known(error.__cause__)
        word = _STATUS_WORDS.get(error.status_code)
        message = t(word) if word else str(error.detail)
        code = _STATUS_CODES.get(error.status_code, "error")
        return Failure(error.status_code, code, message, headers=error.headers or {})
    place = "; ".join(f"{f.filename}:{f.lineno}" for f in extract_tb(error.__traceback__)[-3:])
    _log.error("unexpected %s at %s", type(error).__name__, place)
    return Failure(500, "internal_error", t("server.unexpected"), t("server.unexpected_hint"))


def status_in(dialect: Dialect, failure: Failure) -> int:
    """The HTTP status of ``failure`` in ``dialect``."""
    if dialect == "anthropic":
        return _ANTHROPIC_STATUS.get(failure.status, failure.status)
    return 400 if failure.status == 422 and dialect != "native" else failure.status


def body_in(dialect: Dialect, failure: Failure) -> dict[str, Any]:
    """The JSON body of ``failure`` in ``dialect``."""
    if dialect == "native":
        error = {"code": failure.code, "message": failure.message, "hint": failure.hint}
        return {"error": error | ({"param": failure.param} if failure.param else {})}
    message = f"{failure.message} {failure.hint}".strip()
    if dialect == "ollama":
        return {"error": message}
    status = status_in(dialect, failure)
    if dialect == "anthropic":
        kind = "api_error" if status >= 500 else "invalid_request_error"
        message = _too_long(failure) or message
        said = {"type": _ANTHROPIC_TYPES.get(status, kind), "message": message}
        return {"type": "error", "error": said, "request_id": new_request_id()}
    return {
        "error": {
            "message": message,
            "type": _openai_type(status),
            "param": failure.param,
            "code": failure.code,
        }
    }


def new_request_id() -> str:
    """What Anthropic's clients call a request by, when they report a failure of it."""
    return f"req_{secrets.token_hex(12)}"


def response(dialect: Dialect, failure: Failure) -> Response:
    """The whole answer to a request that failed before its first byte."""
    headers = dict(failure.headers)
    body = body_in(dialect, failure)
    if "request_id" in body:
        headers["request-id"] = body["request_id"]
    if failure.code == UnsupportedEncodingError.code:
        headers["Accept-Encoding"] = UnsupportedEncodingError.accepted
    if failure.code == TwoLengthsError.code:
        headers["Connection"] = "close"
    if failure.retry_after_seconds is not None:
        headers["Retry-After"] = str(failure.retry_after_seconds)
    if failure.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        to_bytes(body),
        status_in(dialect, failure),
        headers,
        media_type="application/json",
    )


async def handle(request: Request, error: Exception) -> Response:
    """The exception handler of the whole app."""
    dialect = dialect_of(request.url.path)
    if dialect == "openai" and ANTHROPIC_VERSION in request.headers:
        # The two have one address for their models.
        dialect = "anthropic"
    return response(dialect, failure_of(error))


def _known(error: OndolError) -> Failure:
    return Failure(
        error.status,
        error.code,
        error.message,
        error.hint,
        error.param if isinstance(error, UsageError) else None,
        getattr(error, "retry_after_seconds", None),
    )


def _invalid(problems: Sequence[Any]) -> Failure:
    problem = problems[0]
    if problem["type"] == "json_invalid":
        # Its place is an offset, not a field.
        return Failure(400, "invalid_request", t("server.bad_json"))
    where = [str(part) for part in problem["loc"][1:]]
    # A union's branches end in the name of a type; the field is what a person wrote.
    field = ".".join(part for part in where if part not in _TYPES and "[" not in part)
    if not field:
        missing = problem["type"] == "missing"
        message = t("server.missing_body") if missing else t("server.body_not_an_object")
        return Failure(400, "invalid_request", message)
    if problem["type"] == "missing":
        return Failure(422, "invalid_request", t("server.field_required", field=field), "", field)
    message = t("server.bad_field", field=field, reason=problem["msg"])
    return Failure(422, "invalid_request", message, "", field)


def _too_long(failure: Failure) -> str:
    """In the words by which Claude Code knows that it has to sum up what was said."""
    numbers = re.findall(r"\d+", failure.message)
    if failure.code != ContextLengthError.code or len(numbers) != 2:
        return ""
    return f"prompt is too long: {numbers[0]} tokens > {numbers[1]} maximum. {failure.hint}"


def _openai_type(status: int) -> str:
    if status in (404, 429):
        return "not_found_error" if status == 404 else "rate_limit_error"
    return "api_error" if status >= 500 else "invalid_request_error"
