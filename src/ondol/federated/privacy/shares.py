"""How much of the noise each device adds.

The plan promises noise of standard deviation ``noise_multiplier * clip_norm`` on each coordinate of
the sum. Nobody adds it for the others: home would know it. So every device adds a share, and the
shares are sized for the fewest devices that a round may end with: who drops out takes a share away,
and the rest still hold the promise. Where more stay, there is more noise than promised, never less.
"""

from __future__ import annotations

import math

from ondol.federated.masking.session import SMALLEST_SUM, Session
from ondol.federated.plan import Plan


def fewest_shares(plan: Plan, num_clients: int) -> int:
    """How many shares are in what home sees, at least, when ``num_clients`` began the round. Where
    home sees each update there is one in it, so each device adds all of the noise."""
    if plan.aggregation == "individual":
        return 1
    return max(SMALLEST_SUM, Session.threshold_for(num_clients, plan.threshold))


def share_deviation(plan: Plan, num_clients: int) -> float:
    """Standard deviation of a device's share, in units of ``clip_norm``."""
    return plan.noise_multiplier / math.sqrt(fewest_shares(plan, num_clients))


def whole_deviation(plan: Plan, num_clients: int) -> float:
    """Of all shares together when nobody drops out, in units of ``clip_norm``."""
    return share_deviation(plan, num_clients) * math.sqrt(num_clients)
