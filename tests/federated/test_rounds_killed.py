"""A round between real processes outlives kill -9 of any of them (more points of it:
benchmarks/kill/federated.py)."""

from __future__ import annotations

import random

import pytest

from tests.federated_kill import HOME, Scene, kill_at_line, kill_at_random, prepare


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    # Names of sockets may not be long.
    return prepare(tmp_path_factory.mktemp("k"))


@pytest.mark.parametrize("who", [HOME, "0"])
@pytest.mark.parametrize("part", [0.4, 0.75])
def test_who_is_killed_at_a_line_of_its_code_goes_on_to_the_same_sum(
    scene: Scene, who: str, part: float
) -> None:
    assert kill_at_line(scene, who, int(scene.num_lines[who] * part)) == "killed"


def test_who_is_killed_at_any_moment_goes_on_to_the_same_sum(scene: Scene) -> None:
    assert kill_at_random(scene, "1", random.Random(0)) in ("killed", "through")
