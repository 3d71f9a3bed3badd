"""A hub's folder over HTTP: what is served, in which parts, and what is not."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from served import served

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()
BLOB = f"/blobs/sha256-{DIGEST}"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    for name in ("metadata", "blobs", "deltas", "state/keys"):
        (folder / name).mkdir(parents=True)
    (folder / "metadata" / "1.root.json").write_text('{"root": 1}')
    (folder / "metadata" / "timestamp.json").write_text('{"timestamp": 1}')
    (folder / "metadata" / "3.acme.json").write_text('{"acme": 3}')
    (folder / BLOB[1:]).write_bytes(CONTENT)
    (folder / "deltas" / f"{'a' * 64}-{'b' * 64}.zst").write_bytes(b"delta")
    (folder / "state" / "keys" / "timestamp.json").write_text("secret")
    (folder / "secret.json").write_text("secret")
    (folder / "metadata" / "secret.pem").write_text("secret")
    os.symlink(folder / "secret.json", folder / "metadata" / "linked.json")
    (folder / "metadata" / "folder.json").mkdir()
    return folder


@pytest.fixture(scope="module")
def client(hub: Path) -> Iterator[httpx2.Client]:
    with served(hub) as url, httpx2.Client(base_url=url, trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/metadata/1.root.json", b'{"root": 1}'),
        ("/metadata/timestamp.json", b'{"timestamp": 1}'),
        ("/metadata/3.acme.json", b'{"acme": 3}'),
        (BLOB, CONTENT),
        (f"/deltas/{'a' * 64}-{'b' * 64}.zst", b"delta"),
    ],
)
def test_what_a_hub_is_made_of_is_served(client: httpx2.Client, path: str, content: bytes) -> None:
    answer = client.get(path)
    head = client.head(path)
    assert (answer.status_code, answer.content) == (200, content)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(content))


@pytest.mark.parametrize(
    "path",
    [
        "/state/keys/timestamp.json",
        "/state/keys",
        "/secret.json",
        "/metadata",
        "/metadata/",
        "/metadata/secret.pem",
        "/metadata/linked.json",
        "/metadata/folder.json",
        "/metadata/..%2fsecret.json",
        "/metadata/%2e%2e/secret.json",
        "/metadata/%2e%2e%2fstate%2fkeys%2ftimestamp.json",
        f"/blobs/sha256-{'0' * 64}",
        f"/blobs/{DIGEST}",
        f"{BLOB}/",
        f"/blobs/sha256-{DIGEST.upper()}",
        "/blobs/sha256-" + "a" * 5000,
        "/metadata/a%00.json",
    ],
)
def test_nothing_else_in_the_folder_is_served(client: httpx2.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert b"secret" not in answer.content


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_is_written(client: httpx2.Client, method: str) -> None:
    assert client.request(method, BLOB, content=b"x").status_code == 405


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-0", CONTENT[:1]),
        ("bytes=100-199", CONTENT[100:200]),
        ("bytes=10000-", CONTENT[10000:]),
        ("bytes=-7", CONTENT[-7:]),
        ("bytes=10000-99999999", CONTENT[10000:]),
    ],
)
def test_a_part_is_served(client: httpx2.Client, asked: str, part: bytes) -> None:
    answer = client.get(BLOB, headers={"Range": asked, "Accept-Encoding": "identity"})
    assert (answer.status_code, answer.content) == (206, part)
    assert answer.headers["Content-Range"].endswith(f"/{len(CONTENT)}")


def test_what_lies_beyond_the_end_is_no_part(client: httpx2.Client) -> None:
    answer = client.get(BLOB, headers={"Range": f"bytes={len(CONTENT)}-"})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


def test_a_blob_is_tagged_with_its_digest_and_kept_for_ever(client: httpx2.Client) -> None:
    answer = client.head(BLOB)
    assert answer.headers["ETag"] == f'"{DIGEST}"'
    assert "immutable" in answer.headers["Cache-Control"]
    assert client.get(BLOB, headers={"If-None-Match": f'"{DIGEST}"'}).status_code == 304
    assert client.get(BLOB, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_part_of_another_state_is_not_spliced(client: httpx2.Client) -> None:
    asked = {"Range": "bytes=10-", "If-Range": '"other"'}
    answer = client.get(BLOB, headers=asked)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    asked["If-Range"] = f'"{DIGEST}"'
    assert client.get(BLOB, headers=asked).status_code == 206


def test_metadata_that_change_are_asked_for_again(client: httpx2.Client) -> None:
    assert client.get("/metadata/timestamp.json").headers["Cache-Control"] == "no-cache"
    assert "immutable" in client.get("/metadata/3.acme.json").headers["Cache-Control"]


def test_a_hub_says_that_it_is_one(client: httpx2.Client) -> None:
    assert client.get("/").json()["name"] == "ondol-hub"


def test_many_ranges_are_no_lever(client: httpx2.Client) -> None:
    asked = "bytes=" + ",".join("0-" for _ in range(90))
    assert len(client.get(BLOB, headers={"Range": asked}).content) < 2 * len(CONTENT)
