"""The chat: asking, streaming, stopping, coming back, and what an answer looks like."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from chatting import answers, ask, composer, finished, id_of, kept, plain_chat, say, slow, told
from house import CHAT, House
from playwright.sync_api import Page, expect
from visiting import Visitor

from ondol.engine.scripted import ScriptedEngine

MARKDOWN = """Warm **floors**.

| when | cost |
|:--|--:|
| March | 120 |

```python
print("hello")
```

The rule $a^2+b^2=c^2$ and

$$\\frac{1}{2}$$

[A page](https://example.org/a) ![a stove](https://example.org/stove.png)
<script>alert(1)</script> <img src=x onerror="alert(2)"> [bad](javascript:alert(3)) costs $5 or $6
"""

# The last that was added is asked about first, and which that is depends on when a second ends:
# each of them is found by the embedder that hashes, too.
DOCUMENTS = {
    "house.txt": "The boiler was serviced in March by Ms Kim. It cost 120 euro.",
    "manual.txt": "Turn the valve left. The valve is under the stove.",
    "travel.txt": "The train to Busan leaves at nine on the fourth of May.",
}


@pytest.fixture(scope="module")
def library(shared_house: House, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Three documents in the library."""
    folder = tmp_path_factory.mktemp("documents")
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text, "utf-8")
    with shared_house.client() as client:
        made = client.post(
            "/ondol/v1/documents", json={"paths": [str(folder)], "stream": False}
        ).json()
    assert made["added"] == len(DOCUMENTS)


def test_a_question_is_answered_with_the_quotes_that_it_rests_on(
    house: House, laptop: Visitor, library: None, look: Callable[[Page, str], None]
) -> None:
    told(house, "In March [1].")
    page = laptop.visit(house)
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    ask(page, "When was the boiler serviced?", "In March")
    expect(page.locator(".quote").first).to_contain_text(
        "The boiler was serviced in March by Ms Kim."
    )
    expect(page.get_by_role("button", name="Open quote 1")).to_be_visible()
    expect(page.get_by_role("heading", name="When was the boiler serviced?")).to_be_visible()
    assert kept(house, page)["messages"][1]["content"] == "In March [1]."
    look(page, "chat")


def test_an_example_fits_the_library_and_asks_itself(
    house: House, laptop: Visitor, library: None
) -> None:
    told(house, "It says so [1].")
    page = laptop.visit(house)
    example = page.get_by_role("list", name="Try one of these").get_by_role("button").first
    expect(example).to_have_text(re.compile("Tell me about (boiler|valve|train)"))
    question = example.inner_text()
    example.click()
    expect(page.locator(".bubble")).to_have_text(question)
    finished(page, "It says so")
    expect(page.locator(".quote").first).to_be_visible()


def test_an_example_is_about_a_document_in_the_language_of_the_app(
    house: House, korean: Visitor, library: None, tmp_path: Path
) -> None:
    (tmp_path / "계약.txt").write_text(
        "보증금은 500만원이다. 보증금은 계약이 끝나면 돌려준다.\n", "utf-8"
    )
    with house.client() as client:
        client.post("/ondol/v1/documents", json={"paths": [str(tmp_path)], "stream": False})
    page = korean.visit(house)
    example = page.get_by_role("list", name="이렇게 물어보세요").get_by_role("button").first
    expect(example).to_have_text("보증금에 대해 알려 주세요")


def test_what_was_added_without_a_collection_is_called_as_on_its_page(
    house: House, laptop: Visitor, library: None
) -> None:
    page = laptop.visit(house)
    say(page, "/docs My documents")
    page.get_by_role("button", name="Documents: My documents").click()
    expect(page.get_by_role("checkbox", name="My documents")).to_be_checked()


def test_what_a_toast_says_leaves_the_send_button_free(house: House, laptop: Visitor) -> None:
    page = laptop.visit(house)
    say(page, "/docs none")
    toast = page.get_by_text("This chat uses no documents").last
    send = page.get_by_role("button", name="Send")
    expect(toast).to_be_visible()
    low, high = send.bounding_box(), page.locator(".toast").bounding_box()
    assert low and high and high["y"] + high["height"] < low["y"]


def test_an_answer_grows_while_it_is_said_and_stop_keeps_what_was_said(
    house: House, laptop: Visitor
) -> None:
    engine = slow(house)
    page = plain_chat(laptop, house)
    say(page, "Count")
    expect(answers(page)).to_contain_text("word3")
    expect(answers(page)).to_have_attribute("aria-busy", "true")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped here.")).to_be_visible()
    assert engine.closed.wait(10)
    message = kept(house, page)["messages"][1]
    assert message["status"] == "stopped"
    assert message["content"].startswith("word0 word1")


def test_a_stopped_answer_is_continued_where_it_ended(house: House, laptop: Visitor) -> None:
    slow(house)
    page = plain_chat(laptop, house)
    say(page, "Count")
    expect(answers(page)).to_contain_text("word2")
    composer(page).press("Escape")
    expect(page.get_by_text("Stopped here.")).to_be_visible()
    before = str(kept(house, page)["messages"][1]["content"])
    told(house, "and the rest.")
    page.get_by_role("button", name="Continue").click()
    finished(page, "and the rest.")
    content = str(kept(house, page)["messages"][1]["content"])
    assert content.startswith(before)
    assert content.endswith("and the rest.")
    expect(page.get_by_text("Stopped here.")).to_have_count(0)


def test_a_running_answer_survives_a_reload_and_is_whole_at_its_end(
    house: House, laptop: Visitor
) -> None:
    engine = slow(house, words=200)
    page = plain_chat(laptop, house)
    say(page, "Count to 200")
    expect(answers(page)).to_contain_text("word5")
    page.reload()
    expect(answers(page)).to_contain_text("word0 word1 word2")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    engine.gate.set()
    finished(page, "word199")
    shown = page.locator(".answer .prose").inner_text().split()
    assert shown == [f"word{number}" for number in range(200)]


def test_an_answer_goes_on_while_the_line_is_cut_and_is_caught_up_with(
    house: House, laptop: Visitor
) -> None:
    laptop.allowed.append("net::ERR")
    engine = slow(house, words=300)
    page = plain_chat(laptop, house)
    say(page, "Count")
    expect(answers(page)).to_contain_text("word5")
    laptop.context.set_offline(True)
    # A phone that wakes up finds its line dead without having been told.
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_text("The connection is lost.")).to_be_visible()
    engine.gate.set()
    laptop.context.set_offline(False)
    finished(page, "word299")
    shown = page.locator(".answer .prose").inner_text().split()
    assert shown == [f"word{number}" for number in range(300)]


def test_a_model_that_fails_says_why_and_can_be_asked_again(house: House, laptop: Visitor) -> None:
    house.pool.engines[CHAT] = ScriptedEngine(["one two three four"], model=CHAT, fail_after=2)
    page = plain_chat(laptop, house)
    say(page, "Hello")
    expect(page.get_by_role("alert")).to_contain_text("There is no answer:")
    expect(page.get_by_role("alert")).to_contain_text("as it was told to")
    told(house, "Now it works.")
    page.get_by_role("alert").get_by_role("button", name="Answer again").click()
    finished(page, "Now it works.")


def test_markdown_is_drawn_and_nothing_in_it_can_load_or_run(house: House, laptop: Visitor) -> None:
    told(house, MARKDOWN)
    page = plain_chat(laptop, house)
    ask(page, "Show me", "Warm floors")
    prose = page.locator(".answer .prose")
    expect(prose.locator("strong")).to_have_text("floors")
    expect(prose.get_by_role("table").get_by_role("cell", name="120")).to_have_css(
        "text-align", "right"
    )
    expect(prose.locator("code .hljs-string")).to_have_text('"hello"')
    expect(prose.locator("math")).to_have_count(2)
    expect(prose).to_contain_text("costs $5 or $6")
    expect(prose.get_by_role("link", name="A page")).to_have_attribute("rel", "noopener noreferrer")
    expect(prose.get_by_role("link", name="a stove")).to_have_attribute(
        "href", "https://example.org/stove.png"
    )
    expect(prose).to_contain_text("<script>alert(1)</script>")
    assert prose.locator("script, img, [onerror], a[href^=javascript]").count() == 0


def test_code_is_copied_as_it_is(house: House, laptop: Visitor) -> None:
    laptop.context.grant_permissions(["clipboard-read", "clipboard-write"])
    told(house, "Here:\n\n```python\nif a < b:\n    pass\n```\n")
    page = plain_chat(laptop, house)
    ask(page, "Code", "Here")
    page.get_by_role("button", name="Copy code").click()
    expect(page.get_by_role("button", name="Copied", exact=True)).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "if a < b:\n    pass"


def test_bold_before_a_korean_particle_is_bold(house: House, laptop: Visitor) -> None:
    told(house, '이것은 **"온돌"**은 아니고 **구들(돌)**이다.')
    page = plain_chat(laptop, house)
    ask(page, "온돌", "아니고")
    expect(page.locator(".prose strong")).to_have_text(['"온돌"', "구들(돌)"])


def test_sentences_are_announced_once_they_are_finished(house: House, laptop: Visitor) -> None:
    told(house, "The first sentence. The **second** one! And the rest")
    page = plain_chat(laptop, house)
    page.evaluate(
        """() => {
          window.heard = [];
          const region = document.querySelector("[data-announcement]");
          new MutationObserver((changes) => {
            for (const {addedNodes} of changes) {
              for (const added of addedNodes) window.heard.push(added.textContent);
            }
          }).observe(region, {childList: true, subtree: true});
        }"""
    )
    ask(page, "Talk", "And the rest")
    expect(page.locator("[data-announcement] p").last).to_have_text("And the rest")
    heard = " ".join(page.evaluate("window.heard"))
    assert heard.count("The first sentence.") == 1
    assert "second" in heard
    assert "**" not in heard


def test_a_phone_shows_the_chat_without_scrolling_sideways(
    house: House, phone: Visitor, look: Callable[[Page, str], None]
) -> None:
    told(house, "| " + " | ".join(f"column {n}" for n in range(12)) + " |\n|" + "--|" * 12 + "\n")
    page = plain_chat(phone, house)
    ask(page, "A wide table", "column 11")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    page.get_by_role("button", name="Show conversations").click()
    expect(page.get_by_role("dialog").get_by_role("link", name="A wide table")).to_be_visible()
    look(page, "chat-phone")
    assert id_of(page)
