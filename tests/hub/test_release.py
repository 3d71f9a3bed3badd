"""What a publisher signs is what everybody reads, whatever a card says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lora_gguf import base_bytes
from made_hub import CARD, MadeHub
from tuf.api.metadata import Metadata, Targets

from ondol.errors import HubError, ScanRefusedError
from ondol.hub.card import Card
from ondol.hub.release import Release, ReleaseFile, newest, releases_of, signed
from ondol.hub.targets import Target, Version

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
numbers = st.one_of(st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False))
tables = st.dictionaries(text, st.one_of(numbers, text, st.booleans()), max_size=4)
names = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,8}[a-z0-9])?", fullmatch=True)
files = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True),
    st.sampled_from(["weights", "adapter", "licence", "pack", "glossary"]),
    min_size=1,
    max_size=4,
)
versions = st.lists(st.integers(0, 10**6), min_size=1, max_size=4).map(
    lambda numbers: Version.of(".".join(map(str, numbers)))
)


@st.composite
def releases(draw: st.DrawFn) -> Release:
    roles = draw(files)
    card = Card(
        kind=draw(st.sampled_from(["model", "adapter", "pack"])),
        name=draw(text.filter(bool)),
        files=roles,
        channel=draw(st.sampled_from(["stable", "beta"])),
        title=draw(text),
        epsilon=draw(st.none() | st.floats(0, 100)),
        languages=tuple(draw(st.lists(text.filter(bool), max_size=3))),
        training=draw(tables),
        evaluation=draw(st.dictionaries(text, tables, max_size=3)),
    )
    found = tuple(
        ReleaseFile(
            name,
            role,
            f"sha256:{hashlib.sha256(name.encode()).hexdigest()}",
            draw(st.integers(0, 2**42)),
        )
        for name, role in sorted(roles.items())
    )
    publisher, item = draw(names), draw(names)
    return Release(f"p{publisher}", item, draw(versions), card, found, draw(text))


@settings(max_examples=60, deadline=None)
@given(releases())
def test_what_is_signed_is_what_is_read(release: Release) -> None:
    md = Metadata(Targets(targets=signed(release)))
    assert md.signed_bytes  # TUF's canonical JSON takes it
    again = Metadata[Targets].from_bytes(md.to_bytes())
    assert again.signed_bytes == md.signed_bytes
    [found] = releases_of(release.publisher, again.signed)
    # What a card says with an empty value it does not say, and JSON has no tuples.
    assert json.dumps(found.json(), sort_keys=True) == json.dumps(release.json(), sort_keys=True)
    assert releases_of("somebody-else", again.signed) == []
    for file in release.files:
        assert Target.of(release.path(file)).path == release.path(file)


@given(versions, versions)
def test_versions_are_ordered_as_their_numbers_and_written_in_one_form(one, other) -> None:
    assert (one < other) == (one.numbers < other.numbers)
    assert Version.of(str(one)) == one
    assert (str(one) == str(other)) == (one == other)


@given(st.text(max_size=40))
def test_a_path_is_a_target_in_its_one_form_or_refused(path: str) -> None:
    try:
        found = Target.of(path)
    except HubError:
        return
    assert found.path == path and ".." not in path and not path.startswith("/")


def test_the_newest_is_the_highest_that_is_offered(tmp_path: Path) -> None:
    from dataclasses import replace

    hub = MadeHub(tmp_path)
    for version, channel in (("1.9", "stable"), ("1.10", "stable"), ("2", "beta")):
        hub.publish(version, version.encode(), card=replace(CARD, channel=channel))
    found = hub.repository.releases()
    assert str(newest(found).version) == "1.10"
    assert str(newest(found, "beta").version) == "2"
    hub.repository.yank("clinic", "tiny", "1.10", "wrong", hub.clinic)
    found = hub.repository.releases()
    assert str(newest(found).version) == "1.9" and newest([]) is None


def test_what_is_published_was_scanned_for_real(tmp_path: Path) -> None:
    hub = MadeHub(tmp_path)
    with pytest.raises(ScanRefusedError):
        hub.publish("1", b"GGUF and then nothing", report=None)
    release = hub.publish("1", base_bytes(), report=None)
    assert release.card.scan["ok"] is True
    assert release.card.scan["files"] == {"tiny.gguf": "gguf"}
    assert hub.client.sees("clinic/tiny/1/tiny.gguf") == release.first.hex
