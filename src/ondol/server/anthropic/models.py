"""The models of this machine for Anthropic's clients, who ask at the address of OpenAI's and say so
with the header ``anthropic-version``. Only those that can chat are for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ondol.errors import ModelNotFoundError, UsageError
from ondol.i18n import t
from ondol.server.body import json_response
from ondol.server.errors import ANTHROPIC_VERSION, new_request_id

if TYPE_CHECKING:
    from fastapi import Request
    from fastapi.responses import Response

    from ondol.models.store import Model
    from ondol.parts import Parts

PAGE, LARGEST_PAGE = 20, 1000


def asks(request: Request) -> bool:
    """Whether a client of Anthropic's asks."""
    return ANTHROPIC_VERSION in request.headers


def listing(parts: Parts, request: Request, models: Sequence[Model]) -> Response:
    """A page of ``models``: ``limit`` of them, after or before an id. Raises ``UsageError``."""
    able = [model for model in models if "completion" in model.capabilities]
    limit = request.query_params.get("limit", str(PAGE))
    if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:9]) <= LARGEST_PAGE):
        raise UsageError(t("anthropic.bad_limit", most=LARGEST_PAGE), param="limit")
    size = int(limit)
    start, end = 0, len(able)
    names = [model.name for model in able]
    if after := request.query_params.get("after_id"):
        start = _place(names, after, "after_id") + 1
    if before := request.query_params.get("before_id"):
        end = _place(names, before, "before_id")
        page = able[max(start, end - size) : end]
        has_more = end - size > start
    else:
        page = able[start : start + size]
        has_more = start + size < end
    ids = {"first_id": page[0].name if page else None, "last_id": page[-1].name if page else None}
    return _answered({"data": [_described(parts, m) for m in page], "has_more": has_more, **ids})


def single(parts: Parts, model: Model) -> Response:
    """One model. Raises ``ModelNotFoundError`` for one that cannot chat."""
    if "completion" not in model.capabilities:
        raise ModelNotFoundError(t("server.model_not_found", model=model.name))
    return _answered(_described(parts, model))


def _place(names: list[str], name: str, param: str) -> int:
    if name not in names:
        raise UsageError(t("server.model_not_found", model=name), param=param)
    return names.index(name)


def _answered(body: dict[str, Any]) -> Response:
    response = json_response(body)
    response.headers["request-id"] = new_request_id()
    return response


def _described(parts: Parts, model: Model) -> dict[str, Any]:
    num_ctx = min(parts.config["engine.num_ctx"], model.context_length or 2**31)
    return {
        "type": "model",
        "id": model.name,
        "display_name": model.name,
        "created_at": model.modified_at.isoformat(),
        "lifecycle": "active",
        "max_input_tokens": num_ctx,
        "max_tokens": num_ctx,
        "capabilities": _capabilities(model),
    }


def _capabilities(model: Model) -> dict[str, Any]:
    """What a client may ask of it; the keys are all that the API knows."""
    yes, no = {"supported": True}, {"supported": False}
    thinks = {"supported": "thinking" in model.capabilities}
    efforts = {name: thinks for name in ("low", "medium", "high", "xhigh", "max")}
    types = {"enabled": thinks, "adaptive": thinks, "disabled": yes, "between_tools": yes}
    return {
        "batch": no,
        "citations": no,
        "code_execution": no,
        "context_management": no,
        "effort": {**thinks, **efforts},
        "image_input": {"supported": "vision" in model.capabilities},
        "pdf_input": no,
        "server_tools": {**no, "code_execution": no, "web_search": no},
        "structured_outputs": yes,
        "thinking": {**thinks, "types": types},
    }
