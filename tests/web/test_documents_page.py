"""The Documents page, as its owner uses it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from house import House
from playwright.sync_api import Page, expect
from visiting import Visitor

LEASE = b"The rent of the flat in Mapo is due on the first day of every month."
BOILER = b"The boiler was serviced in March by Kim Heating."

Look = Callable[[Page, str], None]


def call(house: House, method: str, address: str, **body: Any) -> Any:
    with house.client() as client:
        return client.request(method, f"/ondol/v1/{address}", json=body or None).json()


def upload(house: House, name: str, content: bytes, **query: Any) -> dict[str, Any]:
    with house.client() as client:
        query["name"] = name
        return dict(client.post("/ondol/v1/uploads", params=query, content=content).json())


def file_of(name: str, content: bytes) -> Any:
    return {"name": name, "mimeType": "text/plain", "buffer": content}


@pytest.fixture(autouse=True)
def empty(house: House) -> Iterator[None]:
    """Every test begins and ends with nothing in the library."""
    yield
    for folder in call(house, "GET", "folders")["folders"]:
        call(house, "DELETE", "documents", paths=[folder["path"]])
    for one in call(house, "GET", "files")["files"]:
        call(house, "DELETE", "documents", paths=[one["source"]])
    for one in call(house, "GET", "collections")["collections"]:
        if one["name"] != "default":
            call(house, "DELETE", f"collections/{one['name']}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the owner's own place, with a file that cannot be read."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "Documents" / "Contracts"
    folder.mkdir(parents=True)
    (tmp_path / ".secret").mkdir()
    (folder / "lease.txt").write_bytes(LEASE)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    return folder


def row(page: Page, name: str) -> Any:
    return page.get_by_role("row").filter(has_text=name)


def test_nothing_yet_shows_how_to_begin(house: House, laptop: Visitor, look: Look) -> None:
    page = laptop.visit(house, "documents")
    expect(page.get_by_role("heading", name="Nothing here yet")).to_be_visible()
    look(page, "documents-empty")


def test_picked_files_are_read_and_say_what_became_of_them(
    house: House, laptop: Visitor, look: Look
) -> None:
    page = laptop.visit(house, "documents")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add files").first.click()
    chooser.value.set_files(
        [file_of("lease.txt", LEASE), file_of("boiler.txt", BOILER), file_of("bad.pdf", b"%PDF-x")]
    )
    reading = page.get_by_role("article").filter(has_text="3 files: done")
    expect(reading).to_contain_text("2 added")
    expect(reading).to_contain_text("bad.pdf")
    expect(row(page, "lease.txt")).to_contain_text("Read")
    bad = row(page, "bad.pdf")
    expect(bad).to_contain_text("Not read")
    reason = call(house, "GET", "files?status=failed")["files"][0]["reason"]
    expect(bad).to_contain_text(reason)
    look(page, "documents-added")
    reading.get_by_role("button", name="Dismiss").click()
    expect(reading).to_have_count(0)


def test_dropped_files_go_into_the_collection_that_is_shown(house: House, laptop: Visitor) -> None:
    call(house, "POST", "collections", name="work", sensitivity="trusted")
    page = laptop.visit(house, "documents/work")
    expect(page.get_by_role("heading", name="Files")).to_be_visible()
    transfer = page.evaluate_handle(
        """() => {
            const transfer = new DataTransfer();
            transfer.items.add(new File(["The rent is due."], "lease.txt", {type: "text/plain"}));
            return transfer;
        }"""
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
    expect(page.get_by_text("Drop to add to “work”")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect(row(page, "lease.txt")).to_contain_text("Trusted")
    (found,) = call(house, "GET", "files")["files"]
    assert (found["collection"], found["is_upload"]) == ("work", True)


def test_a_file_that_is_too_large_says_so_and_the_others_are_read(
    house: House, laptop: Visitor
) -> None:
    page = laptop.visit(house, "documents")
    expect(page.get_by_role("heading", name="Nothing here yet")).to_be_visible()
    large = house.parts.config["retrieval.max_file_mb"] * 1024 * 1024 + 1
    # Made in the page: nobody hands so much to a browser from outside.
    page.evaluate(
        """size => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new ArrayBuffer(size)], "film.txt"));
            transfer.items.add(new File(["The rent is due."], "lease.txt"));
            const event = new DragEvent("drop", {bubbles: true, cancelable: true});
            Object.defineProperty(event, "dataTransfer", {value: transfer});
            document.body.dispatchEvent(event);
        }""",
        large,
    )
    reading = page.get_by_role("article").filter(has_text="2 files: done")
    expect(reading).to_contain_text("film.txt Larger than 64 MB")
    expect(row(page, "lease.txt")).to_be_visible()


def test_a_server_that_ends_in_the_middle_is_said(house: House, laptop: Visitor) -> None:
    laptop.allowed += ["503", "Failed to load resource"]
    page = laptop.visit(house, "documents")
    page.route("**/ondol/v1/uploads?*", lambda route: route.abort())
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add files").first.click()
    chooser.value.set_files([file_of("lease.txt", LEASE)])
    expect(page.get_by_role("article")).to_contain_text("That did not work")
    expect(page.get_by_role("article")).to_contain_text("Ondol's server does not answer.")


def test_a_folder_is_found_added_and_followed(
    house: House, laptop: Visitor, folder: Path, look: Look
) -> None:
    page = laptop.visit(house, "documents")
    page.get_by_role("button", name="Add a folder").first.click()
    dialog = page.get_by_role("dialog", name="Add a folder")
    dialog.get_by_role("button", name="Documents").click()
    dialog.get_by_role("button", name="Contracts").click()
    expect(dialog).to_contain_text("2 files directly in this folder")
    expect(dialog).not_to_contain_text(".secret")
    look(page, "documents-browse")
    dialog.get_by_role("button", name="Add “Contracts”").click()
    expect(page.get_by_role("article").filter(has_text="Contracts: done")).to_contain_text(
        "1 added"
    )
    followed = page.get_by_role("listitem").filter(has_text="Contracts")
    expect(followed).to_contain_text("1 document · 1 not read")
    switch = followed.get_by_role("switch", name="Follow")
    expect(switch).to_be_checked()
    with page.expect_response("**/ondol/v1/folders"):
        followed.locator(".switch").click()
    expect(switch).not_to_be_checked()
    assert not call(house, "GET", "folders")["folders"][0]["watch"]


def test_a_folder_is_found_by_its_path(house: House, laptop: Visitor, folder: Path) -> None:
    laptop.allowed.append("422")
    page = laptop.visit(house, "documents")
    page.get_by_role("button", name="Add a folder").first.click()
    dialog = page.get_by_role("dialog", name="Add a folder")
    path = dialog.get_by_role("textbox", name="Path of the folder")
    expect(path).to_have_value(re.compile("."))
    path.fill(str(folder / "nowhere"))
    path.press("Enter")
    expect(dialog.get_by_role("alert")).to_be_visible()
    path.fill(str(folder))
    path.press("Enter")
    expect(dialog).to_contain_text("2 files directly in this folder")
    expect(dialog.get_by_role("alert")).to_have_count(0)
    expect(dialog.get_by_role("button", name=f"Add “{folder.name}”")).to_be_enabled()


def test_from_elsewhere_a_folder_is_sent_instead(house: House, phone: Visitor) -> None:
    phone.allowed.append("403")
    page = phone.visit(house, "documents")
    refusal = {"error": {"code": "forbidden", "message": "Not here.", "hint": ""}}
    page.route(
        "**/ondol/v1/browse?*",
        lambda route: route.fulfill(status=403, body=json.dumps(refusal)),
    )
    page.get_by_role("button", name="Add a folder").first.click()
    dialog = page.get_by_role("dialog", name="Add a folder")
    expect(dialog).to_contain_text("You are not at the machine")
    expect(dialog.get_by_role("button", name="Choose a folder to send")).to_be_visible()


def test_sync_now_follows_the_disk(house: House, laptop: Visitor, folder: Path) -> None:
    call(house, "POST", "folders", path=str(folder), stream=False)
    (folder / "new.txt").write_bytes(BOILER)
    (folder / "lease.txt").unlink()
    page = laptop.visit(house, "documents")
    page.get_by_role("button", name="Sync now").click()
    synced = page.get_by_role("article").filter(has_text="Synced")
    expect(synced).to_contain_text("1 added · 1 removed")
    expect(row(page, "new.txt")).to_be_visible()
    expect(row(page, "lease.txt")).to_have_count(0)


def test_a_folder_is_let_go_and_its_documents_stay(
    house: House, laptop: Visitor, folder: Path
) -> None:
    call(house, "POST", "folders", path=str(folder), stream=False)
    page = laptop.visit(house, "documents")
    page.get_by_role("button", name="More for the folder Contracts").click()
    page.get_by_role("menuitem", name="Let this folder go").click()
    page.get_by_role("dialog").get_by_role("button", name="Let it go").click()
    expect(page.get_by_role("heading", name="Folders")).to_have_count(0)
    expect(row(page, "lease.txt")).to_be_visible()


def test_a_collection_is_made_and_loosened_only_after_asking(
    house: House, laptop: Visitor, look: Look
) -> None:
    upload(house, "lease.txt", LEASE)
    page = laptop.visit(house, "documents")
    page.get_by_role("button", name="New collection").click()
    dialog = page.get_by_role("dialog", name="New collection")
    expect(dialog.get_by_role("radio", name="Private")).to_be_checked()
    dialog.get_by_label("Name").fill("work")
    dialog.get_by_role("button", name="Create").click()
    expect(page.get_by_role("link", name="work")).to_have_attribute("aria-current", "true")
    upload(house, "plan.txt", BOILER, collection="work")
    page.reload()
    page.get_by_role("button", name="More for the collection work").click()
    page.get_by_role("menuitem", name="Change label").click()
    dialog = page.get_by_role("dialog", name="Label of work")
    expect(dialog.get_by_role("button", name="Save")).to_be_disabled()
    dialog.get_by_text("May go anywhere").click()
    expect(dialog.get_by_role("alert")).to_contain_text("1 document may then travel further")
    look(page, "documents-loosen")
    dialog.get_by_role("button", name="Yes, let it travel further").click()
    expect(page.get_by_role("link", name="work")).to_contain_text("Public")
    assert {
        one["name"]: one["sensitivity"] for one in call(house, "GET", "collections")["collections"]
    } == {"default": "private", "work": "public"}


def test_a_collection_is_renamed_and_an_empty_one_deleted(house: House, laptop: Visitor) -> None:
    laptop.allowed.append("422")
    upload(house, "lease.txt", LEASE)
    call(house, "POST", "collections", name="work")
    page = laptop.visit(house, "documents/work")
    page.get_by_role("button", name="More for the collection work").click()
    page.get_by_role("menuitem", name="Rename").click()
    dialog = page.get_by_role("dialog", name="Rename")
    dialog.get_by_label("Name").fill("default")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("default")
    dialog.get_by_label("Name").fill("일")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name="일")).to_have_attribute("aria-current", "true")
    page.get_by_role("button", name="More for the collection 일").click()
    page.get_by_role("menuitem", name="Delete collection").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name="일")).to_have_count(0)
    expect(row(page, "lease.txt")).to_be_visible()


def test_one_file_is_made_stricter_than_its_collection(house: House, laptop: Visitor) -> None:
    call(house, "POST", "collections", name="open", sensitivity="public")
    upload(house, "lease.txt", LEASE, collection="open")
    page = laptop.visit(house, "documents")
    expect(row(page, "lease.txt")).to_contain_text("Public")
    page.get_by_role("button", name="More for lease.txt").click()
    page.get_by_role("menuitem", name="Change label").click()
    dialog = page.get_by_role("dialog", name="Label of lease.txt")
    dialog.get_by_text("Never leaves this machine").click()
    expect(dialog.get_by_role("alert")).to_have_count(0)
    dialog.get_by_role("button", name="Save").click()
    expect(row(page, "lease.txt")).to_contain_text("Private")
    assert call(house, "GET", "files")["files"][0]["sensitivity"] == "private"


def test_files_are_found_by_the_words_of_the_search_box(house: House, laptop: Visitor) -> None:
    laptop.allowed.append("422")
    upload(house, "lease.txt", LEASE, collection="work")
    upload(house, "boiler.md", BOILER)
    page = laptop.visit(house, "documents")
    box = page.get_by_role("searchbox", name="Search files")
    box.fill("type:md")
    expect(row(page, "lease.txt")).to_have_count(0)
    expect(row(page, "boiler.md")).to_be_visible()
    box.fill("in:work lease")
    expect(row(page, "lease.txt")).to_be_visible()
    expect(row(page, "boiler.md")).to_have_count(0)
    box.fill("after:someday")
    expect(page.get_by_role("alert")).to_contain_text("someday")
    box.fill("nothing like this")
    expect(page.get_by_text("No file is like that.")).to_be_visible()


def test_a_long_list_comes_page_by_page(house: House, laptop: Visitor, tmp_path: Path) -> None:
    letters = tmp_path / "letters"
    letters.mkdir()
    for number in range(103):
        (letters / f"{number:03}.txt").write_text(f"Letter number {number} is about the garden.")
    call(house, "POST", "folders", path=str(letters), stream=False)
    page = laptop.visit(house, "documents")
    expect(page.get_by_role("row")).to_have_count(101)
    page.get_by_role("button", name="Show more (3 left)").click()
    expect(page.get_by_role("row")).to_have_count(104)


def test_forgetting_says_what_goes_and_gives_a_receipt(
    house: House, laptop: Visitor, look: Look
) -> None:
    upload(house, "boiler.txt", BOILER)
    kept = Path(upload(house, "lease.txt", LEASE)["source"])
    laptop.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = laptop.visit(house, "documents")
    page.get_by_role("button", name="More for lease.txt").click()
    page.get_by_role("menuitem", name="Forget").click()
    dialog = page.get_by_role("dialog", name="Forget lease.txt?")
    expect(dialog).to_contain_text("1 document will be forgotten.")
    expect(dialog).to_contain_text("Your own files on disk stay")
    assert kept.exists()
    dialog.get_by_role("button", name="Forget for good").click()
    receipt = page.get_by_role("dialog", name="Receipt")
    expect(receipt).to_contain_text("lease.txt is forgotten")
    expect(receipt).to_contain_text("Uploaded files erased")
    expect(receipt).to_contain_text("No byte of it is left")
    look(page, "documents-receipt")
    assert not kept.exists()
    receipt.get_by_role("button", name="Copy the receipt").click()
    expect(receipt.get_by_role("button", name="Copied")).to_be_visible()
    assert "Documents: 1" in page.evaluate("navigator.clipboard.readText()")
    with page.expect_download() as download:
        receipt.get_by_role("button", name="Download").click()
    told = json.loads(Path(download.value.path()).read_text("utf-8"))
    assert (told["documents"], told["uploads"], told["is_erased"]) == (1, 1, True)
    receipt.get_by_role("button", name="Done").click()
    expect(row(page, "lease.txt")).to_have_count(0)
    expect(row(page, "boiler.txt")).to_be_visible()


def test_forgetting_can_be_thought_better_of(house: House, laptop: Visitor) -> None:
    upload(house, "lease.txt", LEASE)
    page = laptop.visit(house, "documents")
    page.get_by_role("button", name="More for lease.txt").click()
    page.get_by_role("menuitem", name="Forget").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert call(house, "GET", "files")["total"] == 1


def test_a_whole_collection_is_forgotten(house: House, laptop: Visitor, folder: Path) -> None:
    call(house, "POST", "folders", path=str(folder), collection="work", stream=False)
    upload(house, "boiler.txt", BOILER)
    page = laptop.visit(house, "documents")
    page.get_by_role("button", name="More for the collection work").click()
    page.get_by_role("menuitem", name="Forget everything in it").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The collection goes too.")
    dialog.get_by_role("button", name="Forget for good").click()
    expect(page.get_by_role("dialog", name="Receipt")).to_contain_text("work")
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("link", name="work")).to_have_count(0)
    assert (folder / "lease.txt").exists()


def test_a_phone_shows_files_as_cards_without_scrolling_sideways(
    house: House, phone: Visitor, look: Look
) -> None:
    upload(house, "a very long name of a file that somebody scanned on a Tuesday.txt", LEASE)
    page = phone.visit(house, "documents")
    expect(row(page, "a very long name")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    look(page, "documents-phone")


def test_korean_words_search_too(house: House, korean: Visitor, look: Look) -> None:
    upload(house, "임대차 계약서.txt", "월세는 매월 1일에 낸다.".encode(), collection="업무")
    upload(house, "boiler.txt", BOILER)
    page = korean.visit(house, "documents")
    page.get_by_role("searchbox", name="파일 찾기").fill("모음:업무 계약서")
    expect(row(page, "boiler.txt")).to_have_count(0)
    expect(row(page, "임대차 계약서.txt")).to_contain_text("비공개")
    look(page, "documents-korean")
