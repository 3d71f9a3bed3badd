"""The same account by Google's dp-accounting, in Flower's environment:

    python -m ondol.federated.privacy.second_opinion < account.json

reads ``{"plan": Plan.json(), "account": Accountant.json(), "colluding": 0}`` and writes what both
say. Skellam noise is given to it as zero-concentrated DP, since the bound of corollary 3.6,
arXiv:2110.04995, is linear in the order; composition and conversion are its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from ondol.federated.flower import environment
from ondol.federated.plan import Plan
from ondol.federated.privacy import renyi
from ondol.federated.privacy.spending import Accountant


def reckon(accountant: Accountant, colluding: int = 0) -> dict[str, Any]:
    """``ondol`` and ``dp_accounting``: epsilon by each; ``gaussian``: what continuous noise of the
    same size would cost by privacy loss distributions, the tightest account there is: how much the
    whole numbers, the rounding and the Rényi bound give away."""
    from dp_accounting import dp_event
    from dp_accounting.pld import pld_privacy_accountant
    from dp_accounting.rdp import rdp_privacy_accountant

    delta = accountant.plan.delta
    rdp = rdp_privacy_accountant.RdpAccountant(renyi.ORDERS)
    pld = pld_privacy_accountant.PLDAccountant()
    for cost in accountant.costs:
        low, high = (accountant.renyi(order, cost, colluding) for order in (2, 3))
        rho = high - low
        rdp.compose(dp_event.ZCDpEvent(rho=rho, xi=max(0.0, low - 2 * rho)))
        shares = max(0, cost.shares - colluding) / cost.sized_for
        pld.compose(dp_event.GaussianDpEvent(accountant.plan.noise_multiplier * shares**0.5))
    return {
        "ondol": accountant.spent(colluding).epsilon,
        "dp_accounting": float(rdp.get_epsilon(delta)),
        "gaussian": float(pld.get_epsilon(delta)),
        "delta": delta,
        "rounds": len(accountant.costs),
    }


def ask(accountant: Accountant, colluding: int = 0) -> dict[str, Any]:
    """The same, from outside of that environment. Raises ``FederationSetupError`` where it is
    missing, ``CalledProcessError`` where it broke."""
    said = {
        "plan": accountant.plan.json(),
        "account": accountant.json(),
        "colluding": colluding,
    }
    done = subprocess.run(
        [str(environment.python()), "-m", __name__],
        input=json.dumps(said),
        env=environment.environ(),
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    account = Accountant.of(Plan.of(asked["plan"]), asked["account"])
    print(json.dumps(reckon(account, int(asked.get("colluding", 0)))))
