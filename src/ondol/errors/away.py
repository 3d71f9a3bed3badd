"""Errors of what leaves the house, of homes, and of the ledger that writes it down."""

from __future__ import annotations

from ondol.errors.base import OndolError


class EgressError(OndolError):
    """The only door is shut for this destination."""

    code = "egress_refused"
    status = 403
    exit_code = 6


class HomeError(OndolError):
    """The owner's own server did not answer, or this one did not as a server."""

    code = "home_error"
    status = 502
    exit_code = 6


class HomeUnreachableError(HomeError):
    """Nobody answers there, or somebody who is not home."""

    code = "home_unreachable"


class HomeInterruptedError(HomeError):
    """Home was gone in the middle of an answer."""

    code = "home_interrupted"


class HomeTimeoutError(HomeError):
    """Home sent nothing for longer than ``home.timeout_seconds``."""

    code = "home_timeout"
    status = 504


class HomeBusyError(HomeError):
    """Home's queue is full; try again in ``retry_after_seconds``."""

    code = "home_busy"
    status = 503

    def __init__(self, message: str, hint: str = "", *, retry_after_seconds: int = 5) -> None:
        super().__init__(message, hint)
        self.retry_after_seconds = retry_after_seconds


class HomeRefusedError(HomeError):
    """Home will not do what it was asked."""

    code = "home_refused"
    status = 403


class DeviceRefusedError(HomeRefusedError):
    """The device was revoked, or never enrolled."""

    code = "device_refused"


class InviteError(HomeRefusedError):
    """An invite that was used, has expired, or was never made."""

    code = "invite_refused"


class SignatureError(HomeRefusedError):
    """A request that carries no good signature, or one that was seen before."""

    code = "signature_refused"
    status = 401


class ClockError(HomeRefusedError):
    """A request that says it was made at another time than now."""

    code = "wrong_clock"
    status = 401


class QuotaError(HomeRefusedError):
    """The device had its share of the day; more in ``retry_after_seconds``."""

    code = "quota_exceeded"
    status = 429

    def __init__(self, message: str, hint: str = "", *, retry_after_seconds: int = 3600) -> None:
        super().__init__(message, hint)
        self.retry_after_seconds = retry_after_seconds


class LedgerError(OndolError):
    """The ledger is not what was signed."""

    code = "ledger_broken"
    status = 422
    exit_code = 7


class LedgerEntryNotFoundError(LedgerError):
    """No entry of the ledger has that id."""

    code = "ledger_entry_not_found"
    status = 404
