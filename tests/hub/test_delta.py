"""Deltas: what they yield is the new file, they pay, and a hostile one harms nobody."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from backports.zstd import CompressionParameter, ZstdCompressor, compress
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ondol.errors import StorageError, UntrustedError
from ondol.hub.delta import apply, is_worth, make, most_bytes, naming, offers
from ondol.hub.delta.layout import (
    COPY,
    DIFFERENCE,
    MAGIC,
    MOST_PREFIX_BYTES,
    PATCH,
    SEGMENT_BYTES,
    Header,
    Record,
)

SIZE = 1 << 20


@pytest.fixture(scope="module")
def weights() -> bytes:
    return Random(1).randbytes(SIZE)


@pytest.fixture(autouse=True, scope="module")
def small_files_have_deltas() -> Iterator[None]:
    """So that tests are cheap; the real bound has its own test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(naming, "SMALLEST_BYTES", 1000)
        yield


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def size_of_delta(folder: Path, old: bytes, new: bytes) -> int | None:
    """The size of the delta, having seen that it yields ``new``; None where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "old").write_bytes(old)
    (folder / "new").write_bytes(new)
    delta = make(folder / "old", folder / "new", folder)
    if delta is None:
        return None
    assert delta.path == folder / offers(digest(old), digest(new))[0]
    assert delta.size_bytes == delta.path.stat().st_size <= most_bytes(len(new))
    said = apply(folder / "old", delta.path, folder / "out", most_bytes=len(new))
    assert (folder / "out").read_bytes() == new
    assert said == delta.new_digest == digest(new)
    return delta.size_bytes


def test_a_change_of_one_percent_costs_little_more_than_what_changed(
    tmp_path: Path, weights: bytes
) -> None:
    changed = Random(2).randbytes(SIZE // 100)
    new = weights[: SIZE // 2] + changed + weights[SIZE // 2 + len(changed) :]
    size = size_of_delta(tmp_path, weights, new)
    assert size is not None and size < len(changed) + 1000


def test_what_is_inserted_at_the_front_moves_the_rest_for_nothing(
    tmp_path: Path, weights: bytes
) -> None:
    size = size_of_delta(tmp_path, weights, b"a longer chat template" * 50 + weights)
    assert size is not None and size < 2000


def test_a_byte_changed_here_and_there_costs_a_few_bytes_each(
    tmp_path: Path, weights: bytes
) -> None:
    new = bytearray(weights)
    for place in range(1000, SIZE, SIZE // 10):
        new[place] ^= 1
    size = size_of_delta(tmp_path, weights, bytes(new))
    assert size is not None and size < 1000, "matches are as long as they can be"


def test_what_moved_far_is_found(tmp_path: Path, weights: bytes) -> None:
    half = SIZE // 2
    size = size_of_delta(tmp_path, weights, weights[half:] + weights[:half])
    assert size is not None and size < SIZE * 0.02


def test_numbers_that_all_moved_a_little_are_sent_as_differences(
    tmp_path: Path, weights: bytes
) -> None:
    random = Random(3)
    new = bytes((one + random.choice((0, 0, 0, 1, 255))) % 256 for one in weights)
    size = size_of_delta(tmp_path, weights, b"header" + new)
    assert size is not None and size < SIZE * 0.3


def test_a_file_of_zeros_and_a_much_shorter_one(tmp_path: Path, weights: bytes) -> None:
    assert size_of_delta(tmp_path / "zeros", weights, bytes(SIZE))
    assert size_of_delta(tmp_path / "shorter", weights, weights[-10_000:])
    assert size_of_delta(tmp_path / "longer", weights[-10_000:], weights) is None


def test_nothing_is_offered_where_it_would_not_pay(tmp_path: Path, weights: bytes) -> None:
    assert size_of_delta(tmp_path, weights, Random(4).randbytes(SIZE)) is None
    assert size_of_delta(tmp_path, weights, weights) is None
    assert size_of_delta(tmp_path, b"", weights) is None
    assert not list((tmp_path / "deltas").iterdir())


def test_small_files_and_adapters_travel_whole(
    tmp_path: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming, "SMALLEST_BYTES", 8_000_000)
    assert size_of_delta(tmp_path, weights, b"1" + weights) is None
    assert is_worth("weights", 8_000_000)
    assert not is_worth("weights", 7_999_999)
    assert not is_worth("adapter", 100_000_000)


def test_a_delta_that_is_there_is_kept_and_what_a_kill_left_is_cleared(
    tmp_path: Path, weights: bytes
) -> None:
    size_of_delta(tmp_path, weights, weights + b"1")
    before = {one.name: one.stat().st_mtime_ns for one in (tmp_path / "deltas").iterdir()}
    left = tmp_path / "deltas" / "partial-of-a-killed-process"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    size_of_delta(tmp_path, weights, weights + b"1")
    size_of_delta(tmp_path, weights, weights + b"2")
    after = {one.name: one.stat().st_mtime_ns for one in (tmp_path / "deltas").iterdir()}
    assert before.items() < after.items() and len(after) == 2


def test_whoever_publishes_whatever_serves_the_hub_can_read_it(
    tmp_path: Path, weights: bytes
) -> None:
    before = os.umask(0o077)
    try:
        size_of_delta(tmp_path, weights, weights + b"1")
    finally:
        os.umask(before)
    (delta,) = (tmp_path / "deltas").iterdir()
    assert delta.stat().st_mode & 0o777 == 0o644


def test_a_disk_that_cannot_be_written_is_said(tmp_path: Path, weights: bytes) -> None:
    (tmp_path / "deltas").write_text("a file where the folder should be")
    with pytest.raises(StorageError):
        size_of_delta(tmp_path, weights, weights + b"1")
    with pytest.raises(StorageError):
        make(tmp_path / "none", tmp_path / "new", tmp_path)


@st.composite
def edits(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """An old file and a new one that was made from it by cutting, pasting, moving and nudging."""
    random = Random(draw(st.integers(0, 2**32)))
    old = random.randbytes(draw(st.integers(1000, 300_000)))
    new = bytearray(old)
    for _ in range(draw(st.integers(0, 6))):
        at = random.randrange(len(new) + 1)
        length = random.choice((1, 100, 5000, 70_000))
        match draw(st.sampled_from(("insert", "delete", "replace", "move", "nudge", "zero"))):
            case "insert":
                new[at:at] = random.randbytes(length)
            case "delete":
                del new[at : at + length]
            case "replace":
                new[at : at + length] = random.randbytes(length)
            case "move":
                part = new[at : at + length]
                del new[at : at + length]
                new += part
            case "nudge":
                new[at : at + length] = bytes((b + 1) % 256 for b in new[at : at + length])
            case _:
                new[at : at + length] = bytes(length)
    return old, bytes(new)


@given(edits())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_was_edited_the_delta_yields_the_new_file(
    tmp_path: Path, pair: tuple[bytes, bytes]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Many short segments, each with little around it, as in a file of gigabytes.
        patch.setattr("ondol.hub.delta.making.SEGMENT_BYTES", 32 << 10)
        patch.setattr("ondol.hub.delta.making.SLACK_BYTES", 16 << 10)
        size_of_delta(tmp_path, *pair)


# What a hostile hub, or a broken one, may send.


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory, weights: bytes) -> Path:
    """A folder with ``old``, ``new`` and a ``delta`` that has records of all three kinds."""
    folder = tmp_path_factory.mktemp("valid")
    random = Random(5)
    moved = bytes((one + random.choice((0, 0, 0, 1))) % 256 for one in weights[: SIZE // 4])
    new = moved + weights[SIZE // 4 : SIZE // 2] + b"new" * 100 + weights[SIZE // 2 :]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ondol.hub.delta.making.SEGMENT_BYTES", 64 << 10)
        assert size_of_delta(folder, weights, new)
    next((folder / "deltas").iterdir()).replace(folder / "delta")
    return folder


def refused(old: Path, delta: bytes, folder: Path, most: int = SIZE) -> None:
    (folder / "hostile").write_bytes(delta)
    with pytest.raises(UntrustedError):
        apply(old, folder / "hostile", folder / "out", most_bytes=most)
    assert not (folder / "out").exists()


def frame(content: bytes, window_log: int = 20) -> bytes:
    options = {int(CompressionParameter.window_log): window_log}
    compressor = ZstdCompressor(options=options)
    return compressor.compress(content) + compressor.flush()


def one_record(record: Record, packed: bytes = b"", new_bytes: int = SIZE) -> bytes:
    return Header(SIZE, new_bytes).packed() + record.packed() + packed


def test_the_valid_one_has_all_kinds(valid: Path) -> None:
    with (valid / "delta").open("rb") as file:
        header = Header.read(file)
        done, kinds = 0, set()
        while done < header.new_bytes:
            record = Record.read(file, header, done)
            file.seek(record.frame_length, os.SEEK_CUR)
            done += record.new_length
            kinds.add(record.kind)
    assert kinds == {COPY, PATCH, DIFFERENCE}


@pytest.mark.parametrize("kind", [PATCH, DIFFERENCE])
def test_a_bomb_stops_where_the_record_says(tmp_path: Path, valid: Path, kind: int) -> None:
    bomb = frame(bytes(200 << 20))
    assert len(bomb) < 100_000
    length = 1000 if kind == DIFFERENCE else 0
    seen: list[int] = []
    (tmp_path / "hostile").write_bytes(
        one_record(Record(kind, 0, length, 1000, len(bomb)), bomb, 1000)
    )
    with pytest.raises(UntrustedError):
        apply(
            valid / "old",
            tmp_path / "hostile",
            tmp_path / "out",
            most_bytes=1000,
            on_bytes=seen.append,
        )
    assert max(seen, default=0) <= 1000
    assert not (tmp_path / "out").exists()


def test_no_frame_takes_more_memory_than_a_record_may(tmp_path: Path, valid: Path) -> None:
    # A frame may ask for a window of 2 GiB (RFC 8878, 3.1.1.1.2): exponent 31 - 10.
    wide = struct.pack("<IBB", 0xFD2FB528, 0, (31 - 10) << 3) + struct.pack("<I", 1 << 3 | 1)[:3]
    refused(valid / "old", one_record(Record(PATCH, 0, 0, SIZE, len(wide)), wide), tmp_path)
    packed = frame(b"1")
    for record in (
        Record(PATCH, 0, 0, SEGMENT_BYTES + 1, len(packed)),
        Record(PATCH, 0, MOST_PREFIX_BYTES + 1, 1, len(packed)),
        Record(DIFFERENCE, 0, SEGMENT_BYTES + 1, SEGMENT_BYTES + 1, len(packed)),
        Record(PATCH, 0, 0, 1, 2**32 - 1),
    ):
        large = Header(2**40, 2**40).packed() + record.packed() + packed
        with (tmp_path / "large").open("wb") as sparse:
            sparse.truncate(2**40)
        refused(tmp_path / "large", large, tmp_path, most=2**40)


@pytest.mark.parametrize(
    "record",
    [
        Record(COPY, 1, SIZE, SIZE),
        Record(COPY, 2**64 - 1, SIZE, SIZE),
        Record(COPY, 0, 10, SIZE),
        Record(COPY, 0, SIZE, SIZE, 4),
        Record(COPY, 0, 0, 0),
        Record(COPY, 0, SIZE + 1, SIZE + 1),
        Record(PATCH, 0, 0, SIZE, 0),
        Record(DIFFERENCE, 0, 1, 2, 4),
        Record(7, 0, 0, SIZE, 4),
    ],
    ids=str,
)
def test_no_record_reaches_beyond_a_file(tmp_path: Path, valid: Path, record: Record) -> None:
    refused(valid / "old", one_record(record, frame(b"1")), tmp_path)


def test_no_more_is_written_than_was_signed(tmp_path: Path, valid: Path) -> None:
    refused(valid / "old", (valid / "delta").read_bytes(), tmp_path, most=SIZE - 1)


def test_frames_that_are_none_or_too_short_or_two(tmp_path: Path, valid: Path) -> None:
    short, twice = frame(b"1" * 9), frame(b"1" * 5) * 2
    for packed in (b"no frame at all", short, twice, compress(b"1" * 10) + b"more"):
        record = Record(PATCH, 0, 0, 10, len(packed))
        refused(valid / "old", one_record(record, packed, 10), tmp_path)


def test_records_without_end_are_too_many(tmp_path: Path, valid: Path) -> None:
    new_bytes = 4096
    content = Header(SIZE, new_bytes).packed() + Record(COPY, 0, 1, 1).packed() * new_bytes
    refused(valid / "old", content, tmp_path)


def test_prefixes_without_end_are_too_much_work(tmp_path: Path, valid: Path) -> None:
    new_bytes, packed = 1 << 20, frame(b"1" * 4096)
    record = Record(PATCH, 0, MOST_PREFIX_BYTES, 4096, len(packed)).packed() + packed
    content = Header(MOST_PREFIX_BYTES, new_bytes).packed() + record * (new_bytes // 4096)
    with (tmp_path / "large").open("wb") as sparse:
        sparse.truncate(MOST_PREFIX_BYTES)
    written: list[int] = []
    (tmp_path / "hostile").write_bytes(content)
    with pytest.raises(UntrustedError):
        apply(
            tmp_path / "large",
            tmp_path / "hostile",
            tmp_path / "out",
            most_bytes=new_bytes,
            on_bytes=written.append,
        )
    assert len(written) < 10


def test_what_is_no_delta_and_what_is_cut_short_or_goes_on(tmp_path: Path, valid: Path) -> None:
    whole = (valid / "delta").read_bytes()
    most = (valid / "new").stat().st_size
    for wrong in (b"", b"GGUF" * 20, MAGIC, whole[:20], whole + b"\0", whole + whole):
        refused(valid / "old", wrong, tmp_path, most)
    random = Random(6)
    for _ in range(40):
        refused(valid / "old", whole[: random.randrange(len(whole))], tmp_path, most)


def test_another_old_file_is_never_taken_for_the_right_one(
    tmp_path: Path, valid: Path, weights: bytes
) -> None:
    whole, most = (valid / "delta").read_bytes(), (valid / "new").stat().st_size
    (tmp_path / "longer").write_bytes(weights + b"1")
    refused(tmp_path / "longer", whole, tmp_path, most)
    (tmp_path / "other").write_bytes(Random(7).randbytes(SIZE))
    said = apply(tmp_path / "other", valid / "delta", tmp_path / "out", most_bytes=most)
    assert said != digest((valid / "new").read_bytes())


@given(data=st.data())
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_changed_in_it_it_is_refused_or_bounded(
    tmp_path: Path, valid: Path, data: st.DataObject
) -> None:
    whole = bytearray((valid / "delta").read_bytes())
    most = (valid / "new").stat().st_size
    for _ in range(data.draw(st.integers(1, 4))):
        # Half of the changes meet the header and the first records.
        end = data.draw(st.sampled_from((200, len(whole))))
        whole[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "hostile").write_bytes(whole)
    out = tmp_path / "out"
    try:
        said = apply(valid / "old", tmp_path / "hostile", out, most_bytes=most)
    except UntrustedError:
        assert not out.exists()
    else:
        assert out.stat().st_size <= most
        assert said == digest(out.read_bytes())


def test_who_stops_it_and_a_folder_that_is_not_there_leave_nothing(
    tmp_path: Path, valid: Path
) -> None:
    def stop(done: int) -> None:
        raise KeyboardInterrupt

    most = (valid / "new").stat().st_size
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        apply(valid / "old", valid / "delta", out, most_bytes=most, on_bytes=stop)
    assert not out.exists()
    with pytest.raises(StorageError):
        apply(valid / "old", valid / "delta", tmp_path / "none" / "out", most_bytes=most)
