"""Devices in this process, each asked in a thread: tests, a household's rehearsal, simulations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from ondol.errors import OndolError
from ondol.federated.grid import Device, Failure
from ondol.i18n import t


class InProcessGrid:
    """``devices`` may change between questions: who is not in it is gone. A question that ran into
    its time goes on in its thread, as it would on a real device."""

    def __init__(self, devices: Mapping[int, Device], workers: int = 8) -> None:
        self.devices = devices
        self._pool = ThreadPoolExecutor(workers, "device")

    def nodes(self) -> Sequence[int]:
        return sorted(self.devices)

    def ask(
        self, stage: str, bodies: Mapping[int, bytes], timeout_seconds: float
    ) -> dict[int, bytes | Failure]:
        asked = {
            node: self._pool.submit(self._one, node, stage, body) for node, body in bodies.items()
        }
        wait(asked.values(), timeout_seconds)
        return {
            node: found.result() if found.done() else Failure("gone", t("federated_rounds.gone"))
            for node, found in asked.items()
        }

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _one(self, node: int, stage: str, body: bytes) -> bytes | Failure:
        device = self.devices.get(node)
        if device is None:
            return Failure("gone", t("federated_rounds.gone"))
        try:
            return device.answer(stage, body)
        except OndolError as error:
            return Failure(error.code, error.message)
        except Exception as error:  # a device's fault is never the round's
            return Failure("gone", type(error).__name__)
