"""What goes wrong with a hub: a folder of signed models, adapters and packs, and its mirrors."""

from __future__ import annotations

from ondol.errors.base import OndolError


class HubError(OndolError):
    """Something is wrong with a hub, or with what it offers."""

    code = "hub_error"
    status = 422
    exit_code = 12


class HubNotFoundError(HubError):
    """No hub of that name was added here, or it has no such item or version."""

    code = "hub_not_found"
    status = 404


class HubUnreachableError(HubError):
    """Neither the hub nor a mirror of it answers, or they are too slow."""

    code = "hub_unreachable"
    status = 502


class UntrustedError(HubError):
    """What came is not what the keys of the hub signed: nothing of it was taken."""

    code = "hub_untrusted"
    status = 502


class ExpiredError(HubError):
    """What the hub says is older than it may be. What is installed keeps running."""

    code = "hub_expired"
    status = 409


class ScanRefusedError(HubError):
    """A file is malformed, or of a kind that may carry code."""

    code = "scan_refused"


class NotApprovedError(HubError):
    """It waits in quarantine until the operator of the hub approves it."""

    code = "not_approved"
    status = 403


class UpdateFailedError(HubError):
    """An update did not pass its tests, or cannot be installed here; what ran before runs."""

    code = "update_failed"
    status = 409


class SigningError(HubError):
    """A key is missing, locked or not allowed to sign this."""

    code = "signing_refused"
    status = 409


class InvalidPackError(HubError):
    """A pack is not built, or not taken: something in it is not what its format says."""

    code = "invalid_pack"


class PackNotFoundError(HubError):
    """No pack of that name is here."""

    code = "pack_not_found"
    status = 404
