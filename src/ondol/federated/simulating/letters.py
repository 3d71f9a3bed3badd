"""The task of the simulation: which letter stands between these ten?

A cloze on real English prose, the documents that Ondol ships for ``ondol train grounding``: 26
classes, some fifty times rarer than others, and hundreds of thousands of examples, so that ten
thousand devices have data of their own. Documents are divided, not examples: what the base, home's
canary and the final measurement read, no device has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Windows = npt.NDArray[np.int16]
    Labels = npt.NDArray[np.int64]

REACH = 5
CONTEXT = 2 * REACH
SYMBOLS = 28
"""Space, 26 letters, and everything else."""
CLASSES = 26
BASE_DOCUMENTS, CANARY_DOCUMENTS, MEASURED_DOCUMENTS = 60, 20, 60


@dataclass(frozen=True, slots=True)
class Examples:
    """``windows``: (n, 10), symbols before and behind the gap; ``labels``: (n,), which of 26."""

    windows: Windows
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, index: npt.NDArray[np.int64] | slice) -> Examples:
        return Examples(self.windows[index], self.labels[index])


@dataclass(frozen=True, slots=True)
class Text:
    """What the base was made with, what devices share among them, what home has of its own, and
    what only the report measures with."""

    base: Examples
    devices: Examples
    canary: Examples
    measured: Examples


def read(seed: int = 0, most_measured: int = 6000) -> Text:
    """The examples of all English documents, each kind in an order that ``seed`` gives."""
    import numpy as np

    from ondol.training.grounding import own_documents

    texts = [one.text for one in own_documents() if one.language == "en"]
    rng = np.random.default_rng([seed, 1])
    order = [int(at) for at in rng.permutation(len(texts))]
    ends = np.cumsum([BASE_DOCUMENTS, CANARY_DOCUMENTS, MEASURED_DOCUMENTS])
    parts = [order[: ends[0]], order[ends[0] : ends[1]], order[ends[1] : ends[2]], order[ends[2] :]]
    base, canary, measured, devices = (
        _shuffled(_examples([texts[at] for at in part]), rng) for part in parts
    )
    return Text(
        base, devices, canary.at(slice(most_measured // 3)), measured.at(slice(most_measured))
    )


def _shuffled(examples: Examples, rng: np.random.Generator) -> Examples:
    return examples.at(rng.permutation(len(examples)))


def _examples(texts: list[str]) -> Examples:
    import numpy as np

    windows, labels = [], []
    for text in texts:
        around = np.lib.stride_tricks.sliding_window_view(_symbols(text), CONTEXT + 1)
        gap = around[:, REACH]
        around = around[(gap >= 1) & (gap <= CLASSES)]
        windows.append(np.delete(around, REACH, axis=1))
        labels.append(around[:, REACH] - 1)
    return Examples(np.concatenate(windows), np.concatenate(labels).astype(np.int64))


def _symbols(text: str) -> Windows:
    import numpy as np

    points = np.frombuffer(text.lower().encode("utf-32-le"), "<u4").astype(np.int64)
    is_letter = (points >= ord("a")) & (points <= ord("z"))
    is_space = (points == ord(" ")) | (points == ord("\n"))
    symbols = np.where(is_letter, points - ord("a") + 1, np.where(is_space, 0, SYMBOLS - 1))
    return symbols.astype(np.int16)
