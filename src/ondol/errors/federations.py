"""What goes wrong between a home and the devices that learn with it."""

from __future__ import annotations

from ondol.errors.base import OndolError


class FederationError(OndolError):
    """Something is wrong with a federation."""

    code = "federation_error"
    status = 422
    exit_code = 11


class PlanMismatchError(FederationError):
    """The two sides hold different plans, or the model here is not the plan's."""

    code = "plan_mismatch"
    status = 409


class RoundRefusedError(FederationError):
    """A device does not take part: it is busy, paused, out of budget, or was asked what it must
    not answer (an old round, another vector under the same keys)."""

    code = "round_refused"
    status = 409


class RoundFailedError(FederationError):
    """A round ended without a sum; the shared adapter stays as it was."""

    code = "round_failed"
    status = 409


class UpdateRefusedError(FederationError):
    """An update, or a sum of updates, cannot be what the plan allows."""

    code = "update_refused"


class MalformedMessageError(FederationError):
    """What came is no message of a round."""

    code = "malformed_message"
    status = 400


class FederationSetupError(FederationError):
    """The environment of Flower is not here, or could not be made."""

    code = "federation_not_set_up"
    status = 409


class FederationLinkError(FederationError):
    """Flower's processes did not start, do not reach each other, or do not know each other."""

    code = "federation_link_failed"
    status = 502


class FederationNotFoundError(FederationError):
    """This device belongs to no federation of that name or id, or this home coordinates none."""

    code = "federation_not_found"
    status = 404


class MaskingError(FederationError):
    """A masked sum is not gone on with: something is forged, missing, or was asked before with
    something else. ``node`` is whose fault it is, where that is known."""

    code = "masking_refused"
    status = 409

    def __init__(self, message: str, hint: str = "", *, node: int | None = None) -> None:
        super().__init__(message, hint)
        self.node = node
