"""Which adapters answer where only their model is named, and what is never served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lora_gguf import random_adapter
from test_adapters import install, weights

from ondol.database import IN_MEMORY
from ondol.errors import UsageError
from ondol.models import activations as module
from ondol.models.activations import NOTHING, Activations, Chosen
from ondol.models.adapters import Adapter, AdapterStore
from ondol.models.store import ModelStore
from ondol.place import Place

MODEL = "tiny:1m"


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    store = ModelStore(tmp_path / "models")
    install(store, MODEL)
    return store


@pytest.fixture
def adapters(store: ModelStore) -> AdapterStore:
    return AdapterStore(store, None)


@pytest.fixture
def activations(adapters: AdapterStore) -> Iterator[Activations]:
    with Activations(Place.in_file(IN_MEMORY), lambda: adapters) as opened:
        yield opened


@pytest.fixture
def style(adapters: AdapterStore, store: ModelStore, tmp_path: Path) -> Adapter:
    return adapters.add(
        random_adapter(weights(store), tmp_path / "style.gguf"), name="style", model=MODEL
    )


def activate(activations: Activations, one: Adapter, scale: float = 1.0, **more: object) -> None:
    activations.activate(
        MODEL, {one.name: scale}, {one.name: one.digest}, "activated", "e1", **more
    )


def test_nothing_is_active_until_it_is_activated(activations, style):
    assert activations.active(MODEL) == {} and activations.chosen(MODEL) == NOTHING
    assert activations.history() == [] and activations.missing(MODEL) == ()
    activate(activations, style, 0.5)
    assert activations.active(MODEL) == {"style": 0.5}
    assert activations.active(MODEL, "grounded") == {}
    assert activations.active("other:1m") == {}
    (one,) = activations.history(MODEL)
    assert (one.model, one.reason, one.ledger_id) == (MODEL, "activated", "e1")
    assert activations.history("other:1m") == []


def test_documents_are_asked_with_their_own_scales(activations, style):
    activate(activations, style, 1.0, grounded={"style": 0.75})
    assert activations.active(MODEL) == {"style": 1.0}
    assert activations.active(MODEL, "grounded") == {"style": 0.75}


def test_another_file_under_the_name_is_not_served(activations, adapters, store, style, tmp_path):
    activate(activations, style)
    other = random_adapter(weights(store), tmp_path / "other.gguf", seed=9)
    adapters.add(other, name="style", model=MODEL)
    assert activations.active(MODEL) == {} and activations.missing(MODEL) == ("style",)


def test_a_file_that_changed_where_it_lies_is_not_served(activations, adapters, style):
    activate(activations, style)
    assert activations.active(MODEL) == {"style": 1.0}
    path = adapters.path(style)
    raw = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    assert activations.active(MODEL) == {}
    path.write_bytes(raw)
    assert activations.active(MODEL) == {"style": 1.0}


def test_an_adapter_that_is_gone_is_not_served_and_the_log_says_so_once(
    activations, adapters, style, monkeypatch
):
    told: list[str] = []
    monkeypatch.setattr(module._log, "warning", lambda text, *of: told.append(text % of))
    activate(activations, style)
    adapters.remove(MODEL, "style")
    assert activations.active(MODEL) == activations.active(MODEL) == {}
    assert told == ["tiny:1m answers without its adapters: style"]


def test_what_learned_from_forgotten_documents_is_not_served(activations, adapters, style):
    activate(activations, style)
    adapters.outdate(style.digest)
    assert activations.active(MODEL) == {} and activations.missing(MODEL) == ("style",)


def test_an_adapter_for_other_weights_is_not_served(activations, store, style):
    activate(activations, style)
    install(store, MODEL, seed=1)
    assert activations.active(MODEL) == {}


def test_a_model_that_is_gone_has_nothing_active(activations, store, style):
    activate(activations, style)
    store.remove(MODEL)
    assert activations.active(MODEL) == {} and activations.missing(MODEL) == ("style",)


def test_a_candidate_is_never_served_by_the_models_name_alone(
    activations, adapters, store, tmp_path
):
    file = random_adapter(weights(store), tmp_path / "new.gguf", seed=3)
    activate(activations, adapters.add(file, name="style-candidate", model=MODEL))
    assert activations.active(MODEL) == {}


def test_one_of_two_that_is_missing_takes_the_other_with_it(activations, adapters, style):
    """They were measured together; one alone is something that nobody measured."""
    digests = {"style": style.digest, "gone": style.digest}
    activations.activate(MODEL, {"style": 1.0, "gone": 0.5}, digests, "activated", "")
    assert activations.active(MODEL) == {}


def test_rolling_back_returns_to_what_was_before_until_nothing_is_left(activations, style):
    activate(activations, style, 1.0)
    activate(activations, style, 0.5)
    assert activations.rollback(MODEL, "e9").chosen.chat == {"style": 1.0}
    assert activations.active(MODEL) == {"style": 1.0}
    assert activations.rollback(MODEL).chosen == NOTHING
    assert activations.active(MODEL) == {}
    with pytest.raises(UsageError, match="nothing to return to"):
        activations.rollback(MODEL)
    activate(activations, style, 0.25)
    assert activations.rollback(MODEL).chosen == NOTHING
    reasons = [one.reason for one in activations.history(MODEL)]
    assert reasons == ["rolled_back", "activated", "rolled_back", "rolled_back", *["activated"] * 2]


@given(st.lists(st.one_of(st.none(), st.integers(1, 9)), max_size=20))
def test_a_rollback_undoes_exactly_the_last_activation_that_stands(steps):
    """Whatever was done: as a stack of scales, where None is a rollback."""
    with Activations(Place.in_file(IN_MEMORY), lambda: None) as activations:  # type: ignore[arg-type,return-value]
        stack = [NOTHING]
        for step in steps:
            if step is not None:
                stack.append(Chosen({"a": float(step)}, {}, {"a": "d"}))
                activations.activate("m", {"a": float(step)}, {"a": "d"}, "activated", "")
            elif len(stack) > 1:
                stack.pop()
                assert activations.rollback("m").chosen == stack[-1]
            else:
                with pytest.raises(UsageError):
                    activations.rollback("m")
            assert activations.chosen("m") == stack[-1]
