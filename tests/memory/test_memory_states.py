"""What models made of what is remembered goes with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ondol import paths
from ondol.config import load
from ondol.engine.states import folder
from ondol.engine.states.identity import NOBODY, Name
from ondol.memory.memories import Memories
from ondol.parts import Parts


@pytest.mark.parametrize(
    "erase",
    [
        lambda memories: memories.personas.remove("Plain"),
        lambda memories: memories.personas.put("Plain", "Answer in rhymes."),
        lambda memories: memories.erase(),
    ],
)
def test_erasing_erases_the_states_of_prompts_and_not_those_of_pins(
    home: Path, erase: Callable[[Memories], object]
) -> None:
    digits = "0" * 32
    states = [
        paths.ensure(folder.directory()) / str(Name(*[digits] * 4, owner))
        for owner in (NOBODY, "1" * 32)
    ]
    with Parts(load()) as parts:
        memories = parts.kept.memories
        memories.add("I live in Daejeon.")
        memories.personas.put("Plain", "Answer plainly.")
        for state in states:
            state.write_bytes(b"what a model made of a prompt")
        erase(memories)
    assert [state.exists() for state in states] == [False, True]
