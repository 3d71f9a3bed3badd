"""Downloads from a server that stalls, truncates, changes its mind and lies."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest
from pull_servers import Mood, Route, Server, serving, sha256

from ondol.egress import Egress
from ondol.errors import DownloadError, EgressError, InvalidModelError, StorageError
from ondol.models.download import Wanted, download, retry_after
from ondol.models.patience import Patience, Watch
from ondol.models.resume import load

HURRIED = Patience(
    read_timeout_seconds=0.3, attempts=3, backoff_seconds=0.01, longest_wait_seconds=0.5
)
CONTENT = bytes(range(256)) * 1024
OTHER = CONTENT[::-1]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "partial-x"


def fetch(server: Server, partial: Path, path: str = "/f", **wanted: object) -> bytes:
    download(
        Wanted(f"{server.url}{path}", **wanted),  # type: ignore[arg-type]
        partial,
        Egress(),
        Watch(),
        HURRIED,
    )
    return partial.read_bytes()


def test_file_arrives_with_progress(server: Server, partial: Path) -> None:
    server.add("/f", CONTENT)
    seen: list[tuple[int, int | None]] = []
    watch = Watch(lambda done, total: seen.append((done, total)))
    download(Wanted(f"{server.url}/f"), partial, Egress(), watch, HURRIED)
    assert partial.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("mood", [Mood(stop_after=100_000), Mood(stall_after=100_000)])
def test_broken_or_stalled_connection_goes_on_where_it_was(
    server: Server, partial: Path, mood: Mood
) -> None:
    server.add("/f", CONTENT, mood)
    assert fetch(server, partial) == CONTENT
    first, second = server.starts()
    assert first == 0 and 0 < second <= 100_000


def test_many_breaks_are_forgiven_while_each_try_brings_something(
    server: Server, partial: Path
) -> None:
    server.add("/f", CONTENT, *[Mood(stop_after=30_000)] * 7)
    assert fetch(server, partial) == CONTENT


def test_server_without_ranges_starts_again_and_gives_up_in_the_end(
    server: Server, partial: Path
) -> None:
    server.add("/f", CONTENT, Mood(stop_after=100_000), ranges=False)
    assert fetch(server, partial) == CONTENT
    partial.unlink()
    server.add("/g", CONTENT, *[Mood(stop_after=100_000)] * 50, ranges=False)
    with pytest.raises(DownloadError, match="the connection broke off") as caught:
        fetch(server, partial, "/g")
    assert "What has arrived is kept" in caught.value.hint and partial.exists()


def become(route: Route) -> None:
    route.content, route.etag, route.last_modified = OTHER, '"two"', formatdate(10**9, usegmt=True)


@pytest.mark.parametrize("if_range", [True, False])
@pytest.mark.parametrize(
    ("etag", "modified"), [('"one"', ""), ("", formatdate(10**9 - 60, usegmt=True)), ('W/"1"', "")]
)
def test_file_that_changes_midway_is_started_again_not_spliced(
    server: Server, partial: Path, etag: str, modified: str, if_range: bool
) -> None:
    mood = Mood(stop_after=100_000, then=become)
    server.add("/f", CONTENT, mood, etag=etag, last_modified=modified, if_range=if_range)
    assert fetch(server, partial) == OTHER
    assert load(partial).etag == '"two"'


def test_file_that_grows_midway_is_started_again(server: Server, partial: Path) -> None:
    def grow(route: Route) -> None:
        route.content, route.etag = OTHER + b"more", ""

    server.add("/f", CONTENT, Mood(stop_after=100_000, then=grow), if_range=False)
    assert fetch(server, partial) == OTHER + b"more"


def test_partial_of_unknown_origin_is_not_continued(server: Server, partial: Path) -> None:
    partial.write_bytes(b"something else")
    server.add("/f", CONTENT)
    assert fetch(server, partial) == CONTENT
    assert server.starts() == [0]


def test_partial_with_a_known_digest_is_continued_even_without_a_note(
    server: Server, partial: Path
) -> None:
    partial.write_bytes(CONTENT[:1000])
    server.add("/f", CONTENT)
    assert fetch(server, partial, sha256=sha256(CONTENT)) == CONTENT
    assert server.starts() == [1000]


def test_complete_partial_is_not_fetched_again(server: Server, partial: Path) -> None:
    server.add("/f", CONTENT)
    fetch(server, partial)
    served = server.served
    assert fetch(server, partial) == CONTENT
    assert server.served == served
    requests = len(server.requests)
    fetch(server, partial, sha256=sha256(CONTENT), size_bytes=len(CONTENT))
    assert len(server.requests) == requests


def test_partial_longer_than_the_file_is_started_again(server: Server, partial: Path) -> None:
    server.add("/f", CONTENT)
    fetch(server, partial)
    partial.write_bytes(CONTENT + b"too much")
    assert fetch(server, partial) == CONTENT


def test_length_that_claims_too_much_is_an_error(server: Server, partial: Path) -> None:
    server.add("/f", CONTENT, *[Mood(claim=len(CONTENT) + 999)] * 50, ranges=False)
    with pytest.raises(DownloadError, match="the connection broke off"):
        fetch(server, partial)


def test_length_that_claims_too_little_is_an_error_when_the_size_is_known(
    server: Server, partial: Path
) -> None:
    server.add("/f", CONTENT, *[Mood(claim=1000)] * 50, ranges=False)
    assert len(fetch(server, partial)) == 1000
    with pytest.raises(DownloadError):
        fetch(server, partial, "/f", size_bytes=len(CONTENT), sha256=sha256(CONTENT))


def test_body_without_a_length_arrives(server: Server, partial: Path) -> None:
    server.add("/f", CONTENT, length=False)
    assert fetch(server, partial) == CONTENT


def test_length_no_disk_holds_is_a_storage_error_before_a_byte_is_written(
    server: Server, partial: Path
) -> None:
    server.add("/f", CONTENT, Mood(claim=10**18))
    with pytest.raises(StorageError, match="There is not enough room"):
        fetch(server, partial)
    assert not partial.exists()


@pytest.mark.parametrize("status", [404, 410, 401, 403, 400])
def test_definite_no_is_not_tried_again(server: Server, partial: Path, status: int) -> None:
    server.add("/f", CONTENT, *[Mood(status=status)] * 5)
    with pytest.raises(DownloadError) as caught:
        fetch(server, partial)
    assert caught.value.hint and len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_passing_trouble_is_tried_again(server: Server, partial: Path, status: int) -> None:
    server.add("/f", CONTENT, *[Mood(status=status, headers={"Retry-After": "0"})] * 2)
    assert fetch(server, partial) == CONTENT
    assert len(server.requests) == 3


def test_lasting_trouble_is_an_error(server: Server, partial: Path) -> None:
    server.add("/f", CONTENT, *[Mood(status=500)] * 50)
    with pytest.raises(DownloadError, match="the server answered 500"):
        fetch(server, partial)
    assert len(server.requests) == HURRIED.attempts


def test_wait_that_is_too_long_is_an_error_that_says_how_long(
    server: Server, partial: Path
) -> None:
    server.add("/f", CONTENT, Mood(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(DownloadError, match="wait 3600 seconds"):
        fetch(server, partial)


def test_retry_after_may_be_a_date() -> None:
    seconds = retry_after({"Retry-After": formatdate(time() + 100, usegmt=True)})
    assert seconds is not None and 90 < seconds <= 100
    assert retry_after({"Retry-After": "soon"}) is None
    assert retry_after({}) is None


def test_redirect_is_followed(server: Server, partial: Path) -> None:
    server.add("/f", b"", Mood(status=302, headers={"Location": "/g"}))
    server.add("/g", CONTENT)
    assert fetch(server, partial) == CONTENT


def test_redirect_without_end_is_an_error(server: Server, partial: Path) -> None:
    server.add("/f", b"", *[Mood(status=302, headers={"Location": "/f"})] * 100)
    with pytest.raises(DownloadError):
        fetch(server, partial)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/f", "http:///f"])
def test_address_nobody_can_use_is_an_error(partial: Path, url: str) -> None:
    with pytest.raises(DownloadError):
        download(Wanted(url), partial, Egress(), Watch(), HURRIED)


def test_no_server_is_said_soon(partial: Path) -> None:
    with serving() as server:
        url = server.url
    with pytest.raises(DownloadError, match="the server cannot be reached"):
        download(Wanted(f"{url}/f"), partial, Egress(), Watch(), HURRIED)


def test_page_instead_of_a_model_is_noticed_at_once(server: Server, partial: Path) -> None:
    server.add("/f", b"<html>please log in" + CONTENT)
    with pytest.raises(InvalidModelError, match="is not a GGUF model"):
        fetch(server, partial, magic=b"GGUF")
    assert not partial.exists()


def test_offline_refuses_before_a_byte_leaves(partial: Path) -> None:
    with pytest.raises(EgressError):
        download(Wanted("https://example.org/f"), partial, Egress(offline=True), Watch(), HURRIED)


def test_cancelled_download_keeps_what_has_arrived(server: Server, partial: Path) -> None:
    server.add("/f", CONTENT)
    cancel = threading.Event()
    watch = Watch(lambda done, total: cancel.set() if done > 50_000 else None, cancel)
    with pytest.raises(DownloadError, match="stopped"):
        download(Wanted(f"{server.url}/f"), partial, Egress(), watch, HURRIED)
    assert 0 < partial.stat().st_size < len(CONTENT)
    assert fetch(server, partial) == CONTENT


def test_secrets_in_an_address_are_not_shown(server: Server, partial: Path) -> None:
    server.add("/f", CONTENT, *[Mood(status=404)] * 2)
    with pytest.raises(DownloadError) as caught:
        fetch(server, partial, "/f?token=secret")
    assert "secret" not in caught.value.message
