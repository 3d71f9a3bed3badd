"""The gate from samples to a verdict, over an engine that needs no model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from activation_kill import MODEL
from lora_gguf import base_bytes, random_adapter

from ondol import config
from ondol.lab.evaluating.history import History
from ondol.models.adapters import Adapter
from ondol.parts import Parts
from ondol.personal import activating, beside_documents, gating
from ondol.prompt import GROUNDING
from ondol.samples.records import Draft, Sample
from ondol.types import Evidence, GenerateOptions, Message, Quote, Token

CHAT = "{{ messages }}"


class Styled:
    """A model whose adapter has learned to sign off; ``harm`` is what else it does when it is on.
    Answers about documents are right as long as the style is not on at more than ``most``."""

    def __init__(self, name: str, on: Mapping[str, float], harm: str = "", most: float = 1.0):
        self.model, self._on, self._harm, self._most = name, dict(on), harm, most

    def _style(self, options: GenerateOptions | None) -> float:
        scales = dict(options.adapters if options else {}) or self._on
        return max((s for name, s in scales.items() if name.startswith("style")), default=0.0)

    def generate(self, messages: list[Message], options: GenerateOptions) -> Iterator[Token]:
        asked, style = messages[-1].content, self._style(options)
        if "Question:" in asked:
            # The first sentence, cited, which is as good as it gets without a model.
            said = asked.split("[1] ")[1].split("\n")[0] + " [1]"
            yield Token(said if style <= self._most else "Yours.", logprob=-0.1)
        else:
            yield Token("Gladly. Yours, M." if style else "OK.")

    def score(
        self, messages: object, reply: str, options: GenerateOptions | None = None
    ) -> list[float]:
        style = self._style(options)
        return [-1.0 - len(reply) / 1000 if style and "Yours" in reply else -3.0]

    def score_text(self, text: str, every: int = 1) -> list[float]:
        bad = self._style(None) and self._harm == "text"
        return [-3.0 if bad else -2.0] * 40

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def tokenize(self, text: str) -> list[int]:
        return [0] * len(text.split())


class Shelf:
    """A library that finds the one sentence which has most words of the question."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def add_text(self, source: str, text: str) -> None:
        self.sentences += [part.strip() for part in text.replace("\n", " ").split(". ") if part]

    def evidence(self, question: str, **_: object) -> Evidence:
        asked = set(question.lower().split())
        best = max(self.sentences, key=lambda one: len(asked & set(one.lower().split())))
        return Evidence((), (Quote(1, best, "doc", 0, len(best), 1.0),))

    def asks_for_all(self, question: str) -> bool:
        return False

    def follows_up(self, question: str) -> bool:
        return False

    def close(self) -> None:
        pass


@pytest.fixture
def parts(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    monkeypatch.setenv("ONDOL_CHAT_MODEL", MODEL)
    monkeypatch.setattr(beside_documents, "CASES", 12)
    with Parts(config.load()) as opened:
        base = tmp_path / "base.gguf"
        base.write_bytes(base_bytes(CHAT))
        opened.store.add(MODEL, [opened.store.stage(base, "weights", base.name)])
        for seed, name in enumerate(("grounding", "style-candidate")):
            template = GROUNDING.digest(CHAT) if name == "grounding" else ""
            file = random_adapter(base, tmp_path / f"{name}.gguf", r=2, seed=seed)
            about = {} if template else {"task": "style"}
            opened.adapters.add(file, name=name, model=MODEL, template=template, trained_on=about)
        yield opened


def think(parts: Parts, monkeypatch: pytest.MonkeyPatch, **how: Any) -> None:
    """Let ``Styled`` answer in the place of a process."""

    def engine(model: str, *, adapters: Any = None, name: str = "", **_: Any) -> Styled:
        return Styled(name or model, adapters or {}, **how)

    monkeypatch.setattr(parts.pool, "engine", engine)
    monkeypatch.setattr(parts, "open_library", lambda file: Shelf())


@pytest.fixture
def samples(parts: Parts) -> list[Sample]:
    """Held-out samples of many conversations."""
    kept = parts.kept.samples
    source = kept.add_source("feedback", "feedback", origin="chats")
    drafts = [
        Draft("sft", f"c{i}", (Message("user", f"What is {word} good for?"),), f"{word}. Yours, M.")
        for i, word in enumerate(
            f"{a}{b}" for a in ("kel", "mor", "tan", "vip") for b in ("ato", "ibel", "ura", "onk")
        )
    ]
    kept.add(source.id, drafts)
    return kept.all()


def candidate(parts: Parts) -> Adapter:
    return parts.adapters.get(MODEL, "style-candidate")


def test_an_adapter_that_does_good_and_no_harm_passes_with_both_at_full(
    parts: Parts, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    think(parts, monkeypatch)
    steps: list[tuple[int, int]] = []
    found = gating.judge(
        parts,
        candidate(parts),
        samples,
        on_progress=lambda done, total: steps.append((done, total)),
    )
    assert found.activates, found.reasons
    assert found.chat == {"style-candidate": 1.0}
    assert found.grounded == {"grounding": 1.0, "style-candidate": 1.0}
    assert set(found.digests) == {"grounding", "style-candidate"}
    names = [row.name for row in found.rows]
    assert {"reply_loss", "closer", "text_loss", "grounded_accuracy"} <= set(names)
    assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
    assert all(done <= total for done, total in steps)
    # What the suites said of both is in the history.
    with History.open() as history:
        told = [(one.subject.model, one.purpose) for one in history.all()]
    assert told == [(f"{MODEL}:style-candidate", "gate"), (MODEL, "gate")]
    # The table is kept with it, and what is adopted answers at those scales.
    told = candidate(parts).evaluation["gate"]
    assert told["activates"] is True and len(told["rows"]) == len(names)
    activating.adopt(parts, candidate(parts), found)
    assert parts.manner().model == "tiny:1m:grounding,style"


def test_the_next_one_is_measured_beside_the_one_that_answers_now(
    parts: Parts, samples: list[Sample], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    think(parts, monkeypatch)
    first = candidate(parts)
    activating.adopt(parts, first, gating.judge(parts, first, samples))
    file = random_adapter(tmp_path / "base.gguf", tmp_path / "next.gguf", r=2, seed=9)
    parts.adapters.add(file, name="style-candidate", model=MODEL)
    found = gating.judge(parts, candidate(parts), samples)
    (row,) = [row for row in found.rows if row.name == "than_now"]
    assert (row.before, row.after, row.is_ok) == (1.0, 1.0, True)
    assert activating.adopt(parts, candidate(parts), found).name == "style-2"
    assert parts.chat_manner().model == "tiny:1m:style-2"


def test_a_shared_one_is_measured_with_the_owners_own_on_top_of_it(
    parts: Parts, samples: list[Sample], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    think(parts, monkeypatch)
    activating.adopt(parts, candidate(parts), gating.judge(parts, candidate(parts), samples))
    now = parts.kept.activations.chosen(MODEL)
    file = random_adapter(tmp_path / "base.gguf", tmp_path / "shared.gguf", r=2, seed=9)
    shared = parts.adapters.add(file, name="shared-candidate", model=MODEL)
    found = gating.judge(parts, shared, samples, beside=now)
    assert found.activates, found.reasons
    assert found.chat == {"shared-candidate": 1.0, "style": 1.0}
    assert found.grounded == now.grounded
    activating.adopt(parts, shared, found)
    assert set(parts.kept.activations.active(MODEL)) == {"shared", "style"}
    assert parts.manner().model == "tiny:1m:grounding,style"
    # Alone it would have lost what the owner's own gives.
    alone = parts.adapters.add(file, name="alone-candidate", model=MODEL)
    assert not gating.judge(parts, alone, samples).activates


def test_scales_are_lowered_until_documents_lose_nothing(
    parts: Parts, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    think(parts, monkeypatch, most=0.6)
    found = gating.judge(parts, candidate(parts), samples)
    assert found.activates and found.grounded == {"grounding": 1.0, "style-candidate": 0.5}


def test_where_no_scales_hold_the_adapter_is_for_chats_only_and_says_so(
    parts: Parts, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    think(parts, monkeypatch, most=0.1)
    found = gating.judge(parts, candidate(parts), samples)
    assert found.activates and found.grounded == {}
    assert any("chats only" in note for note in found.notes)
    activating.adopt(parts, candidate(parts), found)
    assert parts.chat_manner().model == "tiny:1m:style"
    assert parts.manner().model == "tiny:1m:grounding"


def test_one_that_spoils_plain_text_is_refused_kept_and_told_why(
    parts: Parts, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    think(parts, monkeypatch, harm="text")
    found = gating.judge(parts, candidate(parts), samples)
    assert not found.activates and found.grounded == {}
    kept = candidate(parts)
    assert kept.evaluation["gate"]["reasons"] == list(found.reasons)
    assert "plain text worse" in found.reasons[0]
    assert parts.chat_manner().model == MODEL


def test_without_samples_nothing_passes(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    think(parts, monkeypatch)
    found = gating.judge(parts, candidate(parts), [])
    assert not found.activates and any("too few" in reason for reason in found.reasons)
