"""The OpenAPI document: what FastAPI finds, and what all routes of a dialect share.

Every failure has the shape of its dialect (``errors``). Ondol's own endpoints answer JSON objects,
which docs/api.md tells field by field.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from ondol.server import errors

_TEXT = {"type": "string"}
_ERRORS: dict[errors.Dialect, dict[str, Any]] = {
    "native": {
        "type": "object",
        "required": ["code", "message", "hint"],
        "properties": {"code": _TEXT, "message": _TEXT, "hint": _TEXT, "param": _TEXT},
    },
    "openai": {
        "type": "object",
        "required": ["message", "type", "param", "code"],
        "properties": {
            "message": _TEXT,
            "type": _TEXT,
            "param": {"type": ["string", "null"]},
            "code": {"type": ["string", "null"]},
        },
    },
    "anthropic": {
        "type": "object",
        "required": ["type", "message"],
        "properties": {"type": _TEXT, "message": _TEXT},
    },
    "ollama": _TEXT,
}
_NAMES: dict[errors.Dialect, str] = {
    "native": "OndolError",
    "openai": "OpenAIError",
    "anthropic": "AnthropicError",
    "ollama": "OllamaError",
}
_OBJECT = {"application/json": {"schema": {"type": "object"}}}


def describe(app: FastAPI) -> None:
    """Make ``app`` describe itself so; the document is made once, when it is first asked for."""
    plain = app.openapi

    def complete() -> dict[str, Any]:
        document = plain()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if _NAMES["native"] in schemas:
            return document
        for dialect, name in _NAMES.items():
            schemas[name] = {
                "type": "object",
                "required": ["error"],
                "properties": {"error": _ERRORS[dialect]},
            }
        for path, methods in document["paths"].items():
            for operation in methods.values():
                _complete(errors.dialect_of(path), operation["responses"])
        # FastAPI's own shape of a wrong field, which nobody is ever answered.
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        return document

    app.openapi = complete  # type: ignore[method-assign]


def _complete(dialect: errors.Dialect, responses: dict[str, Any]) -> None:
    if "HTTPValidationError" in str(responses.get("422", "")):
        del responses["422"]
    if dialect == "native" and _says_nothing(responses.get("200", {})):
        # It may be a 201, or a file or a stream where the endpoint is about one.
        responses["2XX"] = {"description": "See docs/api.md.", "content": _content()}
        del responses["200"]
    reference = {"schema": {"$ref": f"#/components/schemas/{_NAMES[dialect]}"}}
    told = {"description": "What went wrong.", "content": {"application/json": reference}}
    responses.setdefault("default", told)


def _says_nothing(response: dict[str, Any]) -> bool:
    contents = response.get("content", {}).values()
    return "content" in response and not any(one.get("schema") for one in contents)


def _content() -> dict[str, Any]:
    return {**_OBJECT, "text/event-stream": {}, "*/*": {}}
