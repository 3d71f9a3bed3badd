"""What home said instead of an answer, as an error in the device's own language."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx2

from ondol.errors import (
    ClockError,
    DeviceRefusedError,
    HomeBusyError,
    HomeError,
    HomeRefusedError,
    InviteError,
    QuotaError,
    SignatureError,
)
from ondol.i18n import t

LONGEST_ERROR_BYTES = 64 * 1024

_REFUSALS = {
    kind.code: kind for kind in (DeviceRefusedError, InviteError, SignatureError, ClockError)
}


def refusal(response: httpx2.Response, home: str) -> HomeError:
    """The error for what home said instead of an answer."""
    try:
        retry_after = max(1, int(response.headers.get("retry-after", 0)))
    except ValueError:
        retry_after = 5
    return error_of(response.status_code, error_in(response), home, retry_after)


def error_of(
    status: int, error: Mapping[str, Any], home: str, retry_after_seconds: int = 5
) -> HomeError:
    """The same for an error object; ``status`` 0 when it came in the middle of an answer."""
    code = str(error.get("code"))
    if code in _REFUSALS:
        kind = _REFUSALS[code]
        return kind(t(f"homes.{kind.code}", home=home), t(f"homes.{kind.code}_hint"))
    if code == QuotaError.code:
        hours = -(-retry_after_seconds // 3600)
        told = t("homes.quota_exceeded", home=home, hours=hours)
        return QuotaError(
            told, t("homes.quota_exceeded_hint"), retry_after_seconds=retry_after_seconds
        )
    if status == 503:
        told = t("homes.busy", home=home, seconds=retry_after_seconds)
        return HomeBusyError(told, t("homes.busy_hint"), retry_after_seconds=retry_after_seconds)
    reason = " ".join(str(error.get("message") or f"HTTP {status}").split())[:300].rstrip(".")
    if 400 <= status < 500:
        return HomeRefusedError(
            t("homes.refused", home=home, reason=reason), t("homes.refused_hint")
        )
    return HomeError(t("homes.failed", home=home, reason=reason), t("homes.status_hint"))


def error_in(response: httpx2.Response) -> Mapping[str, Any]:
    """The error object of a response; empty when it has none."""
    try:
        said = json.loads(head_of(response))
        error = said["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}


def head_of(response: httpx2.Response, longest_bytes: int = LONGEST_ERROR_BYTES) -> bytes:
    """The body of a response that must be short."""
    if response.is_stream_consumed:
        return response.content[:longest_bytes]
    head = bytearray()
    for piece in response.iter_bytes():
        head += piece
        if len(head) >= longest_bytes:
            break
    return bytes(head[:longest_bytes])
