"""What Flower runs at home, in every one of its ways: it gives the coordinator a grid that reaches
devices, for as long as the coordinator works.
"""

from __future__ import annotations

from collections.abc import Callable

from flwr.app import Context
from flwr.serverapp import Grid as FlowerOwnGrid
from flwr.serverapp import ServerApp

from ondol.federated.flower.flower_grid import FlowerGrid
from ondol.federated.grid import Grid


def make_server_app(work: Callable[[Grid], None]) -> ServerApp:
    """A ServerApp that does ``work`` with the devices it finds."""
    app = ServerApp()

    def main(grid: FlowerOwnGrid, context: Context) -> None:
        work(FlowerGrid(grid))

    app.main()(main)
    return app
