"""What python-tuf finds wrong with what a mirror says, as one sentence and one of our errors.

The attacks are those of the TUF specification, 1.5.2.
"""

from __future__ import annotations

import re

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)

from ondol.errors import ExpiredError, HubError, HubUnreachableError, UntrustedError
from ondol.i18n import t

# python-tuf tells apart in words what it raises one class for.
_OLDER = re.compile(r"New (?:timestamp|snapshot) version|Expected .*\.json version")
_TOP = ("root", "timestamp", "snapshot", "targets")


def refusal(error: RepositoryError | DownloadError, mirror: str, publisher: str = "") -> HubError:
    """``error`` in our words; ``publisher`` is whose metadata were asked for, "" for the hub's."""
    if isinstance(error, ExpiredMetadataError):
        return _expired(error, mirror, publisher)
    if isinstance(error, DownloadHTTPError):
        told = t("hub_client.status", mirror=mirror, status=error.status_code)
        return HubUnreachableError(told, t("hub_client.unreachable_hint"))
    if isinstance(error, DownloadError) and not isinstance(error, DownloadLengthMismatchError):
        told = t("hub_client.unreachable", mirror=mirror)
        return HubUnreachableError(told, t("hub_client.unreachable_hint"))
    return untrusted(_why(error), mirror, publisher)


def untrusted(why: str, mirror: str, publisher: str = "", **values: str) -> UntrustedError:
    """The error for what ``mirror`` gave out for the hub's, or for ``publisher``'s."""
    whose = t("hub_client.of_publisher", publisher=publisher) if publisher else ""
    told = t(f"hub_client.untrusted_{why}", mirror=mirror, whose=whose, **values)
    return UntrustedError(told, t("hub_client.untrusted_hint"))


def _why(error: Exception) -> str:
    if isinstance(error, DownloadLengthMismatchError):
        return "endless"
    if isinstance(error, UnsignedMetadataError):
        return "unsigned"
    if isinstance(error, LengthOrHashMismatchError):
        return "changed"
    if isinstance(error, BadVersionNumberError):
        return "older" if _OLDER.match(str(error)) else "mixed"
    return "malformed"


def _expired(error: Exception, mirror: str, publisher: str) -> ExpiredError:
    if publisher:
        told = t("hub_client.expired_publisher", publisher=publisher)
        return ExpiredError(told, t("hub_client.expired_hint"))
    role = next((name for name in _TOP if f"{name}.json" in str(error)), "targets")
    told = t("hub_client.expired", mirror=mirror, role=role)
    return ExpiredError(told, t("hub_client.expired_hint"))
