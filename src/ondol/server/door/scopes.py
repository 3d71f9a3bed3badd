"""What the key of a program opens: the one place where its dialects are looked at.

Which models it may use is asked in ``generation`` where models are found, which documents it may
read in ``retrieval.searcher`` where every question to the library passes. What a key is not for is
403 (``OutOfScopeError``), whatever is there.
"""

from __future__ import annotations

import re

from ondol.callers import Caller
from ondol.i18n import t
from ondol.server.errors import ForbiddenError

# Nothing of these is a program's, whatever its key says: with them it could widen its own scope.
# Samples, what personal trainings show of them, and the file of an adapter that learned from them
# are what the owner wrote; a training ends in what answers. A federation learns from them, too.
_OWNERS = re.compile(
    r"/ondol/v1/((keys|pairing|samples|sources|personal|federations|evaluations)(/.*)?|adapters/.*/file)",
    re.DOTALL,
)
# What is said of an answer becomes what a model learns, and what is remembered stands in every
# prompt: a program may read both where it may read conversations, and puts no words in there. Whom
# the owner trusts with models, and what of theirs is installed, is the owner's to say, and so is
# what is pinned: reading it occupies a model for minutes, and taking a pin off erases that.
_OWNERS_TO_CHANGE = re.compile(
    r"/ondol/v1/((settings|onboarding|memories|personas|hubs|updates|packs|tuning|engines|pins)(/.*)?"
    r"|messages/.*/feedback)",
    re.DOTALL,
)
# What of Ondol's own a key may use that is for some collections or models only: here they are
# asked for. Conversations, memories and the ledger hold words of every document.
_OF_THE_SCOPED = (
    *(("POST", "/ondol/v1/ask"), ("POST", "/ondol/v1/search"), ("GET", "/ondol/v1/documents")),
    *(("GET", "/ondol/v1/files"), ("GET", "/ondol/v1/collections"), ("GET", "/ondol/v1/models")),
)
_MODEL_CHANGES = (
    ("POST", re.compile(r"/api/(pull|push|create|copy)")),
    ("DELETE", re.compile(r"/api/delete")),
    ("POST", re.compile(r"/api/blobs/.*", re.DOTALL)),
    # Only who makes models asks for it, and it tells of models that the key does not open.
    ("HEAD", re.compile(r"/api/blobs/.*", re.DOTALL)),
    ("POST", re.compile(r"/ondol/v1/(models/pull|pulls|adapters/merge)(/.*)?", re.DOTALL)),
    ("POST", re.compile(r"/ondol/v1/(activations|adapters)(/.*)?", re.DOTALL)),
    ("DELETE", re.compile(r"/ondol/v1/(models|pulls|adapters)(/.*)?", re.DOTALL)),
)


class OutOfScopeError(ForbiddenError):
    """The key is a good one, and not for this."""

    code = "key_scope"


def dialects_of(path: str) -> tuple[str, ...]:
    """The dialects, any of which opens ``path`` to a key."""
    if path == "/openapi.json":
        return ("openai", "ollama", "anthropic", "mcp", "ondol")
    for beginning, dialects in (
        ("/mcp", ("mcp",)),
        ("/ondol", ("ondol",)),
        ("/v1/messages", ("anthropic",)),
        # Anthropic's clients list models there too.
        ("/v1/models", ("openai", "anthropic")),
        ("/v1", ("openai",)),
    ):
        if path == beginning or path.startswith(f"{beginning}/"):
            return dialects
    return ("ollama",)


def check(caller: Caller, method: str, path: str) -> None:
    """Refuse what ``caller``'s key is not for."""
    if not caller.id.startswith(("key:", "page")):
        return
    if not any(caller.may_speak(dialect) for dialect in dialects_of(path)):
        raise _refused(t("keys.not_this_dialect", dialects=", ".join(dialects_of(path))))
    if _OWNERS.fullmatch(path) or (method != "GET" and _OWNERS_TO_CHANGE.fullmatch(path)):
        raise _refused(t("keys.owner_only"))
    is_scoped = caller.collections is not None or caller.models is not None
    if is_scoped and dialects_of(path) == ("ondol",) and (method, path) not in _OF_THE_SCOPED:
        raise _refused(t("keys.not_when_scoped"))
    if not caller.manages_models and any(
        method == one and pattern.fullmatch(path) for one, pattern in _MODEL_CHANGES
    ):
        raise _refused(t("keys.manages_no_models"))


def _refused(message: str) -> OutOfScopeError:
    return OutOfScopeError(message, t("keys.scope_hint"))
