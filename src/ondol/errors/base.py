"""The root of all errors, and those of settings, usage and storage."""

from __future__ import annotations


class OndolError(Exception):
    """Base of everything Ondol raises on purpose."""

    code = "internal_error"
    status = 500
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(OndolError):
    """A setting cannot be used."""

    code = "invalid_config"
    status = 422
    exit_code = 2


class UsageError(ConfigError):
    """A request or argument cannot be used; ``param`` names the field."""

    code = "invalid_request"

    def __init__(self, message: str, hint: str = "", *, param: str | None = None) -> None:
        super().__init__(message, hint)
        self.param = param


class AddressInUseError(ConfigError):
    """Another program listens on the port."""

    code = "address_in_use"
    status = 500


class StorageError(ConfigError):
    """Nothing more can be written: the disk is full or the folder is read-only."""

    code = "storage_unavailable"
    status = 507


class ServerBusyError(OndolError):
    """The server has too much to do; try again in ``retry_after_seconds``."""

    code = "server_busy"
    status = 503

    def __init__(self, message: str, hint: str = "", *, retry_after_seconds: int = 5) -> None:
        super().__init__(message, hint)
        self.retry_after_seconds = retry_after_seconds


class ClosingError(ServerBusyError):
    """The server is about to end."""

    code = "server_closing"


class RateLimitError(OndolError):
    """The caller asks more than it may; try again in ``retry_after_seconds``."""

    code = "rate_limit_exceeded"
    status = 429

    def __init__(self, message: str, hint: str = "", *, retry_after_seconds: int = 1) -> None:
        super().__init__(message, hint)
        self.retry_after_seconds = retry_after_seconds
