"""Hidden states of the frozen lower layers, computed once and kept: who learns in the upper layers
alone reads every sequence again and again, and those below give the same each time.

What is kept is what layer ``first_layer`` reads, in the type that it has there, in memory or in a
file without a name beside the training; it is overwritten at the end. Position ids, rotary
embeddings and attention masks stay the model's own: its forward runs as ever, with layers in the
place of the lower ones that give what was kept. An architecture in which that is not the same (one
that hands other things upwards) is found out on a sequence, and then nothing is kept.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.training.base import Encoded
from ondol.training.lora import causal_lm, head_losses, parts_of, reply_losses, side_by_side

if TYPE_CHECKING:
    import torch

MOST_MEMORY = 512 << 20
MOST_FILE = 16 << 30
DISK_SHARE = 0.5
"""Of the free disk, what a file may take."""

FEWEST_READS = 1.5
"""How often a sequence must be read on average before keeping it is worth its memory."""

CLOSE = 0.02


class HiddenStates:
    """What the upper layers of ``model`` read of each of some sequences."""

    def __init__(self, model: Any, first_layer: int, sequences: Sequence[Encoded]) -> None:
        self.model, self.first_layer = model, first_layer
        self._decoder = causal_lm(model).model
        self._starts: dict[Encoded, int] = {}
        tokens = 0
        for sequence in dict.fromkeys(sequences):
            self._starts[sequence] = tokens
            tokens += len(sequence)
        self._shape = tokens, int(causal_lm(model).config.hidden_size)
        self._states: torch.Tensor | None = None

    def num_bytes(self) -> int:
        return self._shape[0] * self._shape[1] * int(self._dtype.itemsize)

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = self._decoder.norm.weight.dtype
        return dtype

    def compute(
        self, folder: Path | None, part_tokens: int, between: Callable[[], None]
    ) -> HiddenStates | None:
        """Fill it; None where there is no room for it. ``folder`` may hold a file."""
        import torch

        self._states = self._room(folder)
        if self._states is None:
            return None
        was_training = self.model.training
        self.model.eval()
        with torch.no_grad():
            for part in parts_of(list(self._starts), part_tokens):
                between()
                rows = side_by_side(part, next(self.model.parameters()).device)
                hidden = self._below(rows.ids, rows.seen)
                for row, sequence in enumerate(part):
                    start = self._starts[sequence]
                    self._states[start : start + len(sequence)] = hidden[row, : len(sequence)]
        self.model.train(was_training)
        return self

    def losses(self, part: Sequence[Encoded]) -> torch.Tensor:
        """As ``lora.reply_losses``."""
        import torch

        assert self._states is not None
        rows = side_by_side(part, next(self.model.parameters()).device)
        hidden = torch.zeros(*rows.ids.shape, self._shape[1], dtype=self._states.dtype)
        for row, sequence in enumerate(part):
            start = self._starts[sequence]
            hidden[row, : len(sequence)] = self._states[start : start + len(sequence)]
        with self._from_states(hidden.to(rows.ids.device)) as states:
            last = self._decoder(inputs_embeds=states, attention_mask=rows.seen).last_hidden_state
        return head_losses(causal_lm(self.model), last, rows)

    def are_right(self) -> bool:
        """Whether a sequence has the same loss through them."""
        import torch

        shortest = min(self._starts, key=len)
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                whole, kept = reply_losses(self.model, [shortest]), self.losses([shortest])
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError):
            return False
        finally:
            self.model.train(was_training)
        return bool(torch.allclose(whole, kept, rtol=CLOSE, atol=CLOSE))

    def destroy(self) -> None:
        """Overwrite what was kept."""
        if self._states is not None:
            self._states.zero_()
            self._states = None

    def _room(self, folder: Path | None) -> torch.Tensor | None:
        import torch

        if self.num_bytes() <= MOST_MEMORY:
            return torch.empty(self._shape, dtype=self._dtype)
        if folder is None or self.num_bytes() > MOST_FILE:
            return None
        try:
            if self.num_bytes() > DISK_SHARE * shutil.disk_usage(folder).free:
                return None
            # Its name goes at once: nothing of it stays behind, however this process ends.
            with tempfile.NamedTemporaryFile(dir=folder, suffix=".tmp") as file:
                file.truncate(self.num_bytes())
                size = self._shape[0] * self._shape[1]
                flat = torch.from_file(file.name, shared=True, size=size, dtype=self._dtype)
        except (OSError, RuntimeError):
            return None
        return flat.view(self._shape)

    def _below(self, ids: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """What the first layer that learns reads; nothing above it is computed."""
        read: list[torch.Tensor] = []

        def take(layer: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            read.append(args[0] if args else named["hidden_states"])
            raise _Enough

        layer = self._decoder.layers[self.first_layer]
        hook = layer.register_forward_pre_hook(take, with_kwargs=True)
        try:
            self._decoder(input_ids=ids, attention_mask=seen)
        except _Enough:
            pass
        finally:
            hook.remove()
        return read[0]

    @contextmanager
    def _from_states(self, states: torch.Tensor) -> Iterator[torch.Tensor]:
        """The decoder with layers that give ``states`` in the place of those below."""
        import torch

        whole = self._decoder.layers
        below = [_given(states) for _ in range(self.first_layer)]
        self._decoder.layers = torch.nn.ModuleList([*below, *whole[self.first_layer :]])
        try:
            yield states
        finally:
            self._decoder.layers = whole


class _Enough(Exception):
    """The layers below have said what they say."""


def _given(states: torch.Tensor) -> Any:
    """A layer that gives ``states``, whatever it reads."""
    import torch

    class Given(torch.nn.Module):  # type: ignore[misc]
        def forward(self, *_: object, **__: object) -> torch.Tensor:
            return states

    return Given()


def keep(
    model: Any,
    first_layer: int,
    sequences: Sequence[Encoded],
    reads: float,
    *,
    folder: Path | None = None,
    part_tokens: int,
    between: Callable[[], None] = lambda: None,
) -> HiddenStates | None:
    """The hidden states of ``sequences``, which will be read ``reads`` times each on average; None
    where nothing lies below, where it is not worth it, where there is no room, or where this
    architecture cannot go on from them."""
    if first_layer <= 0 or reads < FEWEST_READS or not sequences:
        return None
    made = HiddenStates(model, first_layer, sequences)
    states = made.compute(folder, part_tokens, between)
    if states is not None and not states.are_right():
        states.destroy()
        return None
    return states
