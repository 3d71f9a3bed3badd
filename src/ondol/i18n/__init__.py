"""User-facing sentences in English and Korean.

``t("models.not_found", name="x")`` looks ``not_found`` up in ``<language>/models.toml``. The
language is the request's (``use_language``) or the process's: ONDOL_LANGUAGE, then the locale.
A key that a catalogue lacks falls back to English; a test keeps the catalogues complete.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files

from ondol.i18n import particles

LANGUAGES = ("en", "ko")

_request_language: ContextVar[str | None] = ContextVar("ondol_language", default=None)
_chosen_language: list[str] = []


def t(key: str, **values: object) -> str:
    """The sentence for ``key`` (``catalogue.name``) with ``values`` filled in."""
    catalogue, _, name = key.partition(".")
    sentences = _catalogue(language(), catalogue)
    text = sentences.get(name) or _catalogue("en", catalogue)[name]
    if not values:
        return text
    return (particles.fit(text, values) if language() == "ko" else text).format(**values)


def language() -> str:
    """The language in force here: "en" or "ko"."""
    return _request_language.get() or _process_language()


def speak(code: str) -> None:
    """Make ``code`` the language of the whole process, as the setting ``language`` asks; ``auto``
    and unknown ones leave it to the environment."""
    _chosen_language[:] = [code] if code in LANGUAGES else []


@contextmanager
def use_language(code: str) -> Iterator[None]:
    """Speak ``code`` inside the block; anything but a known language means English."""
    token = _request_language.set(code if code in LANGUAGES else "en")
    try:
        yield
    finally:
        _request_language.reset(token)


def _process_language() -> str:
    if _chosen_language:
        return _chosen_language[0]
    for name in ("ONDOL_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value and value != "auto":
            return "ko" if value.lower().startswith("ko") else "en"
    return "en"


@cache
def _catalogue(code: str, name: str) -> dict[str, str]:
    resource = files("ondol.i18n") / code / f"{name}.toml"
    return tomllib.loads(resource.read_text(encoding="utf-8"))
