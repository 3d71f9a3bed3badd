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
