"""Who a request comes from: the owner, a paired phone, a program with a key, or nobody we know.

The one place where keys are read: ``Authorization: Bearer`` and ``x-api-key`` (Anthropic's
clients). What begins like a key of ours has to be one, also where no key is asked for: a key that
was revoked never turns into the owner's. Raises ``UnauthorizedError`` and ``TooManyTriesError``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import Scope

from ondol.callers import OWNER, Caller
from ondol.errors import OndolError
from ondol.i18n import t
from ondol.server.door.access import Access
from ondol.server.door.key_records import KEY_PREFIX
from ondol.server.door.pairing import KEY_PREFIX as DEVICE_PREFIX
from ondol.server.door.pairing import Pairing
from ondol.server.door.program_keys import ProgramKeys
from ondol.server.door.tries import TooManyTriesError, Tries
from ondol.server.errors import UnauthorizedError

# What a request's scope says of it: whether it came in by the phones' door, and whose key it has.
PHONE_DOOR = "ondol.phone_door"
DEVICE = "ondol.device"
CALLER = "ondol.caller"
MOST_WRONG_KEYS = 30
WRONG_KEY_SECONDS = 60.0
# Another page of this machine: what it could do as a program, but without anybody's documents.
PAGE = Caller(
    "page", dialects=frozenset({"openai", "ollama", "anthropic"}), collections=frozenset()
)


class Admission:
    """The keys of one server; without ``pairing`` or ``keys`` there are none of that kind."""

    def __init__(
        self, access: Access, pairing: Pairing | None = None, keys: ProgramKeys | None = None
    ) -> None:
        self._access = access
        self._pairing = pairing
        self._keys = keys
        self._tries = Tries(MOST_WRONG_KEYS, WRONG_KEY_SECONDS)

    def admit(self, scope: Scope, headers: Headers, *, is_own_page: bool = True) -> Caller:
        """Who asks; what is known of that is in the scope afterwards."""
        said = list(_presented(headers))
        scope[DEVICE] = next(filter(None, map(self._device, said)), None)
        scope[CALLER] = caller = self._caller(scope, said, OWNER if is_own_page else PAGE)
        return caller

    def holds(self, caller: Caller) -> bool:
        """Whether ``caller`` would be let in now: its key may be gone since it was."""
        kind, _, id = caller.id.partition(":")
        if kind == "key":
            return self._keys is not None and self._keys.holds(id)
        return kind != "device" or (self._pairing is not None and self._pairing.holds(id))

    def note_used(self) -> None:
        """Have it written down, now and then and behind everything else, which keys were used."""
        keys = self._keys
        if keys is not None and keys.is_save_due:
            asyncio.get_running_loop().run_in_executor(None, _save, keys)

    def _caller(self, scope: Scope, said: list[str], anybody: Caller) -> Caller:
        """Who asks; ``anybody`` where nobody is asked for a key."""
        if scope[DEVICE]:
            return Caller(f"device:{scope[DEVICE]}")
        for one in said:
            found = self._keys.admits(one) if self._keys is not None else None
            if found is not None:
                return found.caller
        address = str((scope.get("client") or ("",))[0])
        is_open = not self._access.api_key and not scope.get(PHONE_DOOR)
        if not is_open and said and (seconds := self._tries.wait_seconds(address)):
            raise TooManyTriesError(seconds)
        if any(self._access.is_owners(one) for one in said):
            return OWNER
        is_ours = any(one.startswith((KEY_PREFIX, DEVICE_PREFIX)) for one in said)
        if is_open and not is_ours:
            return anybody
        # Each of them: a request may carry many.
        for _ in said:
            self._tries.note(address)
        if is_ours:
            raise UnauthorizedError(t("keys.worthless"), t("keys.worthless_hint"))
        raise UnauthorizedError(t("server.no_key"), t("server.no_key_hint"))

    def _device(self, key: str) -> str | None:
        return self._pairing.admits(f"Bearer {key}") if self._pairing is not None else None


def _presented(headers: Headers) -> Iterator[str]:
    """The keys that a request carries."""
    for value in headers.getlist("authorization"):
        scheme, _, key = value.partition(" ")
        if scheme.lower() == "bearer" and (key := key.strip(" \t")):
            yield key
    for value in headers.getlist("x-api-key"):
        if key := value.strip(" \t"):
            yield key


def _save(keys: ProgramKeys) -> None:
    # A disk that is full, or a library that is busy: the next time will do.
    with suppress(OndolError):
        keys.save_used()
