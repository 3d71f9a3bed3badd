"""An answer that was to follow a JSON schema is JSON, or the request ends in an error.

The bundled runtime drops a grammar that it cannot make (a schema that nothing can fit, an
expression that looks ahead) without a word, and lets the model say what it likes.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from typing import Any

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.types import Token

_STARTS = {"object": "{", "array": "[", "string": '"', "boolean": "tf", "null": "n"}
_ANY = '{["-0123456789tfn'


def json_only(tokens: Iterable[Token], schema: Mapping[str, Any]) -> Generator[Token]:
    """``tokens``, as long as they may be JSON that fits ``schema``. Raises ``UsageError`` where
    they are not."""
    kind = schema.get("type")
    starts = _STARTS.get(kind, _ANY) if isinstance(kind, str) else _ANY
    text = ""
    for token in tokens:
        if not token.reasoning:
            text += token.text
        start = text.lstrip()[:1]
        was_cut = token.finish_reason != "stop" or token.stop_sequence is not None
        if (start and start not in starts) or not (was_cut or _is_json(text)):
            raise UsageError(
                t("engine.schema_not_followed"), t("engine.schema_hint"), param="response_format"
            )
        yield token


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True
