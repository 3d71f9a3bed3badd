"""Where documents come from: uploads, followed folders, every file with its status."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from house import House, scripted_house
from starlette.requests import Request

from ondol import uploads
from ondol.errors import StorageError, UsageError
from ondol.server.door.security import check_at_this_machine
from ondol.server.errors import ForbiddenError

TEXT = b"The boiler was serviced in March. The stove in the hall burns oak."


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with scripted_house(tmp_path) as house:
        yield house


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    (folder / "deep").mkdir(parents=True)
    (folder / "house.txt").write_bytes(TEXT)
    (folder / "deep" / "note.md").write_text("# Cat\n\nThe cat is called Gureum.\n")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    return folder


def call(house: House, method: str, address: str, **body: Any) -> Any:
    with house.client() as client:
        return client.request(method, f"/ondol/v1/{address}", json=body or None)


def get(house: House, address: str, **query: Any) -> Any:
    with house.client() as client:
        return client.get(f"/ondol/v1/{address}", params=query)


def upload(house: House, content: bytes = TEXT, **query: Any) -> Any:
    with house.client() as client:
        return client.post("/ondol/v1/uploads", params=query, content=content)


def events(response: Any) -> list[tuple[str, Any]]:
    found = []
    for block in response.text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def names(house: House, **query: Any) -> list[str]:
    return [Path(one["source"]).name for one in get(house, "files", **query).json()["files"]]


def test_an_upload_is_kept_and_can_be_searched(house: House, home: Path) -> None:
    response = upload(house, name="house.txt", modified=1_700_000_000_000)
    said = response.json()
    assert (response.status_code, said["outcome"], said["reason"]) == (201, "added", "")
    assert said["collection"] == "default" and said["size_bytes"] == len(TEXT)
    kept = Path(said["source"])
    assert kept.is_relative_to(home) and kept.read_bytes() == TEXT
    assert kept.stat().st_mode & 0o077 == 0
    hits = call(house, "POST", "search", query="What does the stove burn?").json()["hits"]
    assert hits[0]["source"] == said["source"]
    (listed,) = get(house, "files").json()["files"]
    assert listed["is_upload"] and listed["modified_at"] == "2023-11-14T22:13:20+00:00"
    assert get(house, "folders").json() == {"folders": []}


def test_an_upload_goes_into_the_collection_that_is_named(house: House) -> None:
    call(house, "POST", "collections", name="work", sensitivity="trusted")
    assert upload(house, name="a.txt", collection="work").json()["collection"] == "work"
    (listed,) = get(house, "files", **{"in": "work"}).json()["files"]
    assert (listed["collection"], listed["sensitivity"]) == ("work", "trusted")


def test_the_same_name_again_is_the_file_as_it_is_now(house: House) -> None:
    first = upload(house, name="a.txt").json()
    assert upload(house, name="a.txt").json()["outcome"] == "unchanged"
    second = upload(house, b"The stove burns birch.", name="a.txt").json()
    assert (second["outcome"], second["source"]) == ("updated", first["source"])
    assert get(house, "files").json()["total"] == 1


def test_the_same_name_in_another_collection_is_another_file(house: House) -> None:
    first = upload(house, name="a.pdf.txt").json()["source"]
    second = upload(house, b"The other one.", name="a.pdf.txt", collection="work").json()["source"]
    assert first != second and Path(second).name == "a.pdf (2).txt"
    assert Path(first).read_bytes() == TEXT
    assert upload(house, b"New.", name="a.pdf.txt", collection="work").json()["source"] == second


def test_folders_in_a_name_are_kept(house: House) -> None:
    source = upload(house, name="notes/2025/plan.md").json()["source"]
    assert source.endswith("uploads/notes/2025/plan.md")


@pytest.mark.parametrize(
    "name",
    [
        "../escape.txt",
        "a/../../b.txt",
        "/etc/passwd",
        "a//b.txt",
        "..\\..\\b.txt",
        "nul\0.txt",
        "line\nbreak.txt",
        ".",
        "a/",
        "x" * 300,
        "/".join("a" * 30),
        ".upload-0.txt",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(house: House, home: Path, name: str) -> None:
    response = upload(house, name=name)
    assert response.status_code == 422
    assert response.json()["error"]["param"] == "name"
    kept = [path for path in (home / "data" / "uploads").rglob("*") if path.is_file()]
    assert kept == [] and not list(home.parent.glob("escape*"))


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(UsageError):
        uploads.parts_of("\ud800.txt")


def test_what_cannot_be_read_says_why_and_is_listed(house: House) -> None:
    said = upload(house, b"%PDF-1.7 and nothing else", name="broken.pdf").json()
    assert said["outcome"] == "failed" and said["reason"]
    (listed,) = get(house, "files", status="failed").json()["files"]
    assert (listed["status"], listed["reason"]) == ("failed", said["reason"])
    assert Path(said["source"]).exists()


def test_what_is_no_document_is_not_kept(house: House) -> None:
    said = upload(house, os.urandom(2000), name="program.exe").json()
    assert said["outcome"] == "failed" and said["reason"]
    assert not Path(said["source"]).exists()
    assert get(house, "files").json()["total"] == 0


def test_a_file_over_the_limit_is_refused_and_nothing_is_left(tmp_path: Path, home: Path) -> None:
    environ = {"ONDOL_MAX_FILE_MB": "1", "ONDOL_MAX_BODY_MB": "4"}
    with scripted_house(tmp_path, environ) as house:
        large = b"x" * ((1 << 20) + 1)
        told = upload(house, large, name="a.txt")
        chunks = iter([large[:700_000], large[700_000:]])
        with house.client() as client:  # nothing says beforehand how long it is
            streamed = client.post("/ondol/v1/uploads", params={"name": "a.txt"}, content=chunks)
        for response in (told, streamed):
            assert response.status_code == 413
            assert "1 MB" in response.json()["error"]["message"]
            assert response.json()["error"]["code"] == "upload_too_large"
        assert upload(house, large[:-1], name="a.txt").status_code == 201
    left = [path.name for path in (home / "data" / "uploads").iterdir()]
    assert left == ["a.txt"]


def test_a_file_may_be_larger_than_other_requests(tmp_path: Path) -> None:
    environ = {"ONDOL_MAX_FILE_MB": "3", "ONDOL_MAX_BODY_MB": "1"}
    with scripted_house(tmp_path, environ) as house:
        assert upload(house, TEXT + b"\n" * (2 << 20), name="a.txt").json()["outcome"] == "added"
        assert call(house, "POST", "search", query="x" * (2 << 20)).status_code == 413


def test_an_upload_that_breaks_off_leaves_nothing(house: House, home: Path) -> None:
    head = "POST /ondol/v1/uploads?name=a.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000"
    with socket.create_connection(("127.0.0.1", house.port)) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n" + b"x" * 100)
        folder = home / "data" / "uploads"
        wait_until(lambda: folder.exists() and any(folder.iterdir()))
    wait_until(lambda: not any(folder.iterdir()))
    assert get(house, "files").json()["total"] == 0


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_full_disk_is_said_in_words(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def write(descriptor: int, block: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ondol.server.native.uploading.os.write", write)
    response = upload(house, name="a.txt")
    assert response.status_code == 507
    assert response.json()["error"]["code"] == "storage_unavailable"


def test_a_name_that_is_no_collections_is_refused_before_anything_is_kept(
    house: House, home: Path
) -> None:
    response = upload(house, name="a.txt", collection='"quoted"')
    assert (response.status_code, response.json()["error"]["param"]) == (422, "collection")
    assert not (home / "data" / "uploads").exists()
    assert upload(house, name="a.txt", collection=" work ").json()["collection"] == "work"
    assert upload(house, name="a.txt", collection="work").json()["outcome"] == "unchanged"


def test_an_upload_that_the_library_cannot_take_is_not_kept(
    house: House, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(*paths: Any, **how: Any) -> None:
        raise StorageError("The disk is full.", "Free some space.")

    monkeypatch.setattr(house.parts.library, "add", add)
    response = upload(house, name="a.txt")
    assert (response.status_code, response.json()["error"]["message"]) == (507, "The disk is full.")
    assert [path for path in (home / "data" / "uploads").rglob("*") if path.is_file()] == []


def test_a_folder_that_is_called_like_a_file_has_a_place_beside_it(house: House) -> None:
    first = upload(house, b"A stove.", name="taken.txt").json()
    second = upload(house, b"A stove of another kind.", name="taken.txt/b.txt")
    assert second.status_code == 201
    assert second.json()["source"].endswith("taken (2).txt/b.txt")
    assert Path(first["source"]).read_bytes() == b"A stove."


def test_an_upload_that_can_have_no_place_leaves_nothing(
    house: House, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*said: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    refused = upload(house, b"zwetschge", name="b.txt")
    assert refused.status_code == 507
    kept = [file for file in home.rglob("*") if file.is_file()]
    assert not [file for file in kept if b"zwetschge" in file.read_bytes()]


def test_what_a_killed_server_left_of_an_upload_goes(house: House, home: Path) -> None:
    left = home / "data" / "uploads" / f"{uploads.PARTIAL}0123"
    left.parent.mkdir(parents=True)
    left.write_bytes(TEXT)
    upload(house, name="a.txt")
    assert [path.name for path in left.parent.iterdir()] == ["a.txt"]


def test_many_uploads_at_once_all_arrive(house: House) -> None:
    found: list[str] = []

    def send(number: int) -> None:
        text = f"Letter number {number} is about the garden.".encode()
        found.append(upload(house, text, name=f"letter {number}.txt").json()["outcome"])

    threads = [threading.Thread(target=send, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["added"] * 12 and get(house, "files").json()["total"] == 12


def test_forgetting_erases_uploads_and_leaves_the_owners_files(house: House, folder: Path) -> None:
    sources = [
        upload(house, name=f"deep/{n}.txt", collection="work").json()["source"] for n in "ab"
    ]
    call(house, "POST", "documents", paths=[str(folder)], collection="work", stream=False)
    look = call(house, "DELETE", "documents", filter={"in": "work"}, dry_run=True).json()
    assert look["collections"] == ["work"] and set(sources) <= set(look["sources"])
    assert look["documents"] == 4 and all(Path(one).exists() for one in sources)
    receipt = call(house, "DELETE", "documents", filter={"in": "work"}).json()
    assert (receipt["documents"], receipt["uploads"]) == (4, 2)
    assert not any(Path(one).exists() for one in sources)
    assert not Path(sources[0]).parent.exists() and (folder / "house.txt").exists()
    assert call(house, "POST", "sync", stream=False).json()["missing"] == []


def test_forgetting_one_upload_leaves_the_others(house: House) -> None:
    first, second = (upload(house, TEXT + n, name=f"{n.decode()}.txt").json() for n in (b"a", b"b"))
    receipt = call(house, "DELETE", "documents", paths=[first["source"]]).json()
    assert (receipt["documents"], receipt["uploads"]) == (1, 1)
    assert not Path(first["source"]).exists() and Path(second["source"]).exists()
    assert names(house) == ["b.txt"]


def test_forgetting_nothing_in_particular_is_refused(house: House) -> None:
    upload(house, name="a.txt")
    refused = call(house, "DELETE", "documents", dry_run=False)
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "paths")
    assert get(house, "files").json()["total"] == 1


def test_an_erased_name_never_leads_out_of_the_folder(tmp_path: Path, home: Path) -> None:
    outside = tmp_path / "mine.txt"
    outside.write_bytes(TEXT)
    folder = home / "data" / "uploads"
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path)
    assert uploads.erase([str(folder / ".." / ".." / ".." / "mine.txt"), str(outside)]) == 0
    assert uploads.erase([str(folder / "link" / "mine.txt")]) == 0
    assert outside.read_bytes() == TEXT


def test_a_folder_is_added_and_followed_with_progress(house: House, folder: Path) -> None:
    response = call(house, "POST", "folders", path=str(folder), watch=True, collection="home")
    found = events(response)
    assert [name for name, _ in found] == ["progress", "progress", "progress", "report"]
    assert found[-1][1]["added"] == 2 and len(found[-1][1]["failed"]) == 1
    (one,) = get(house, "folders").json()["folders"]
    assert one == {
        "path": str(folder),
        "collection": "home",
        "sensitivity": "public",
        "watch": True,
        "documents": 2,
        "failed": 1,
        "is_missing": False,
        "is_file": False,
    }
    said = call(house, "PATCH", "folders", path=str(folder), watch=False).json()
    assert said == {"path": str(folder), "watch": False}
    assert not get(house, "folders").json()["folders"][0]["watch"]


def test_a_folder_that_is_gone_is_said_and_can_still_be_switched(
    house: House, folder: Path
) -> None:
    call(house, "POST", "folders", path=str(folder), stream=False)
    folder.rename(folder.with_name("elsewhere"))
    assert get(house, "folders").json()["folders"][0]["is_missing"]
    assert call(house, "PATCH", "folders", path=str(folder), watch=True).status_code == 200
    report = call(house, "POST", "sync", stream=False).json()
    assert (report["missing"], report["removed"]) == ([str(folder)], 0)


def test_letting_a_folder_go_keeps_its_documents_and_their_labels(
    house: House, folder: Path
) -> None:
    call(house, "PATCH", "collections/default", sensitivity="public")
    call(house, "POST", "folders", path=str(folder), sensitivity="private", stream=False)
    assert call(house, "DELETE", "folders", path=str(folder)).json() == {"removed": str(folder)}
    assert get(house, "folders").json() == {"folders": []}
    (folder / "house.txt").unlink()
    assert call(house, "POST", "sync", stream=False).json()["removed"] == 0
    files = get(house, "files").json()["files"]
    assert len(files) == 2 and {one["sensitivity"] for one in files} == {"private"}
    limits = call(house, "GET", "limits").json()["limits"]
    assert limits == [{"path": str(folder), "sensitivity": "private"}]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "folders", {"path": "papers"}, 422, "invalid_request"),
        ("POST", "folders", {"path": "/nowhere/at/all"}, 404, "document_not_found"),
        ("POST", "folders", {"path": "/tmp", "sensitivity": "secret"}, 422, "invalid_request"),
        ("PATCH", "folders", {"path": "/nowhere/at/all", "watch": True}, 404, "document_not_found"),
        ("DELETE", "folders", {"path": "/nowhere/at/all"}, 404, "document_not_found"),
        ("POST", "sync", {"paths": ["/nowhere/at/all"]}, 404, "document_not_found"),
        ("POST", "sync", {"paths": ["papers"]}, 422, "invalid_request"),
        ("DELETE", "documents", {"paths": ["papers"]}, 422, "invalid_request"),
        ("DELETE", "documents", {"filter": {"in": "nope"}}, 404, "collection_not_found"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    house: House, method: str, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    response = call(house, method, path, **body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.json()["error"]["message"]


def test_a_sync_follows_the_disk_with_progress(house: House, folder: Path) -> None:
    call(house, "POST", "folders", path=str(folder), stream=False)
    (folder / "house.txt").unlink()
    (folder / "new.txt").write_text("The garden gate is green.")
    found = events(call(house, "POST", "sync"))
    assert found[-1][0] == "report"
    assert (found[-1][1]["added"], found[-1][1]["removed"]) == (1, 1)
    outcomes = {Path(value["source"]).name: value["outcome"] for _, value in found[:-1]}
    assert outcomes["new.txt"] == "added" and outcomes["house.txt"] == "removed"


def test_files_are_listed_with_status_and_reason(house: House, folder: Path) -> None:
    (folder / "copy.txt").write_bytes(TEXT)
    (folder / "empty.txt").write_bytes(b"  \n")
    call(house, "POST", "folders", path=str(folder), stream=False)
    page = get(house, "files").json()
    by_name = {Path(one["source"]).name: one for one in page["files"]}
    assert by_name["note.md"]["status"] == "read" and by_name["broken.pdf"]["reason"]
    statuses = sorted((by_name["house.txt"]["status"], by_name["copy.txt"]["status"]))
    assert statuses == ["copy", "read"]
    assert page["counts"]["failed"] == 1 and sum(page["counts"].values()) == page["total"]
    assert names(house, status=["failed"]) == ["broken.pdf"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"query": "house"}, ["house.txt"]),
        ({"query": "type:pdf"}, ["broken.pdf"]),
        ({"query": "deep note"}, ["note.md"]),
        ({"query": "in:home"}, ["broken.pdf", "note.md", "house.txt"]),
        ({"query": "after:2999"}, []),
        ({"query": "100%"}, []),
        ({"type": "md"}, ["note.md"]),
        ({"order": "size", "descending": "true"}, ["house.txt", "note.md", "broken.pdf"]),
        ({"limit": 1, "offset": 1}, ["note.md"]),
    ],
)
def test_the_words_of_the_search_box_narrow_the_files(
    house: House, folder: Path, query: dict[str, Any], expected: list[str]
) -> None:
    call(house, "POST", "folders", path=str(folder), collection="home", stream=False)
    assert names(house, **query) == expected


def test_pages_of_files_follow_each_other(house: House) -> None:
    for number in range(5):
        upload(house, f"Page {number}.".encode(), name=f"{number}.txt")
    first = get(house, "files", limit=3).json()
    second = get(house, "files", limit=3, offset=first["next_offset"]).json()
    assert (first["total"], first["next_offset"], second["next_offset"]) == (5, 3, None)
    assert [Path(one["source"]).stem for one in first["files"] + second["files"]] == list("01234")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"query": "in:nowhere"}, 404),
        ({"query": "after:someday"}, 422),
        ({"status": "fine"}, 422),
        ({"order": "colour"}, 422),
        ({"limit": 0}, 422),
    ],
)
def test_a_list_that_cannot_be_is_refused(house: House, query: Any, status: int) -> None:
    assert get(house, "files", **query).status_code == status


def test_folders_of_this_machine_are_shown_without_the_hidden_ones(
    house: House, tmp_path: Path
) -> None:
    place = tmp_path / "desk"
    for name in ("Papers", "pictures", ".secret"):
        (place / name).mkdir(parents=True)
    (place / "a.txt").write_bytes(TEXT)
    (place / ".b.txt").write_bytes(TEXT)
    found = get(house, "browse", path=str(place)).json()
    assert [one["name"] for one in found["folders"]] == ["Papers", "pictures"]
    assert (found["files"], found["parent"]) == (1, str(tmp_path))
    assert found["folders"][0]["path"] == str(place / "Papers")
    assert get(house, "browse").json()["places"]


@pytest.mark.parametrize(
    ("path", "status"), [("~/.ssh", 403), ("/nowhere/at/all", 422), ("papers", 422)]
)
def test_what_nobody_should_open_is_refused(house: House, path: str, status: int) -> None:
    refused = get(house, "browse", path=path)
    assert refused.status_code == status and refused.json()["error"]["hint"]


def test_folders_are_shown_to_nobody_elsewhere(house: House) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/ondol/v1/browse",
        "query_string": b"",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("192.168.0.7", 5000),
        "headers": [(b"host", b"127.0.0.1")],
    }
    with pytest.raises(ForbiddenError):
        check_at_this_machine(Request(scope))
    with house.client() as client:
        away = client.get("/ondol/v1/browse", headers={"Origin": "http://127.0.0.1:1"})
    assert away.status_code == 403


def test_a_time_of_the_owners_clock_filters(house: House) -> None:
    old = int(datetime(2020, 5, 1, tzinfo=UTC).timestamp() * 1000)
    upload(house, name="old.txt", modified=old)
    upload(house, b"New.", name="new.txt")
    assert names(house, query="before:2021") == ["old.txt"]
