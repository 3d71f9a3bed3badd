"""What the parts are told about each other."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lora_gguf import base_bytes, random_adapter

from ondol import config
from ondol.ask import Manner
from ondol.errors import AdapterNotFoundError
from ondol.models import making
from ondol.parts import Parts
from ondol.prompt import GROUNDING, GROUNDING_QUOTES, PLAIN

HouseMaker = Callable[..., Parts]


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def _part(number: int, count: int, data_bytes: int) -> bytes:
    """One file of a model in ``count``, as llama.cpp writes them."""
    place = {"split.no": number, "split.count": count}
    entries = [_text(key) + struct.pack("<IH", 2, value) for key, value in place.items()]
    if number == 0:
        entries.append(_text("general.architecture") + struct.pack("<I", 8) + _text("llama"))
    tensor = _text(f"blk.{number}.weight") + struct.pack("<IQIQ", 1, data_bytes // 4, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(entries)) + b"".join(entries) + tensor
    return head + bytes(-len(head) % 32) + bytes([number]) * data_bytes


def test_memory_for_a_model_in_several_files_counts_all_of_them(tmp_path: Path) -> None:
    settings = config.load(environ={"ONDOL_MODELS": str(tmp_path / "models")})
    with Parts(settings) as parts:
        for count in (1, 3):
            files = []
            for number in range(count):
                file = tmp_path / f"{count}-{number}.gguf"
                file.write_bytes(_part(number, count, 1 << 20))
                files.append(parts.store.stage(file, "weights", file.name))
            parts.store.add(f"model:{count}", files)
        here = parts.located
        need = {n: here.memory_need(here.spec(f"model:{n}"), 4096) for n in (1, 3)}
    assert need[3] - need[1] >= 2 << 20


def test_memory_for_a_model_counts_its_adapters(tmp_path: Path) -> None:
    settings = config.load(environ={"ONDOL_MODELS": str(tmp_path / "models")})
    with Parts(settings) as parts:
        base = tmp_path / "base.gguf"
        base.write_bytes(base_bytes(CHAT))
        parts.store.add("model:1", [parts.store.stage(base, "weights", base.name)])
        without = parts.located.memory_need(parts.located.spec("model:1"), 4096)
        adapter = random_adapter(base, tmp_path / "lora.gguf", r=32)
        parts.adapters.add(adapter, name="style", model="model:1")
        spec = parts.located.spec("model:1")
        assert [a.name for a in spec.adapters] == ["style"]
        assert parts.located.memory_need(spec, 4096) - without == adapter.stat().st_size
        assert parts.located.memory_need(spec.with_only(()), 4096) == without
        assert parts.engine("model:1:style").model == "model:1:style"
        with pytest.raises(AdapterNotFoundError):
            parts.engine("model:1:other")


CHAT = "{{ messages }}"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[HouseMaker]:
    """Makes the parts with that ``answer.adapter``, over one model and adapters of these names."""
    made: list[Parts] = []
    base = tmp_path / "base.gguf"
    base.write_bytes(base_bytes(CHAT))

    def make(setting: str | None = None, **templates: str) -> Parts:
        settings = config.load(environ={"ONDOL_MODELS": str(tmp_path / "models")})
        if setting is not None:
            settings = settings.with_flags({"answer.adapter": setting})
        parts = Parts(settings)
        made.append(parts)
        parts.store.add("model:1", [parts.store.stage(base, "weights", base.name)])
        for name, template in templates.items():
            file = random_adapter(base, tmp_path / name, r=2)
            parts.adapters.add(file, name=name, model="model:1", template=template)
        return parts

    yield make
    for parts in made:
        parts.close()


def shape(manner: Manner) -> tuple[object, ...]:
    return dict(manner.options.adapters), manner.template, manner.options.stop, manner.max_quotes


def test_model_with_the_grounding_adapter_is_asked_in_its_layout(house: HouseMaker) -> None:
    parts = house(grounding=GROUNDING.digest(CHAT))
    manner = parts.manner("model:1")
    assert shape(manner) == ({"grounding": 1.0}, GROUNDING, ("\n",), GROUNDING_QUOTES)
    assert manner.options.temperature == 0.0
    assert parts.manner("model:1:grounding") == manner
    assert manner.model == "model:1:grounding"  # that is what answers


def test_what_a_model_made_with_an_adapter_of_ones_own_says_is_private(house: HouseMaker) -> None:
    parts = house(style="", grounding=GROUNDING.digest(CHAT))
    for name, is_private in (("style", True), ("grounding", False)):
        recipe = making.Recipe(source=f"model:1:{name}")
        making.make("mine", recipe, parts.store, parts.adapters, lambda said: None)
        assert parts.chat_manner("mine").is_personal is is_private
        assert parts.manner("mine").is_personal is is_private
    assert not parts.chat_manner("model:1").is_personal


def test_one_on_trial_answers_only_whoever_names_it(house: HouseMaker, tmp_path: Path) -> None:
    parts = house("style-candidate")
    file = random_adapter(parts.store.path(parts.store.get("model:1")), tmp_path / "lora", r=2)
    parts.adapters.add(file, name="style-candidate", model="model:1")
    assert shape(parts.manner("model:1"))[0] == {}
    assert shape(parts.manner("model:1:style-candidate"))[0] == {"style-candidate": 1.0}


def test_empty_setting_switches_the_adapter_off_but_not_for_who_names_it(
    house: HouseMaker,
) -> None:
    parts = house("", grounding=GROUNDING.digest(CHAT))
    assert shape(parts.manner("model:1"))[:2] == ({}, PLAIN)
    assert parts.manner("model:1").model == "model:1"
    assert shape(parts.manner("model:1:grounding"))[:2] == ({"grounding": 1.0}, GROUNDING)


def test_another_adapter_of_the_setting_is_switched_on_and_asked_in_its_own_layout(
    house: HouseMaker,
) -> None:
    own = {"style": "", "candidate": GROUNDING.digest(CHAT), "grounding": GROUNDING.digest(CHAT)}
    assert shape(house("style", **own).manner("model:1"))[:2] == ({"style": 1.0}, PLAIN)
    assert shape(house("candidate", **own).manner("model:1"))[:2] == ({"candidate": 1.0}, GROUNDING)


def test_adapter_made_for_another_chat_template_is_switched_on_only_for_who_names_it(
    house: HouseMaker,
) -> None:
    parts = house(grounding=GROUNDING.digest("another template"))
    assert shape(parts.manner("model:1"))[:2] == ({}, PLAIN)
    assert shape(parts.manner("model:1:grounding"))[:2] == ({"grounding": 1.0}, PLAIN)


@pytest.mark.parametrize("setting", [None, "", "no-such"])
def test_model_without_the_adapter_is_asked_plainly(house: HouseMaker, setting: str | None) -> None:
    parts = house(setting)
    # It counts as tiny: it is given no more than what is shown.
    assert shape(parts.manner("model:1")) == ({}, PLAIN, ("\n",), parts.num_quotes)
