"""Which of llama-server's slots a request goes to: its seat, nobody else's for as long as it runs.

The choice is llama-server's own (the slot that holds most of the prompt, else the one that was used
least recently), made here so that a slot can be given a saved state before its request arrives.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

# Less of a prompt in common is not worth what a slot holds beyond it; llama-server's own value.
WORTH = 0.1


@dataclass(slots=True, eq=False)
class Seat:
    """The slot ``number``: ``held`` is what its last request said, ``head`` what that began with,
    ``lora`` the scales it ran with (None: nobody knows)."""

    number: int
    held: str = ""
    head: str = ""
    lora: str | None = None
    used: int = 0
    is_free: bool = True


class Seats:
    """The slots of one process. Safe to use from several threads."""

    def __init__(self, number: int) -> None:
        self._seats = [Seat(i) for i in range(number)]
        self._lock = threading.Lock()
        self._clock = count(1)

    def take(self, said: str) -> Seat | None:
        """A free seat, that which holds most of what is ``said`` before others; None without."""
        with self._lock:
            free = [seat for seat in self._seats if seat.is_free]
            if not free:
                return None
            best = max(free, key=lambda seat: shared(seat.held, said))
            if shared(best.held, said) <= WORTH * len(said):
                best = min(free, key=lambda seat: seat.used)
            best.is_free = False
            return best

    def leave(self, seat: Seat) -> None:
        with self._lock:
            seat.is_free = True
            seat.used = next(self._clock)


def said_in(body: Mapping[str, Any]) -> str:
    """What a request's prompt is, in an order in which a beginning in common is one to the model
    too."""
    prompt = body.get("messages", body.get("prompt", body.get("input_prefix", "")))
    ways = [body.get("lora"), body.get("tools"), body.get("chat_template_kwargs")]
    return json.dumps([*ways, prompt], ensure_ascii=False)


def lora_in(body: Mapping[str, Any]) -> str:
    """The scales of the adapters that a request runs with."""
    return json.dumps(body.get("lora", []))


def shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
