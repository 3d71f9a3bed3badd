"""``ondol tune`` as a person types it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import small_gguf
from terminal import COMMAND

from ondol.models import tuned
from ondol.models.blobs import digest_of
from ondol.models.manifest import ModelFile
from ondol.models.store import About, ModelStore
from ondol.models.tuned import Tuned

SMALL = "small:latest"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """A store with a small model that is served in another file."""
    monkeypatch.setenv("ONDOL_MODELS", str(tmp_path / "models"))
    store = ModelStore(tmp_path / "models")
    file = small_gguf.write(tmp_path / "small.gguf")
    model = store.add(SMALL, [store.stage(file, "weights", "small.gguf")], About())
    other = tmp_path / "other.gguf"
    other.write_bytes(file.read_bytes() + bytes(32))
    made = ModelFile(tuned.ROLE, "o.gguf", digest_of(other), other.stat().st_size)
    record = Tuned(model.files[0].digest, "F16", made, {}, "another engine", "2026-11-22T00:00:00")
    assert tuned.put(store, model, record, other)
    return store


def test_undo_serves_the_model_as_it_came(ondol, store: ModelStore) -> None:
    assert "Served as: F16" in ondol("show", SMALL).stdout
    told = ondol("tune", SMALL, "--undo")
    assert told.code == 0 and "as it came again" in told.stdout
    assert tuned.recorded(store, store.get(SMALL)) is None
    assert ondol("show", SMALL, "--json").json["tuned"] is None
    assert ondol("tune", SMALL, "--undo", "--json").json == {
        "model": SMALL,
        "undone": False,
        "freed_bytes": 0,
    }


def test_doctor_says_that_a_model_was_measured_with_another_engine(
    ondol, store: ModelStore
) -> None:
    checks = ondol("doctor", "--json").json["checks"]
    (found,) = (check for check in checks if check["name"] == "tuning")
    assert found["ok"] is None and "another engine" in found["sentence"]
    record = tuned.recorded(store, store.get(SMALL))
    assert record is not None and record.file is not None
    store.blobs.path(record.file.digest).unlink()
    lost = ondol("doctor", ONDOL_LANGUAGE="ko").stdout
    assert "받은 그대로 답합니다" in lost and f"ondol tune {SMALL}" in lost


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((SMALL, "--dry-run", "--undo"), "exclude each other"),
        ((SMALL, "--apply", "Q9_9"), "Q4_1, F16, BF16"),
        (("nobody",), "nobody"),
    ],
)
def test_mistakes_are_told_and_measure_nothing(
    ondol, store: ModelStore, arguments: tuple[str, ...], told: str
) -> None:
    result = ondol("tune", *arguments)
    assert result.code != 0 and told in result.stderr
    assert json.loads(ondol("tune", *arguments, "--json").stdout)["error"]


@pytest.mark.model
@pytest.mark.slow
def test_format_is_measured_applied_and_answers(ondol, own_models: Path, tmp_path: Path) -> None:
    picture = tmp_path / "tune.svg"
    command = ["tune", "--quick", "--apply", "q8_0", "--json", "--picture", str(picture)]
    done = subprocess.run([*COMMAND, *command], capture_output=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    assert report["applied"] and report["chosen"]["format"] == "Q8_0"
    assert picture.read_text().startswith("<svg")
    assert ondol("run", "smollm2:135m", "Say hello.").stdout.strip()
    assert ondol("rm", "smollm2:135m", "--json").code == 0
    assert not list((own_models / "tuned").glob("*.json"))
