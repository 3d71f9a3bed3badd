"""Two network namespaces and a bad cable between them: slow, late and lossy, and it can be pulled.

netem does this in kernels that have it; here each end of the cable is a TUN device, and a thread
carries the packets between them. Needs root, ``ip`` and /dev/net/tun.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import secrets
import select
import shutil
import struct
import subprocess
import threading
import time
from pathlib import Path

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
ENDS = ("10.87.115.1", "10.87.115.2")
QUEUED_SECONDS = 0.5
"""How much may wait for its turn, as in a modem; what comes beyond it is lost too."""


def why_not() -> str:
    """Why there can be no cable here, or nothing."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "needs root and the program ip"
    return "" if Path("/dev/net/tun").exists() else "needs /dev/net/tun"


class SlowCable:
    """``bits_per_second`` and ``delay`` (seconds, one way) hold for each direction; each packet is
    lost with probability ``loss``. ``names`` are the namespaces, ``ENDS`` their addresses;
    ``carried`` counts the bytes that went in, by direction. Raises ``CalledProcessError``."""

    def __init__(
        self, bits_per_second: float = 1e6, loss: float = 0.05, delay: float = 0.02, seed: int = 1
    ) -> None:
        self.rate, self.loss, self.delay = bits_per_second, loss, delay
        self.is_pulled = False
        self.carried = [0, 0]
        self._rng = random.Random(seed)
        tag = secrets.token_hex(3)
        self.names = (f"sa{tag}", f"sb{tag}")
        self._ends: list[int] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def __enter__(self) -> SlowCable:
        try:
            for name, mine, other in zip(self.names, ENDS, reversed(ENDS), strict=True):
                _ip("netns", "add", name)
                self._ends.append(_tun(f"t{name}"))
                _ip("link", "set", f"t{name}", "netns", name)
                _ip("-n", name, "addr", "add", mine, "peer", other, "dev", f"t{name}")
                _ip("-n", name, "link", "set", f"t{name}", "up", "mtu", "1400")
                _ip("-n", name, "link", "set", "lo", "up")
        except BaseException:
            self._remove()
            raise
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._remove()

    def run(self, end: int, *command: str) -> list[str]:
        """``command``, to be run at that end."""
        return ["ip", "netns", "exec", self.names[end], *command]

    def _remove(self) -> None:
        for end in self._ends:
            os.close(end)
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def _carry(self) -> None:
        free = [0.0, 0.0]  # when the line is free again, by direction
        under_way: list[tuple[float, int, int, bytes]] = []
        count = 0
        while not self._is_over.is_set():
            now = time.monotonic()
            while under_way and under_way[0][0] <= now:
                _, _, end, packet = heapq.heappop(under_way)
                os.write(self._ends[end], packet)
            wait = min(0.05, max(0.0, under_way[0][0] - now)) if under_way else 0.05
            for ready in select.select(self._ends, [], [], wait)[0]:
                packet, way = os.read(ready, 65536), self._ends.index(ready)
                now = time.monotonic()
                self.carried[way] += len(packet)
                queued = max(0.0, free[way] - now)
                if self.is_pulled or queued > QUEUED_SECONDS or self._rng.random() < self.loss:
                    continue
                free[way] = max(free[way], now) + 8 * len(packet) / self.rate
                count += 1
                heapq.heappush(under_way, (free[way] + self.delay, count, 1 - way, packet))


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _tun(name: str) -> int:
    """Moved to another namespace afterwards; the descriptor stays here."""
    end = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return end
