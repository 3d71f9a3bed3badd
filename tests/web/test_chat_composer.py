"""Typing: input methods, drafts, commands, prompts, files, shortcuts and what a chat is answered
with."""

from __future__ import annotations

import base64
import re
import time
from typing import Any

from chatting import answers, ask, composer, finished, id_of, kept, plain_chat, say, slow, told
from house import CHAT, House
from playwright.sync_api import Page, expect
from visiting import Visitor

from ondol.engine.scripted import ScriptedEngine

DROP = """async ([name, type, content]) => {
  const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, {type}));
  const target = document.querySelector(".chat");
  for (const kind of ["dragenter", "dragover", "drop"]) {
    target.dispatchEvent(
      new DragEvent(kind, {dataTransfer: carried, bubbles: true, cancelable: true}));
  }
}"""
PASTE = """([name, content]) => {
  const carried = new DataTransfer();
  carried.items.add(new File([content], name, {type: "text/plain"}));
  document.activeElement.dispatchEvent(
    new ClipboardEvent("paste", {clipboardData: carried, bubbles: true, cancelable: true}));
}"""


def test_enter_while_a_syllable_is_composed_does_not_send(house: House, korean: Visitor) -> None:
    engine = told(house, "안녕하세요.")
    page = korean.visit(house)
    page.get_by_role("button", name="문서: 모든 문서").click()
    page.get_by_text("문서 없이", exact=True).click()
    page.keyboard.press("Escape")
    field = page.get_by_role("textbox", name="메시지", exact=True)
    field.focus()
    browser = korean.context.new_cdp_session(page)
    browser.send(
        "Input.imeSetComposition", {"text": "안녕", "selectionStart": 2, "selectionEnd": 2}
    )
    # What Chromium sends for Enter while an input method has the keyboard.
    for kind in ("rawKeyDown", "keyUp"):
        browser.send(
            "Input.dispatchKeyEvent",
            {"type": kind, "key": "Process", "code": "Enter", "windowsVirtualKeyCode": 229},
        )
    # And what others send: the key itself, with the composition still open.
    field.evaluate(
        """(field) => field.dispatchEvent(new KeyboardEvent("keydown",
          {key: "Enter", isComposing: true, bubbles: true, cancelable: true}))"""
    )
    browser.send("Input.insertText", {"text": "안녕"})
    # Safari: the composition has ended, only the code says so.
    field.evaluate(
        """(field) => field.dispatchEvent(new KeyboardEvent("keydown",
          {key: "Enter", keyCode: 229, bubbles: true, cancelable: true}))"""
    )
    expect(field).to_have_value("안녕")
    expect(page.locator(".bubble")).to_have_count(0)
    assert not engine.requests
    field.press("Enter")
    expect(page.locator(".bubble")).to_have_text("안녕")
    finished(page, "안녕하세요.")


def test_shift_enter_makes_a_line_and_the_field_grows(house: House, laptop: Visitor) -> None:
    told(house, "Two lines.")
    page = plain_chat(laptop, house)
    field = composer(page)
    field.fill("one")
    low = field.bounding_box()
    for line in range(5):
        field.press("Shift+Enter")
        page.keyboard.type(f"line {line}")
    high = field.bounding_box()
    assert low and high and high["height"] > low["height"] + 60
    field.press("Enter")
    expect(page.locator(".bubble")).to_have_text("one\nline 0\nline 1\nline 2\nline 3\nline 4")
    expect(field).to_have_value("")


def test_a_draft_survives_a_reload_here_and_is_there_on_another_device(
    house: House, laptop: Visitor, phone: Visitor
) -> None:
    page = plain_chat(laptop, house)
    with page.expect_response(lambda one: one.request.method == "PATCH"):
        composer(page).fill("not sent yet")
    page.reload()
    expect(composer(page)).to_have_value("not sent yet")
    other = phone.visit(house, f"chat/{id_of(page)}")
    expect(composer(other)).to_have_value("not sent yet")


def test_the_draft_of_a_new_chat_survives_a_reload_and_goes_when_it_is_sent(
    house: House, laptop: Visitor
) -> None:
    told(house, "Yes.")
    page = laptop.visit(house)
    composer(page).fill("a first thought")
    page.reload()
    expect(composer(page)).to_have_value("a first thought")
    composer(page).press("Enter")
    expect(page.locator(".bubble")).to_have_text("a first thought")
    expect(answers(page)).to_have_attribute("aria-busy", "false")
    page.reload()
    expect(page.locator(".bubble")).to_have_text("a first thought")
    expect(composer(page)).to_have_value("")
    page.goto(f"{house.url}/#/chat")
    expect(page.locator(".bubble")).to_have_count(0)
    expect(composer(page)).to_have_value("")


def test_what_could_not_be_sent_stays_in_the_field(house: House, laptop: Visitor) -> None:
    laptop.allowed.append("net::ERR")
    page = plain_chat(laptop, house)
    # A browser may remember that a module did not come: all of the page is to be here.
    page.wait_for_load_state("networkidle")
    laptop.context.set_offline(True)
    say(page, "Are you there?")
    expect(page.get_by_role("alert")).to_contain_text("What you wrote is still here.")
    expect(composer(page)).to_have_value("Are you there?")
    laptop.context.set_offline(False)
    told(house, "Yes, again.")
    composer(page).press("Enter")
    finished(page, "Yes, again.")


def test_a_slash_offers_commands_that_the_arrow_keys_choose(house: House, laptop: Visitor) -> None:
    page = plain_chat(laptop, house)
    composer(page).press("/")
    options = page.get_by_role("listbox", name="Commands").get_by_role("option")
    expect(options).to_have_count(7)
    composer(page).press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.type("he")
    expect(options).to_have_count(1)
    composer(page).press("Enter")
    expect(page.get_by_role("dialog", name="Shortcuts and commands")).to_be_visible()
    page.keyboard.press("Escape")
    expect(composer(page)).to_have_value("")


def test_commands_choose_documents_and_models_and_begin_anew(house: House, laptop: Visitor) -> None:
    told(house, "Hello.")
    page = plain_chat(laptop, house)
    ask(page, "Hello", "Hello.")
    say(page, "/docs all")
    expect(page.get_by_role("button", name="Documents: All documents")).to_be_visible()
    say(page, "/docs nowhere")
    expect(page.get_by_text("There is no collection “nowhere”.")).to_be_visible()
    say(page, f"/model {CHAT}")
    expect(page.get_by_role("button", name=f"Model: {CHAT}")).to_be_visible()
    say(page, "/model gpt-9")
    expect(page.get_by_text("There is no model “gpt-9” here.")).to_be_visible()
    changed = kept(house, page)["conversation"]
    assert (changed["mode"], changed["model"]) == ("documents", CHAT)
    say(page, "/new")
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()


def test_a_path_that_begins_with_a_slash_is_a_message(house: House, laptop: Visitor) -> None:
    told(house, "A path.")
    page = plain_chat(laptop, house)
    ask(page, "/etc/hosts what is this?", "A path.")
    expect(page.locator(".bubble")).to_have_text("/etc/hosts what is this?")


def test_instructions_go_to_the_model_with_every_message(house: House, laptop: Visitor) -> None:
    engine = told(house, "Arr.", "Arr again.")
    page = plain_chat(laptop, house)
    say(page, "/system Talk like a pirate")
    expect(page.get_by_text("The instructions are in force.")).to_be_visible()
    ask(page, "Hello", "Arr.")
    page.reload()
    ask(page, "And now?", "Arr again.")
    for request in engine.requests:
        assert request.messages[0].role == "system"
        assert "Talk like a pirate" in request.messages[0].content


def test_a_prompt_of_the_library_is_kept_inserted_and_erased(house: House, laptop: Visitor) -> None:
    page = plain_chat(laptop, house)
    page.get_by_role("button", name="Prompt library").click()
    library = page.get_by_role("dialog", name="Prompt library")
    library.get_by_role("button", name="New prompt").click()
    editor = page.get_by_role("dialog", name="New prompt")
    editor.get_by_label("Name").fill("Short mail")
    editor.get_by_label("Text").fill("Write a short mail to {{name}} about {{subject}}.")
    editor.get_by_role("button", name="Save").click()
    library.get_by_role("button", name="Insert").click()
    expect(composer(page)).to_have_value("Write a short mail to {{name}} about {{subject}}.")
    expect(composer(page)).to_be_focused()
    page.keyboard.type("Kim")
    expect(composer(page)).to_have_value("Write a short mail to Kim about {{subject}}.")
    composer(page).fill("/short")
    expect(page.get_by_role("option", name="/short-mail")).to_be_visible()
    composer(page).press("Enter")
    expect(composer(page)).to_have_value("Write a short mail to {{name}} about {{subject}}.")
    page.get_by_role("button", name="Prompt library").click()
    library.get_by_role("button", name="Delete “Short mail”").click()
    expect(library.get_by_text("No prompts yet.")).to_be_visible()


def drop(page: Page, name: str, content: bytes, media_type: str = "text/plain") -> None:
    page.evaluate(DROP, [name, media_type, base64.b64encode(content).decode()])


def test_a_dropped_file_is_read_for_this_chat_and_answers_from_it(
    house: House, laptop: Visitor
) -> None:
    told(house, "It leaves at nine [1].")
    page = laptop.visit(house)
    composer(page).fill("When does the ferry leave?")
    drop(page, "ferry.txt", b"The ferry to Jeju leaves at nine in the evening from pier four.")
    files = page.get_by_role("list", name="Files of this chat")
    expect(files.get_by_role("listitem")).to_contain_text("Read")
    expect(composer(page)).to_have_value("When does the ferry leave?")
    composer(page).press("Enter")
    finished(page, "It leaves at nine")
    expect(page.locator(".quote").first).to_contain_text("The ferry to Jeju leaves at nine")
    files.get_by_role("button", name="Remove ferry.txt from this chat").click()
    expect(files).to_have_count(0)
    assert kept(house, page)["conversation"]["attachments"] == []


def test_several_files_that_are_dropped_at_once_are_all_read(house: House, laptop: Visitor) -> None:
    page = plain_chat(laptop, house)
    for number in range(6):
        drop(page, f"note {number}.txt", f"The note number {number} is about ferries.".encode())
    files = page.get_by_role("list", name="Files of this chat").get_by_role("listitem")
    expect(files).to_have_count(6)
    expect(files.get_by_text(re.compile("^Read · "))).to_have_count(6)


def test_a_file_that_cannot_be_read_says_why(house: House, laptop: Visitor) -> None:
    page = plain_chat(laptop, house)
    drop(page, "program.exe", b"MZ\x90\x00" + bytes(200), "application/octet-stream")
    file = page.get_by_role("list", name="Files of this chat").get_by_role("listitem")
    expect(file).to_contain_text("Not read · ")
    reason = kept(house, page)["conversation"]["attachments"][0]["reason"]
    assert reason
    expect(file).to_contain_text(reason)


def test_a_file_that_is_too_large_says_so(house: House, laptop: Visitor) -> None:
    laptop.allowed.append("413")
    page = plain_chat(laptop, house)
    page.route(
        "**/attachments?*",
        lambda route: route.fulfill(
            status=413,
            json={"error": {"code": "upload_too_large", "message": "Too large: 1 GB.", "hint": ""}},
        ),
    )
    drop(page, "film.txt", b"frames")
    file = page.get_by_role("list", name="Files of this chat").get_by_role("listitem")
    expect(file).to_contain_text("Too large: 1 GB.")
    file.get_by_role("button", name="Remove film.txt from this chat").click()
    expect(file).to_have_count(0)


def test_a_pasted_file_is_attached_and_pasted_words_are_not(house: House, laptop: Visitor) -> None:
    page = plain_chat(laptop, house)
    composer(page).focus()
    page.evaluate(PASTE, ["note.txt", "The key is under the mat."])
    file = page.get_by_role("list", name="Files of this chat").get_by_role("listitem")
    expect(file).to_contain_text("note.txt")
    expect(file).to_contain_text("Read")
    expect(composer(page)).to_have_value("")


def test_the_pickers_choose_a_collection_no_documents_and_the_place(
    house: House, laptop: Visitor
) -> None:
    with house.client() as client:
        client.post("/ondol/v1/collections", json={"name": "garden"})
    told(house, "Hello.")
    page = plain_chat(laptop, house)
    page.get_by_role("button", name="Documents: No documents").click()
    panel = page.get_by_role("dialog", name="Documents: No documents")
    panel.get_by_text("garden", exact=True).click()
    expect(page.get_by_role("button", name="Documents: garden")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Where it is answered: Best place").click()
    page.get_by_text("Only here", exact=True).click()
    expect(page.get_by_role("button", name="Where it is answered: Only here")).to_be_visible()

    def told_the_server() -> Any:
        kept_now = kept(house, page)["conversation"]
        return kept_now["mode"], kept_now["filter"], kept_now["wanted"]

    # What was chosen right before the page is read again is told all the same, if a little later.
    page.reload()
    patience = time.monotonic() + 60
    while told_the_server() != ("documents", {"in": ["garden"]}, "here"):
        assert time.monotonic() < patience, told_the_server()
        time.sleep(0.2)
    page.reload()
    expect(page.get_by_role("button", name="Documents: garden")).to_be_visible()


def test_shortcuts_stop_search_list_and_help(house: House, laptop: Visitor) -> None:
    slow(house)
    page = plain_chat(laptop, house)
    say(page, "Count")
    expect(answers(page)).to_contain_text("word1")
    page.keyboard.press("Escape")
    expect(page.get_by_text("Stopped here.")).to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("searchbox", name="Search conversations")).to_be_focused()
    page.keyboard.press("Control+Shift+S")
    expect(page.get_by_role("searchbox", name="Search conversations")).to_have_count(0)
    page.keyboard.press("Shift+Escape")
    expect(composer(page)).to_be_focused()
    page.keyboard.type("?")
    expect(composer(page)).to_have_value("?")
    composer(page).fill("")
    page.get_by_role("log", name="Messages").focus()
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Shortcuts and commands")
    expect(sheet.get_by_text("New line")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Shift+O")
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()


def test_an_arrow_up_in_an_empty_field_changes_the_last_message(
    house: House, laptop: Visitor
) -> None:
    house.pool.engines[CHAT] = ScriptedEngine({"cats": "Meow.", "dogs": "Woof."}, model=CHAT)
    page = plain_chat(laptop, house)
    ask(page, "About cats", "Meow.")
    composer(page).press("ArrowUp")
    field = page.get_by_role("textbox", name="Edit your message")
    expect(field).to_be_focused()
    expect(field).to_have_value("About cats")


INSTALLED = """
const asked = window.matchMedia.bind(window);
window.matchMedia = (query) => query.includes("standalone") ? {matches: true} : asked(query);
"""
SHARED = """async () => {
  const waiting = await caches.open("ondol-shared");
  await waiting.put("/shared/text", new Response("What is this recipe?"));
  await waiting.put("/shared/file/0", new Response("Flour, water and salt.",
    {headers: {"X-Name": "recipe.txt", "Content-Type": "text/plain"}}));
}"""


def test_what_another_app_shared_waits_in_a_new_chat(house: House, phone: Visitor) -> None:
    phone.page.add_init_script(INSTALLED)
    page = plain_chat(phone, house)
    page.evaluate(SHARED)
    page.goto(f"{house.url}/#/chat?shared=1")
    expect(composer(page)).to_have_value("What is this recipe?")
    file = page.get_by_role("list", name="Files of this chat").get_by_role("listitem")
    expect(file).to_contain_text("recipe.txt")
    expect(file).to_contain_text("Read")
    expect(composer(page)).to_have_value("What is this recipe?")


def test_a_website_in_a_tab_cannot_plant_a_file_by_sharing(house: House, phone: Visitor) -> None:
    page = plain_chat(phone, house)
    page.evaluate(SHARED)
    page.goto(f"{house.url}/#/chat?shared=1")
    expect(composer(page)).to_have_value("What is this recipe?")
    expect(page.get_by_role("list", name="Files of this chat")).to_have_count(0)
    assert page.evaluate("caches.has('ondol-shared')") is False
