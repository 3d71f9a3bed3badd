"""Which small model may guess for a large one."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from ondol.config import load
from ondol.errors import ModelNotFoundError
from ondol.models import draft_models
from ondol.models.draft_models import drafter, vocabulary
from ondol.models.store import ModelStore
from ondol.parts import Parts


@pytest.fixture
def store(models_dir):
    """A store in which the default model is installed, and counts as the largest of its family."""
    known = ModelStore(models_dir)
    small = known.get("smollm2:135m")

    def get(name: str):
        if name != small.name:
            raise ModelNotFoundError(name)
        return small

    return SimpleNamespace(get=get, path=lambda model: known.path(small), model=small)


def test_an_installed_model_with_the_same_tokens_drafts(store, chat_model_file) -> None:
    assert drafter(store, replace(store.model, name="smollm2:1.7b")) == chat_model_file


@pytest.mark.parametrize("name", ["smollm2:135m", "qwen3:8b", "somebody/else"])
def test_none_drafts_where_none_is_named_or_installed(store, name: str) -> None:
    assert drafter(store, replace(store.model, name=name)) is None


def test_other_tokens_are_no_draft(store, monkeypatch) -> None:
    told = iter(["one", "another"])
    monkeypatch.setattr(draft_models, "vocabulary", lambda path: next(told))
    assert drafter(store, replace(store.model, name="smollm2:1.7b")) is None


def test_a_vocabulary_is_known_by_its_tokens(chat_model_file, models_dir) -> None:
    assert len(vocabulary(chat_model_file)) == 64


def test_a_model_that_drafts_is_counted(config, monkeypatch, chat_model_file) -> None:
    monkeypatch.setenv("ONDOL_DRAFTS", "model")
    with Parts(load()) as parts:
        spec = parts.located.spec("smollm2:135m")
        assert spec.running.draft and not spec.running.draft_model
        helped = replace(spec.running, draft_model=str(chat_model_file))
        alone = parts.located.memory_need(spec, 4096)
        both = parts.located.memory_need(replace(spec, running=helped), 4096)
        assert both > 1.9 * alone
