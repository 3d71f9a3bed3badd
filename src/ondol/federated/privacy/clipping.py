"""No device's update is longer than the plan allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ondol.errors import UpdateRefusedError
from ondol.i18n import t

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def clip(vector: npt.NDArray[np.float32], norm: float) -> npt.NDArray[np.float64]:
    """``vector``, shortened to the L2 norm ``norm`` if it is longer (McMahan et al. 2018,
    arXiv:1710.06963). Raises ``UpdateRefusedError`` where a number is not finite."""
    import numpy as np

    wide = vector.astype(np.float64)
    length = float(np.linalg.norm(wide))
    if not np.isfinite(length):
        raise UpdateRefusedError(t("federated_privacy.not_finite"))
    return wide * (norm / length) if length > norm else wide
