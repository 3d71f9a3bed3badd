"""Thousands of devices under Flower's simulation (Ray): the same ClientApp, the same ServerApp.

Ray starts workers of its own, so that a device is made there, by ``make_device``, which has to be
importable; what a device remembers between questions it keeps on disk. Ray is the second step of
setting up: ``environment.make(simulation=True)``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flwr.app import Context
from flwr.simulation import run_simulation

from ondol.federated.flower.client_app import make_client_app
from ondol.federated.flower.server_app import make_server_app
from ondol.federated.grid import Device, Grid


def simulate(
    make_device: Callable[[int], Device],
    num_devices: int,
    work: Callable[[Grid], None],
    *,
    cpus_per_device: float = 1.0,
    cpus: int | None = None,
) -> None:
    """Do ``work`` with ``num_devices``. ``make_device`` is given a number from 0, the same for the
    same device each time it is asked."""
    resources: dict[str, Any] = {"client_resources": {"num_cpus": cpus_per_device, "num_gpus": 0.0}}
    resources["init_args"] = {"num_cpus": cpus, "include_dashboard": False, "log_to_driver": False}
    run_simulation(
        make_server_app(work),
        make_client_app(partial(_device, make_device)),
        num_supernodes=num_devices,
        backend_config=resources,
    )


def _device(make_device: Callable[[int], Device], context: Context) -> Device:
    return make_device(int(context.node_config["partition-id"]))
