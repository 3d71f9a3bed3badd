"""Ondol's own endpoints for the settings: all of ``config.SETTINGS``, where each value comes from,
and changes to them, written as ``ondol config set`` writes them.

What a running server can take it takes at once (``NOW``); the rest holds from its next start on,
and says so. A secret goes in and never comes out. What opens the house wider is changed only at
this machine itself.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field, RootModel

from ondol import i18n, settings_file
from ondol.config import SETTINGS, Config, Setting, Source, Value, parse, setting
from ondol.errors import ConfigError, UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.body import json_response
from ondol.server.door.access import Access, check_bind
from ondol.server.door.security import check_at_this_machine
from ondol.server.errors import ForbiddenError
from ondol.server.streaming import in_thread

# What is read anew when it is needed, or set anew by ``_apply``; "ledger." is all that begin so.
NOW = (
    *("language", "offline", "models.chat", "models.rerank", "models.speech", "retrieval.limit"),
    *("retrieval.quotes", "retrieval.parse_seconds", "retrieval.parse_memory_mb"),
    *("memory.", "packs.", "answer.", "routing.", "ledger.", "engine.num_ctx", "engine.keep_alive"),
    *("engine.start_timeout_seconds", "engine.schema_timeout_seconds", "server.responses_days"),
)
# What a model's process is started with: a model in memory keeps its own until it is loaded again.
AT_LOADING = (
    *("engine.runtime", "engine.num_parallel", "engine.threads", "engine.gpu_layers"),
    *("engine.cache_type", "engine.drafts"),
)
# What decides who comes in, what goes out, and which program runs.
GUARDED = (
    *("offline", "server.", "home.", "routing.", "engine.runtime", "models.directory"),
    *("models.speech", "retrieval.vectors"),
)
SECRET = "api_key"
_LOGIN = re.compile(r"//[^/\s]*@")

Given = str | bool | int | float | list[str] | None


class Changes(RootModel[Annotated[dict[str, Given], Field(min_length=1, max_length=200)]]):
    """Values by name; ``null`` takes a setting back to its default."""


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about settings."""

    @routes.get("/settings")
    async def settings(request: Request) -> Response:
        """Every setting: its value, where that comes from, and what it does."""
        found = await in_thread(lambda: listed(parts.config))
        return json_response({"settings": _for(request, found)})

    @routes.patch("/settings")
    async def change(request: Request, body: Changes) -> Response:
        """Change settings: all of them or, where one cannot be, none."""
        if any(is_guarded(name) for name in body.root):
            check_at_this_machine(request)

        def work() -> list[dict[str, Any]]:
            _change(parts, body.root)
            return listed(parts.config)

        return json_response({"settings": _for(request, await in_thread(work))})


def _for(request: Request, settings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``settings``; who is not at this machine itself sees no name and password in an address."""
    try:
        check_at_this_machine(request)
    except ForbiddenError:
        return [{**one, "value": _without_login(one["value"])} for one in settings]
    return settings


def _without_login(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_login(one) for one in value]
    return _LOGIN.sub("//", value) if isinstance(value, str) else value


def listed(running: Config) -> list[dict[str, Any]]:
    """Every setting as the file and the environment have it now. ``pending``: the running server
    goes by another value until it starts again."""
    now = running.fresh()
    return [_described(one, now, running) for one in SETTINGS]


def when(name: str) -> Literal["now", "loading", "restart"]:
    """From when on a running server goes by a new value: at once, for the models that it loads from
    now on, or when it starts again."""
    if _is_among(name, NOW):
        return "now"
    return "loading" if name in AT_LOADING else "restart"


def is_guarded(name: str) -> bool:
    """Whether a setting is changed only at this machine itself."""
    return _is_among(name, GUARDED)


def _is_among(name: str, names: tuple[str, ...]) -> bool:
    return any(name == one or (one.endswith(".") and name.startswith(one)) for one in names)


def _described(one: Setting, now: Config, running: Config) -> dict[str, Any]:
    secret = one.name.endswith(SECRET)
    value = now[one.name]
    return {
        "name": one.name,
        "value": None if secret else value,
        "default": one.default,
        "source": now.source(one.name),
        "type": _type(one),
        "choices": list(one.choices),
        "minimum": one.minimum,
        "maximum": one.maximum,
        "description": one.help,
        "variable": one.env,
        "secret": secret,
        "is_set": value != one.default,
        "when": when(one.name),
        "restart": when(one.name) == "restart",
        "pending": value != running[one.name],
        "here_only": is_guarded(one.name),
    }


def _type(one: Setting) -> str:
    if isinstance(one.default, bool):
        return "boolean"
    if isinstance(one.default, tuple):
        return "list"
    kinds = {int: "integer", float: "number"}
    return "choice" if one.choices else kinds.get(type(one.default), "text")


def _change(parts: Parts, wanted: dict[str, Given]) -> None:
    changes: dict[str, Value | None] = {}
    for name, raw in wanted.items():
        with _naming(name):
            known = setting(name, where=t("settings.request"))
            changes[name] = None if raw is None else parse(known, raw, t("settings.request"))
    _check_together(parts.config.fresh(), changes)
    settings_file.write(parts.config.file, changes)
    _apply(parts, [name for name in changes if when(name) != "restart"])


def _check_together(now: Config, changes: dict[str, Value | None]) -> None:
    """What one value alone does not show: with these, would a server start?"""
    from ondol.engine.settings import EngineSettings

    source: Source = "file"
    changed: dict[str, tuple[Value, Source]] = {
        name: (setting(name).default if value is None else value, source)
        for name, value in changes.items()
    }
    then = Config({one.name: (now[one.name], source) for one in SETTINGS} | changed)
    first = next(iter(changes))

    def named(*prefixes: str) -> str:
        return next((name for name in changes if name.startswith(prefixes)), first)

    with _naming(named("engine.keep_alive", "engine.")):
        EngineSettings.from_config(then)
    with _naming(named("server.hosts", "server.origins")):
        Access.from_config(then)
    with _naming(named("server.host", "server.api_key")):
        check_bind(then["server.host"], then["server.api_key"])


def _apply(parts: Parts, names: list[str]) -> None:
    from ondol.engine.settings import EngineSettings

    parts.config.take(parts.config.fresh(), names)
    if "language" in names:
        i18n.speak(str(parts.config["language"]))
    parts.egress.offline = bool(parts.config["offline"])
    parts.oversight.reconsider()
    if any(name.startswith("engine.") for name in names):
        parts.pool.settings = EngineSettings.from_config(parts.config)


class _naming:
    """Says which setting an error is about, as a field of the request."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, ConfigError):
            raise UsageError(error.message, error.hint, param=self._name) from error
