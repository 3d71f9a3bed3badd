"""What an answer quotes, looked at: text, page, every match; and nothing that is not listed."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import House
from test_native import call

from ondol import paths
from tests.retrieval.file_makers import lines, make_pdf

FIRST, SECOND = "The boiler was serviced in March.", "The next service is due in October."
NOTE = f"# House\n\n{FIRST} {SECOND}\n\nThe oak was felled.\n"
PDF = make_pdf(
    [lines("The lease of the mill."), lines("The rent is 900", "a month, in advance.")],
    title="Lease",
)


@pytest.fixture
def folder(house: House, tmp_path: Path) -> Iterator[Path]:
    """A note, a lease as PDF and an archive, in the library; a secret beside them, which is not."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "house.md").write_text(NOTE)
    (shelf / "lease.pdf").write_bytes(PDF)
    with zipfile.ZipFile(shelf / "old.zip", "w") as archive:
        archive.writestr("inside.pdf", PDF)
        archive.writestr("memo.txt", "The keys are with the porter.")
    (tmp_path / "secret.txt").write_text("The safe opens with seven left turns.")
    call(house, "POST", "documents", paths=[str(shelf)], stream=False)
    yield shelf
    call(house, "DELETE", "documents", paths=[str(shelf)])


def get(house: House, path: str, language: str = "en", **query: Any) -> Any:
    with house.client() as client:
        headers = {"Accept-Language": language}
        return client.get(f"/ondol/v1/documents/{path}", params=query, headers=headers)


def view(house: House, source: object, **query: Any) -> dict[str, Any]:
    answer = get(house, "view", source=str(source), **query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def size(png: bytes) -> tuple[int, int]:
    """Of a PNG that is well formed."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, names, data = 8, [], b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        name, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        (crc,) = struct.unpack(">I", png[at + 8 + length : at + 12 + length])
        assert crc == zlib.crc32(name + content)
        names.append(name)
        data += content if name == b"IDAT" else b""
        at += 12 + length
    assert names == [b"IHDR", b"IDAT", b"IEND"]
    width, height = struct.unpack(">II", png[16:24])
    assert len(zlib.decompress(data)) == height * (3 * width + 1)
    return width, height


def test_document_is_shown_at_the_passage_with_what_stands_around_it(
    house: House, folder: Path
) -> None:
    start = NOTE.index(SECOND)
    found = view(house, folder / "house.md", start=start, end=start + len(SECOND))
    assert found["passage"] == {"text": SECOND, "start": start, "end": start + len(SECOND)}
    assert found["before"].rstrip().endswith(FIRST) and "oak" in found["after"]
    assert (found["title"], found["media_type"]) == ("House", "text/markdown")
    assert (found["file"], found["sensitivity"]) == ({"status": "same", "message": ""}, "private")
    assert (found["has_pages"], found["page"], found["highlight"]) == (False, None, [])
    assert (found["more_before"], found["more_after"]) == (False, False)


def test_offsets_are_those_of_the_file_whatever_is_between_its_passages(
    house: House, folder: Path
) -> None:
    long = "\n\n\n\n".join(f"## Part {n}\n\n{'Words fill it. ' * 40}End {n}." for n in range(30))
    (folder / "long.md").write_text(long)
    call(house, "POST", "documents", paths=[str(folder)], stream=False)
    start = long.index("End 20.")
    found = view(house, folder / "long.md", start=start, end=start + 7, context=500)
    assert found["passage"]["text"] == "End 20."
    assert found["before"].split() == long[start - len(found["before"]) : start].split()
    assert found["more_before"] and found["more_after"]
    assert len(found["before"]) < 3000
    whole = view(house, folder / "long.md", start=start, end=start + 7, context=200_000)
    assert not whole["more_before"] and not whole["more_after"]
    assert (whole["before"] + "End 20." + whole["after"]).split() == long.split()


def test_passage_beyond_the_end_shows_the_end(house: House, folder: Path) -> None:
    found = view(house, folder / "house.md", start=10**6, end=10**7)
    assert found["passage"]["text"] == "" and "oak" in found["before"]


def test_pdf_says_on_which_page_and_where_the_passage_is(house: House, folder: Path) -> None:
    begin = view(house, folder / "lease.pdf")
    text = begin["before"] + begin["passage"]["text"] + begin["after"]
    start = text.index("The rent")
    found = view(house, folder / "lease.pdf", start=start, end=len(text))
    assert (found["has_pages"], found["page"], found["pages"]) == (True, 2, 2)
    assert len(found["highlight"]) == 2
    assert set(found["highlight"][0]) == {"left", "top", "right", "bottom"}
    query = {"source": str(folder / "lease.pdf"), "start": start, "end": len(text), "width": 400}
    answer = get(house, "page", **query)
    assert answer.headers["content-type"] == "image/png"
    assert abs(size(answer.content)[0] - 400) <= 1
    other = get(house, "page", **query, page=1)
    assert size(other.content) == size(answer.content) and other.content != answer.content


def test_file_that_changed_is_said_and_its_text_is_still_there(house: House, folder: Path) -> None:
    (folder / "house.md").write_text("All new.")
    (folder / "lease.pdf").write_bytes(PDF.replace(b"%PDF-1.7", b"%PDF-1.6"))
    note, lease = view(house, folder / "house.md"), view(house, folder / "lease.pdf")
    assert note["file"]["status"] == lease["file"]["status"] == "changed"
    assert "has changed since" in note["file"]["message"] and FIRST in note["after"]
    assert not lease["has_pages"] and "rent" in lease["after"]
    answer = get(house, "page", source=str(folder / "lease.pdf"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "document_changed")
    korean = get(house, "page", "ko", source=str(folder / "lease.pdf"))
    assert "바뀌었습니다" in korean.json()["error"]["message"]


def test_file_that_is_gone_is_said_and_its_text_is_still_there(house: House, folder: Path) -> None:
    (folder / "lease.pdf").unlink()
    found = view(house, folder / "lease.pdf")
    assert (found["file"]["status"], found["has_pages"]) == ("missing", False)
    assert "rent" in found["after"] and found["page"] == 1
    answer = get(house, "page", source=str(folder / "lease.pdf"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "document_not_found")


def test_part_of_an_archive_is_text_and_says_so(house: House, folder: Path) -> None:
    memo = view(house, folder / "old.zip" / "memo.txt")
    assert memo["file"]["status"] == "part" and "porter" in memo["after"]
    assert "old.zip" in memo["file"]["message"]
    answer = get(house, "page", source=str(folder / "old.zip" / "inside.pdf"))
    assert answer.status_code == 422


def test_text_that_never_was_a_file_is_shown(house: House, folder: Path) -> None:
    house.parts.library.add_text("a note", "The hinge squeaks.")
    found = view(house, "a note")
    assert (found["file"]["status"], found["after"]) == ("none", "The hinge squeaks.")
    assert get(house, "page", source="a note").status_code == 422


def test_note_has_no_pages(house: House, folder: Path) -> None:
    answer = get(house, "page", source=str(folder / "house.md"))
    assert answer.status_code == 422 and "no pages" in answer.json()["error"]["message"]


def test_page_that_is_not_there_is_refused(house: House, folder: Path) -> None:
    answer = get(house, "page", source=str(folder / "lease.pdf"), page=9)
    assert answer.status_code == 422 and "no page 9" in answer.json()["error"]["message"]


@pytest.mark.parametrize("endpoint", ["view", "page"])
@pytest.mark.parametrize(
    "path",
    [
        "{shelf}/../secret.txt",
        "{shelf}/house.md/../../secret.txt",
        "{parent}/secret.txt",
        "{shelf}",
        "{shelf}/",
        "{shelf}/*",
        "{shelf}/house.md\0",
        "{shelf}/HOUSE.md",
        "file://{shelf}/house.md",
        "{shelf}/old.zip/../house.md",
        "' OR 1=1 --",
        "/etc/passwd",
        "/proc/self/environ",
    ],
)
def test_only_what_the_library_lists_can_be_seen(
    house: House, folder: Path, endpoint: str, path: str
) -> None:
    source = path.format(shelf=folder, parent=folder.parent)
    answer = get(house, endpoint, source=source)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "document_not_found")
    assert "safe" not in answer.text and "root:" not in answer.text


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "device"])
def test_file_that_was_swapped_for_another_is_not_opened_further(
    house: House, folder: Path, kind: str
) -> None:
    """Who may write where a document was must not see through it what they may not read."""
    lease = folder / "lease.pdf"
    lease.unlink()
    if kind == "link":
        other = folder.parent / "other.pdf"
        other.write_bytes(make_pdf([lines("The safe opens with seven left turns.")]))
        lease.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(lease)
    elif kind == "folder":
        lease.mkdir()
    else:
        lease.symlink_to("/dev/zero")
    found = view(house, lease)
    assert found["file"]["status"] == "changed" and not found["has_pages"]
    answer = get(house, "page", source=str(lease))
    assert answer.status_code in (409, 422) and b"PNG" not in answer.content


@pytest.mark.parametrize(
    "query",
    [
        {"start": -1},
        {"end": 2**40},
        {"context": 10**9},
        {"source": ""},
        {"source": "x" * 30_000},
    ],
    ids=str,
)
def test_wrong_parameter_is_named(house: House, query: dict[str, Any]) -> None:
    answer = get(house, "view", **{"source": "/a", **query})
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == next(iter(query))


@pytest.mark.parametrize("query", [{"width": 99}, {"width": 10_000}, {"page": 0}], ids=str)
def test_wrong_page_parameter_is_named(house: House, query: dict[str, Any]) -> None:
    answer = get(house, "page", source="/a", **query)
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == next(iter(query))


def test_foreign_web_page_cannot_look(house: House, folder: Path) -> None:
    with house.client(headers={"Origin": "https://evil.example"}) as client:
        answer = client.get(f"/ondol/v1/documents/view?source={folder / 'house.md'}")
    assert answer.status_code == 403 and FIRST not in answer.text


def test_every_match_is_given_with_its_words(house: House, folder: Path) -> None:
    (folder / "more.md").write_text("Services of the boiler cost 90.")
    call(house, "POST", "documents", paths=[str(folder)], stream=False)
    everywhere = get(house, "matches", query="boiler service").json()
    sources = {Path(one["source"]).name for one in everywhere["matches"]}
    assert {"house.md", "more.md"} <= sources and everywhere["total"] >= 2
    one = get(house, "matches", query="boiler service", source=str(folder / "more.md")).json()
    (match,) = one["matches"]
    words = [match["text"][a - match["start"] : b - match["start"]] for a, b in match["marks"]]
    assert words == ["Services", "boiler"] and one["total"] == 1


def test_match_in_korean_is_marked_without_its_particle(house: House, folder: Path) -> None:
    (folder / "집.md").write_text("보일러를 삼월에 점검했다.")
    call(house, "POST", "documents", paths=[str(folder)], stream=False)
    found = get(house, "matches", query="보일러는", source=str(folder / "집.md")).json()
    assert found["matches"][0]["marks"] == [[0, 3]]


def test_star_in_the_name_of_a_file_is_a_star(house: House, folder: Path) -> None:
    (folder / "h*.md").write_text("The boiler hums.")
    call(house, "POST", "documents", paths=[str(folder)], stream=False)
    found = get(house, "matches", query="boiler", source=str(folder / "h*.md")).json()
    assert [Path(one["source"]).name for one in found["matches"]] == ["h*.md"]


def test_file_of_a_conversation_is_seen_by_who_has_its_name_and_found_by_nobody_else(
    house: House, folder: Path
) -> None:
    with house.client() as client:
        chat = client.post("/ondol/v1/conversations", json={}).json()["id"]
        path = f"/ondol/v1/conversations/{chat}/attachments"
        client.post(f"{path}?name=gift.txt", content=b"The gift is a violin.")
        source = str(paths.attachments_dir() / chat / "gift.txt")
        assert view(house, source)["after"] == "The gift is a violin."
        here = get(house, "matches", query="violin gift", source=source).json()
        everywhere = get(house, "matches", query="violin gift").json()
        client.delete(f"/ondol/v1/conversations/{chat}")
    assert [one["text"] for one in here["matches"]] == ["The gift is a violin."]
    assert source not in [one["source"] for one in everywhere["matches"]]
    assert get(house, "view", source=source).status_code == 404


def test_matches_in_what_is_not_listed_are_not_found(house: House, folder: Path) -> None:
    answer = get(house, "matches", query="safe", source=str(folder.parent / "secret.txt"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "document_not_found")


def test_limit_keeps_the_best_and_counts_all(house: House, folder: Path) -> None:
    (folder / "more.md").write_text("The boiler is blue.")
    call(house, "POST", "documents", paths=[str(folder)], stream=False)
    found = get(house, "matches", query="boiler", limit=1).json()
    assert len(found["matches"]) == 1 < found["total"]
