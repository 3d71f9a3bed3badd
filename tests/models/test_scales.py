"""Several adapters of one model under one name: what is written is what is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lora_gguf import random_adapter
from test_adapters import install, weights

from ondol.errors import AdapterNotFoundError, ModelNotFoundError
from ondol.models import scales
from ondol.models.adapters import AdapterStore
from ondol.models.store import ModelStore

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
hundredths = st.integers(0, 800).map(lambda n: n / 100)


@pytest.fixture
def adapters(tmp_path: Path) -> AdapterStore:
    store = ModelStore(tmp_path / "models")
    install(store, "tiny:1m")
    made = AdapterStore(store, None)
    for seed, name in enumerate(("grounding", "style")):
        file = random_adapter(weights(store), tmp_path / f"{name}.gguf", seed=seed)
        made.add(file, name=name, model="tiny:1m")
    return made


@given(st.dictionaries(names, hundredths, min_size=1, max_size=4))
def test_a_name_with_scales_reads_back_as_it_was_written(wanted):
    name = scales.full_name("m:1b", wanted)
    assert scales.read(name.removeprefix("m:1b:")) == wanted


@pytest.mark.parametrize(
    "text", ["", "a,", "a,a", "a@", "a@x", "a@-1", "a@9", "a@nan", "A b", "@1"]
)
def test_what_is_no_set_is_not_read(text):
    with pytest.raises(ValueError):
        scales.read(text)


def test_a_set_is_found_by_its_name_in_any_order(adapters):
    model, found = scales.of(adapters, "Tiny:1M:style@0.5,grounding")
    assert model.name == "tiny:1m"
    assert [(one.name, scale) for one, scale in found] == [("grounding", 1.0), ("style", 0.5)]
    assert scales.of(adapters, "tiny:1m")[1] == ()
    (one,) = scales.of(adapters, "tiny:1m:style")[1]
    assert (one[0].name, one[1]) == ("style", 1.0)


def test_another_scale_is_another_set_and_one_that_is_full_is_its_file(adapters):
    def digest(name: str) -> str:
        return scales.digest(scales.of(adapters, name)[1])

    style = adapters.get("tiny:1m", "style").digest
    assert digest("tiny:1m") == "" and digest("tiny:1m:style") == digest("tiny:1m:style@1") == style
    known = {digest(f"tiny:1m:{text}") for text in ("style", "style@0.5", "grounding,style")}
    assert len(known) == 3


def test_what_is_not_here_is_said_by_name(adapters):
    with pytest.raises(AdapterNotFoundError, match="manner"):
        scales.of(adapters, "tiny:1m:style,manner@0.5")
    with pytest.raises(ModelNotFoundError):
        scales.of(adapters, "other:1m:style@0.5")
