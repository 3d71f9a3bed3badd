"""A tuning from beginning to end, with speeds and perplexities that are only pretended."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import small_gguf

from ondol.config import Config, load
from ondol.errors import EngineError, UsageError
from ondol.lab.tuning import quality, speed
from ondol.lab.tuning import tuning as tuning_module
from ondol.lab.tuning.picture import drawn
from ondol.lab.tuning.quality import Answers
from ondol.lab.tuning.speed import Speed
from ondol.lab.tuning.surroundings import running_variants
from ondol.lab.tuning.trial import TrialHouse
from ondol.lab.tuning.tuning import Tuning
from ondol.models import tuned
from ondol.models.gguf import read_header
from ondol.models.hardware import Machine
from ondol.models.made import Made
from ondol.models.store import About, ModelStore
from ondol.parts import Parts

MODEL = "small:latest"
RATES = {"Q4_1": (100.0, 40.0), "F16": (300.0, 30.0), "BF16": (400.0, 32.0), "Q8_0": (180.0, 45.0)}
LOSSES = {"Q4_1": 3.0, "F16": 3.0, "BF16": 3.002, "Q8_0": 3.001, "Q4_0": 3.2}


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    """A house with a small model."""
    monkeypatch.setenv("ONDOL_MODELS", str(tmp_path / "models"))
    store = ModelStore(tmp_path / "models")
    file = small_gguf.write(tmp_path / "small.gguf")
    store.add(MODEL, [store.stage(file, "weights", "small.gguf")], About())
    with Parts(load()) as parts:
        yield parts


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict]]:
    """What was timed, in order; no engine runs."""
    timed: list[tuple[str, dict]] = []

    def format_of(house: TrialHouse) -> str:
        return read_header(house.spec().path).quantization

    def measured(house: TrialHouse, *_: object) -> Speed:
        format, running = format_of(house), house.spec().running
        timed.append((format, {k: v for k in speed_fields if (v := getattr(running, k))}))
        prefill, decode = RATES.get(format, (90.0, 90.0))
        if running.ubatch_tokens == 256:
            prefill *= 1.5
        return Speed(prefill, 0.0, decode, 0.0, 1 << 20, 10.0, "estimated")

    def foreseen(house: TrialHouse, *, is_brief: bool) -> object:
        from ondol.lab.measuring.perplexity import Perplexity

        loss = LOSSES[format_of(house)]
        return Perplexity(((loss, loss), (loss, loss)), "states", 0.0)

    speed_fields = ("threads", "batch_threads", "ubatch_tokens", "flash_attention")
    monkeypatch.setattr(speed, "measured", measured)
    monkeypatch.setattr(speed, "memory_bandwidth", lambda threads: 20e9)
    monkeypatch.setattr(quality, "foreseen", foreseen)
    monkeypatch.setattr(quality, "answers", lambda house, model: None)
    machine = Machine(2, 2, 16 << 30, 8 << 30, "A processor", ())
    monkeypatch.setattr(tuning_module, "machine", lambda: machine)
    monkeypatch.setattr(tuning_module, "is_busy", lambda here: False)
    return timed


def partials(parts: Parts) -> list[Path]:
    return list(parts.store.blobs.directory.glob("partial-*"))


def test_fastest_harmless_format_is_served_and_taken_back(
    parts: Parts, pretended: list[tuple[str, dict]]
) -> None:
    before = parts.located.spec(MODEL)
    with Tuning(parts, MODEL) as tuning:
        report = tuning.run()
        assert tuning.apply(report)
    assert not partials(parts)
    assert {row.format: row.refused for row in report.rows} == {
        **{"Q4_1": "", "F16": "", "BF16": "", "Q8_0": ""},
        "Q4_0": "perplexity",
    }
    assert report.chosen.format == "BF16" and dict(report.chosen.running) == {"ubatch_tokens": 256}
    assert report.gain() == pytest.approx((480 / 100 + 64 / 40) / (480 / 600 + 64 / 32))
    after = parts.located.spec(MODEL)
    assert (after.name, after.digest, after.adapters) == (
        before.name,
        before.digest,
        before.adapters,
    )
    assert read_header(after.path).quantization == "BF16" and after.running.ubatch_tokens == 256
    record = tuned.tuned(parts.store, parts.store.get(MODEL))
    assert record is not None and record.measured["chosen"]["format"] == "BF16"
    assert record.measured["applied"] is True
    size = after.path.stat().st_size
    assert tuned.undo(parts.store, parts.store.get(MODEL)) == size
    assert parts.located.spec(MODEL) == before


def test_dry_run_leaves_nothing(parts: Parts, pretended: list[tuple[str, dict]]) -> None:
    with Tuning(parts, MODEL, is_quick=True) as tuning:
        tuning.run()
    assert not partials(parts) and not (parts.store.directory / "tuned").exists()
    assert [format for format, _ in pretended] == ["Q4_1", "F16", "BF16", "Q8_0", "Q4_0"]


def test_asked_for_format_is_served_whatever_it_costs(
    parts: Parts, pretended: list[tuple[str, dict]]
) -> None:
    with Tuning(parts, MODEL) as tuning:
        report = tuning.run("Q4_0")
        assert tuning.apply(report)
    assert [row.format for row in report.rows] == ["Q4_1", "Q4_0"]
    assert report.chosen.refused == "perplexity"
    assert read_header(parts.located.spec(MODEL).path).quantization == "Q4_0"


def test_tuning_again_measures_what_came_and_not_what_is_served(
    parts: Parts, pretended: list[tuple[str, dict]]
) -> None:
    for _ in range(2):
        with Tuning(parts, MODEL) as tuning:
            assert tuning.apply(tuning.run("BF16"))
    assert pretended == [("Q4_1", {}), ("BF16", {})] * 2
    assert len(list(parts.store.blobs.directory.glob("sha256-*"))) == 2


def test_own_format_takes_the_other_back(parts: Parts, pretended: list[tuple[str, dict]]) -> None:
    with Tuning(parts, MODEL) as tuning:
        assert tuning.apply(tuning.run("BF16"))
        assert tuning.apply(tuning.run("Q4_1"))
    assert tuned.recorded(parts.store, parts.store.get(MODEL)) is None
    assert len(list(parts.store.blobs.directory.glob("sha256-*"))) == 1


def test_format_that_answers_less_makes_room_for_the_next(
    parts: Parts, pretended: list[tuple[str, dict]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(house: TrialHouse, model: str) -> Answers:
        is_poor = read_header(house.spec().path).quantization == "BF16"
        groups = tuple(f"document {number}" for number in range(20))
        return Answers(groups, tuple(0.0 if is_poor else 1.0 for _ in groups))

    monkeypatch.setattr(quality, "answers", answers)
    with Tuning(parts, MODEL) as tuning:
        report = tuning.run()
    found = {row.format: row for row in report.rows}
    assert found["BF16"].refused == "accuracy" and found["BF16"].accuracy == 0.0
    assert report.chosen.format == "F16" and report.chosen.accuracy == 1.0
    assert found["Q8_0"].accuracy is None


def test_format_that_does_not_run_is_nobody_elses_loss(
    parts: Parts, pretended: list[tuple[str, dict]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = speed.measured

    def measured(house: TrialHouse, *given: object) -> Speed:
        if read_header(house.spec().path).quantization == "BF16":
            raise EngineError("no such kernel")
        return whole(house, *given)

    monkeypatch.setattr(speed, "measured", measured)
    with Tuning(parts, MODEL) as tuning:
        report = tuning.run()
        assert {row.format: row.reason for row in report.rows}["BF16"] == "no such kernel"
        assert report.chosen.format == "F16"
        with pytest.raises(EngineError):
            tuning.run("BF16")


def test_interrupted_tuning_leaves_no_files(
    parts: Parts, pretended: list[tuple[str, dict]]
) -> None:
    def interrupted(step: str) -> None:
        if step.startswith("Q8_0"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Tuning(parts, MODEL, on_step=interrupted) as tuning:
        tuning.run()
    assert not partials(parts)


def test_picture_shows_every_way(parts: Parts, pretended: list[tuple[str, dict]]) -> None:
    from xml.etree import ElementTree

    with Tuning(parts, MODEL) as tuning:
        picture = drawn(tuning.run())
    texts = [each.text for each in ElementTree.fromstring(picture).iter() if each.text]
    assert {"Q4_1", "F16", "BF16", "Q8_0", "Q4_0"} <= set(texts)


@pytest.mark.parametrize("name", ["all-minilm:l6-v2"])
def test_only_chat_models_are_tuned(config: Config, name: str) -> None:
    with Parts(config) as parts, pytest.raises(UsageError):
        Tuning(parts, name)


def test_variants_suit_the_machine() -> None:
    def variants(cores: int, physical: int) -> list[dict]:
        return [dict(one) for one in running_variants(Machine(cores, physical, 1, 1, "", ()))]

    assert {"threads": 1, "batch_threads": 2} in variants(2, 2)
    assert {"batch_threads": 16} in variants(16, 8)
    assert not any("threads" in one for one in variants(1, 1))


def test_questions_are_left_out_where_nothing_can_be_searched(parts: Parts, tmp_path: Path) -> None:
    from ondol.lab.tuning.trial import Way

    way = Way("Q4_1", parts.store.path(parts.store.get(MODEL)))
    with TrialHouse(parts.config, MODEL, way) as house:
        assert quality.answers(house, MODEL) is None


def test_request_that_reads_nothing_has_no_infinite_speed() -> None:
    from ondol.types import Usage

    assert math.isfinite(speed._prefill(Usage())) and math.isfinite(speed._decode(Usage()))
    assert speed._decode(Usage(completion_tokens=65, completion_seconds=2.0)) == 32.0


def test_model_that_was_made_from_another_is_tuned_with_it(
    parts: Parts, pretended: list[tuple[str, dict]]
) -> None:
    parts.store.copy(MODEL, "mine", made=Made(parent=MODEL, system="Be brief."))
    with Tuning(parts, "mine") as tuning:
        assert tuning.model == MODEL  # its process answers for both
        assert tuning.apply(tuning.run("BF16"))
    for name in (MODEL, "mine"):
        assert read_header(parts.located.spec(name).path).quantization == "BF16"
    assert [format for format, _ in pretended] == ["Q4_1", "BF16"]
