"""While a hub is in hostile hands: no update comes, and what runs goes on running."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from forged_hub import Files, ForgedHub, Mirror, digest, key, mirrors
from served_llama import write_llama

from ondol import config
from ondol.egress import Egress
from ondol.errors import ExpiredError, HubError, HubUnreachableError, UntrustedError
from ondol.hub.client import Hubs
from ondol.parts import Parts
from ondol.types import GenerateOptions, Message
from ondol.updating import updater

NAME = "tiny:1m"
YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Of two versions."""
    folder = tmp_path_factory.mktemp("weights")
    return [write_llama(folder / f"{seed}.gguf", seed).read_bytes() for seed in (1, 2)]


@pytest.fixture
def forged(weights: list[bytes]) -> ForgedHub:
    found = ForgedHub()
    found.add_publisher("clinic")
    found.release("clinic", "tiny", "1", {"model.gguf": weights[0]}, name=NAME)
    return found


@pytest.fixture
def mirror(forged: ForgedHub) -> Iterator[Mirror]:
    with mirrors(forged.files()) as (found,):
        yield found


@pytest.fixture
def parts(home: Path, forged: ForgedHub, mirror: Mirror) -> Iterator[Parts]:
    """A device that has version 1."""
    with Hubs.open() as hubs:
        hubs.add(mirror.url, forged.fingerprint, egress=Egress())
    with Parts(config.load()) as house:
        updater.install(house, "clinic/tiny")
        yield house


Attack = Callable[[ForgedHub, Mirror, Files], None]


def signs_with_another_key(forged: ForgedHub, mirror: Mirror, first: Files) -> None:
    forged.keys["clinic"] = [key()]
    mirror.files = forged.files()


def signs_with_another_root(forged: ForgedHub, mirror: Mirror, first: Files) -> None:
    forged.rotate("timestamp", [key(), key()])
    mirror.files = forged.files()


def shows_what_expired(forged: ForgedHub, mirror: Mirror, first: Files) -> None:
    forged.timestamp.signed.expires = YESTERDAY
    mirror.files = forged.files()


def goes_back(forged: ForgedHub, mirror: Mirror, first: Files) -> None:
    forged.timestamp.signed.version = forged.snapshot.signed.version = 0
    mirror.files = forged.files()


def mixes(forged: ForgedHub, mirror: Mirror, first: Files) -> None:
    mirror.files = forged.files()
    path = next(one for one in mirror.files if one.endswith(".clinic.json"))
    old = next(content for one, content in first.items() if one.endswith(".clinic.json"))
    mirror.files[path] = old


def sends_other_weights(forged: ForgedHub, mirror: Mirror, first: Files) -> None:
    mirror.files = {
        path: content[:-1] + b"!" if path.startswith("blobs/") else content
        for path, content in forged.files().items()
    }


def sends_without_end(forged: ForgedHub, mirror: Mirror, first: Files) -> None:
    mirror.files = forged.files()
    for path in mirror.files:
        if path.startswith("blobs/"):
            mirror.says[path] = mirror.endless


def says_nothing(forged: ForgedHub, mirror: Mirror, first: Files) -> None:
    mirror.files = {}


ATTACKS: list[tuple[Attack, type[HubError], str]] = [
    (signs_with_another_key, UntrustedError, "of clinic that too few of the right keys"),
    (signs_with_another_root, UntrustedError, "too few of the right keys"),
    (shows_what_expired, ExpiredError, "older than it may be"),
    (goes_back, UntrustedError, "older than what was known already"),
    (mixes, UntrustedError, "changed after they were signed"),
    (sends_other_weights, UntrustedError, "not what was signed"),
    (sends_without_end, UntrustedError, "more than it may"),
    (says_nothing, HubUnreachableError, "status 404"),
]


def test_no_update_comes_from_hostile_hands_and_what_runs_goes_on(
    weights: list[bytes], forged: ForgedHub, mirror: Mirror, parts: Parts
) -> None:
    engine = parts.engine(NAME, num_ctx=256)
    options = GenerateOptions(max_tokens=200, temperature=0.0)
    running = engine.generate([Message("user", "the")], options)
    next(iter(running))
    first = dict(mirror.files)
    forged.release("clinic", "tiny", "2", {"model.gguf": weights[1]}, name=NAME)
    honest = {**forged.keys}, [*forged.roots]
    for attack, kind, words in ATTACKS:
        versions = forged.snapshot.signed.version, forged.timestamp.signed.version
        attack(forged, mirror, first)
        with pytest.raises(kind, match=words) as caught:
            updater.update(parts, NAME)
        assert "keeps running" in caught.value.hint
        kept = parts.store.get(NAME).file("weights")
        assert kept is not None and kept.digest == digest(weights[0]), attack.__name__
        # Back in the right hands, which count on from whatever was seen.
        forged.keys, forged.roots = {**honest[0]}, [*honest[1]]
        forged.snapshot.signed.version, forged.timestamp.signed.version = versions
        forged.snapshot.signed.version += 1
        forged.timestamp.signed.version += 1
        forged.timestamp.signed.expires = forged.snapshot.signed.expires
        mirror.says.clear()
    assert [*running][-1].finish_reason
    mirror.files = forged.files()
    done = updater.update(parts, NAME)
    assert (done.what, done.before, done.version) == ("updated", "1", "2")
    now = parts.store.get(NAME).file("weights")
    assert now is not None and now.digest == digest(weights[1])
