"""Learning from what the owner prefers: DPO for pairs, KTO for single thumbs.

DPO: Rafailov et al. 2023, arXiv:2305.18290. KTO: Ethayarajh et al. 2024, arXiv:2402.01306. Both
compare the model with itself as it was at the start (a fresh adapter changes nothing, so that is
the base with the adapter switched off); those log-probabilities are computed once. By default a
reply counts by its mean per token (Lambert et al. 2024, arXiv:2411.15124): summed, a shorter reply
is always the likelier one. The chosen reply's own likelihood is learned too (Pang et al. 2024,
arXiv:2404.19733), for a small model otherwise unlearns both. Raises ``TrainingError``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training.base import Base, Encoded
from ondol.training.lora import LoraConfig, Schedule, parts_of
from ondol.training.objective import Losses, Share
from ondol.types import Message

if TYPE_CHECKING:
    import torch

    from ondol.training.loop import Progress, Trained

MOST_WEIGHT = 10.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A conversation, the reply that was chosen, and the one that was not."""

    messages: tuple[Message, ...]
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True)
class Thumb:
    """A conversation and a reply that got a thumb: up is desirable."""

    messages: tuple[Message, ...]
    reply: str
    is_desirable: bool


@dataclass(frozen=True, slots=True)
class PreferenceConfig:
    """``beta`` scales the log-ratio to the reference (per token where ``length_normalized``, so it
    is larger than DPO's usual 0.1 by about a reply's length); ``sft_weight`` is that of the chosen
    reply's own negative log-likelihood per token."""

    beta: float = 2.0
    length_normalized: bool = True
    sft_weight: float = 0.2


@dataclass(frozen=True, slots=True)
class EncodedPair:
    chosen: Encoded
    rejected: Encoded

    def __len__(self) -> int:
        return max(len(self.chosen), len(self.rejected))


@dataclass(frozen=True, slots=True)
class EncodedThumb:
    """``other`` is this prompt with another thumb's reply: what the model's drift is told by."""

    encoded: Encoded
    is_desirable: bool
    other: Encoded

    def __len__(self) -> int:
        return max(len(self.encoded), len(self.other))


class Dpo:
    """Pairs: the chosen reply shall gain on the rejected one, measured from the reference."""

    reads_reference = 1

    def __init__(self, config: PreferenceConfig) -> None:
        self.config = config
        self.reference = Reference(config.length_normalized)

    def about(self) -> dict[str, Any]:
        return {"task": "dpo"} | asdict(self.config)

    def sequences(self, items: Sequence[EncodedPair]) -> list[Encoded]:
        return [sequence for item in items for sequence in (item.chosen, item.rejected)]

    def refer(self, losses: Losses, items: Sequence[EncodedPair], part_tokens: int) -> None:
        self.reference.add(losses, self.sequences(items), part_tokens)

    def parts(self, batch: Sequence[EncodedPair], part_tokens: int) -> list[list[EncodedPair]]:
        return parts_of(batch, part_tokens // 2)  # both replies of a pair are read at once

    def begin(self, losses: Losses, batch: Sequence[EncodedPair], part_tokens: int) -> None:
        return None

    def weight(self, batch: Sequence[EncodedPair]) -> float:
        return float(len(batch))

    def share(self, losses: Losses, part: Sequence[EncodedPair]) -> Share:
        import torch

        chosen = [pair.chosen for pair in part]
        both = chosen + [pair.rejected for pair in part]
        logps = self.reference.logps(losses, both)
        ratios = logps - self.reference.of(both).to(logps.device)
        margins = ratios[: len(part)] - ratios[len(part) :]
        loss = -torch.nn.functional.logsigmoid(self.config.beta * margins).sum()
        own = self.reference.per_token(logps[: len(part)], chosen)
        return Share(loss - self.config.sft_weight * own.sum(), int((margins > 0).sum()))


class Kto:
    """Thumbs: a desirable reply shall gain on the reference, an undesirable one lose, both measured
    from how far the model has moved altogether (the paper's z0, by mismatched replies)."""

    reads_reference = 1

    def __init__(self, config: PreferenceConfig, items: Sequence[EncodedThumb]) -> None:
        self.config = config
        self.reference = Reference(config.length_normalized)
        self.weights = balanced([item.is_desirable for item in items])
        self.drift = 0.0

    def about(self) -> dict[str, Any]:
        return {"task": "kto"} | asdict(self.config)

    def sequences(self, items: Sequence[EncodedThumb]) -> list[Encoded]:
        return [sequence for item in items for sequence in (item.encoded, item.other)]

    def refer(self, losses: Losses, items: Sequence[EncodedThumb], part_tokens: int) -> None:
        self.reference.add(losses, self.sequences(items), part_tokens)

    def parts(self, batch: Sequence[EncodedThumb], part_tokens: int) -> list[list[EncodedThumb]]:
        return parts_of(batch, part_tokens)

    def begin(self, losses: Losses, batch: Sequence[EncodedThumb], part_tokens: int) -> None:
        total = 0.0
        for part in parts_of([item.other for item in batch], part_tokens):
            logps = self.reference.logps(losses, part)
            total += float((logps - self.reference.of(part).to(logps.device)).sum())
        self.drift = max(0.0, total / len(batch))

    def weight(self, batch: Sequence[EncodedThumb]) -> float:
        return float(len(batch))

    def share(self, losses: Losses, part: Sequence[EncodedThumb]) -> Share:
        import torch

        read = [item.encoded for item in part]
        logps = self.reference.logps(losses, read)
        ratios = logps - self.reference.of(read).to(logps.device)
        ups = torch.tensor([item.is_desirable for item in part], device=logps.device)
        gains = torch.where(ups, ratios - self.drift, self.drift - ratios)
        up_weight, down_weight = self.weights
        weights = torch.where(ups, up_weight, down_weight)
        loss = (weights * (1 - torch.sigmoid(self.config.beta * gains))).sum()
        loss = loss - self.config.sft_weight * self.reference.per_token(logps, read)[ups].sum()
        return Share(loss, int((gains > 0).sum()))


class Reference:
    """Log-probabilities of replies as they were before anything was learned."""

    def __init__(self, length_normalized: bool) -> None:
        self.length_normalized = length_normalized
        self.known: dict[Encoded, float] = {}

    def add(self, losses: Losses, sequences: Sequence[Encoded], part_tokens: int) -> None:
        new = [s for s in dict.fromkeys(sequences) if s not in self.known]
        for part in parts_of(new, part_tokens):
            self.known.update(zip(part, self.logps(losses, part).tolist(), strict=True))

    def of(self, sequences: Sequence[Encoded]) -> torch.Tensor:
        import torch

        return torch.tensor([self.known[sequence] for sequence in sequences])

    def logps(self, losses: Losses, sequences: Sequence[Encoded]) -> torch.Tensor:
        """One a sequence: the sum over its reply, or the mean where ``length_normalized``."""
        import torch

        split = losses(sequences).split([len(sequence.reply) for sequence in sequences])
        pooled = [-(s.mean() if self.length_normalized else s.sum()) for s in split]
        return torch.stack(pooled)

    def per_token(self, logps: torch.Tensor, sequences: Sequence[Encoded]) -> torch.Tensor:
        """What ``logps`` gave of ``sequences``, per token of their replies."""
        import torch

        if self.length_normalized:
            return logps
        return logps / torch.tensor([float(len(s.reply)) for s in sequences], device=logps.device)


def balanced(ups: Sequence[bool]) -> tuple[float, float]:
    """The weights of thumbs up and down with which both kinds count the same altogether, as the KTO
    paper asks (its eq. 8): 1.0 for the more frequent, at most ``MOST_WEIGHT`` for the other."""
    up = sum(ups)
    down = len(ups) - up
    if not up or not down:
        return 1.0, 1.0
    return (min(down / up, MOST_WEIGHT), 1.0) if down > up else (1.0, min(up / down, MOST_WEIGHT))


def encode_pairs(base: Base, pairs: Sequence[Pair]) -> list[EncodedPair]:
    """``pairs`` as token ids, in the model's own chat template."""
    return [
        EncodedPair(
            base.encode(Thumb(pair.messages, pair.chosen, True)),
            base.encode(Thumb(pair.messages, pair.rejected, False)),
        )
        for pair in pairs
    ]


def encode_thumbs(base: Base, thumbs: Sequence[Thumb]) -> list[EncodedThumb]:
    """``thumbs`` as token ids; each knows the next one's reply."""
    encoded = [base.encode(thumb) for thumb in thumbs]
    following = [*encoded[1:], *encoded[:1]]
    return [
        EncodedThumb(own, thumb.is_desirable, replace(own, reply=after.reply))
        for thumb, own, after in zip(thumbs, encoded, following, strict=True)
    ]


def train_preference(
    base: Base,
    data: Sequence[Pair] | Sequence[Thumb],
    held_out: Sequence[Pair] | Sequence[Thumb],
    config: LoraConfig,
    schedule: Schedule,
    preference: PreferenceConfig | None = None,
    *,
    checkpoint: Path | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    **how: Any,
) -> Trained:
    """As ``loop.train``, from pairs by DPO or from thumbs by KTO; ``held_out`` is of the same kind.
    Raises ``TrainingError`` also where every thumb points down: that says what not to be, and
    nothing else."""
    from ondol.training.loop import train

    preference = preference or PreferenceConfig()
    task: Literal["dpo", "kto"] = "kto" if data and isinstance(data[0], Thumb) else "dpo"
    items, checks = encode_all(base, task, data), encode_all(base, task, held_out)
    return train(
        base,
        items,
        checks,
        config,
        schedule,
        objective=objective_of(task, preference, items),
        checkpoint=checkpoint,
        on_progress=on_progress,
        **how,
    )


def encode_all(base: Base, task: Literal["dpo", "kto"], data: Sequence[Any]) -> list[Any]:
    """Pairs or thumbs as token ids."""
    return encode_pairs(base, data) if task == "dpo" else encode_thumbs(base, data)


def objective_of(
    task: Literal["dpo", "kto"], preference: PreferenceConfig, items: Sequence[Any]
) -> Dpo | Kto:
    """The objective of ``task``; TrainingError for thumbs that all point down."""
    if task == "dpo":
        return Dpo(preference)
    if items and not any(item.is_desirable for item in items):
        raise TrainingError(t("training.only_down"), t("training.only_down_hint"))
    return Kto(preference, items)
