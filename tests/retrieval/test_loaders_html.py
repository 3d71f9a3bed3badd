"""HTML: what a reader would read, in order, in whatever encoding."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.errors import DocumentError
from ondol.retrieval.loaders import html, load
from ondol.types import Document


def read(tmp_path: Path, markup: str | bytes, name: str = "page.html") -> Document:
    path = tmp_path / name
    path.write_bytes(markup.encode("utf-8") if isinstance(markup, str) else markup)
    return load(path, max_bytes=50_000_000)


def text_of(markup: str) -> str:
    return html.parse(markup.encode("utf-8"), "page.html").text


def test_a_page_becomes_headings_paragraphs_lists_and_rows(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        """<!doctype html><html><head><title>온돌 &amp; 보일러</title><style>p{}</style></head>
        <body><nav><a href="/">메뉴</a></nav><header><h1>사용  설명서</h1></header>
        <p>첫 <b>문단</b>입니다.&nbsp;줄을
        바꿔도 한 문단.</p><p>1.2&nbsp;bar &lt;이상&gt;</p>
        <ul><li>하나<li><p>둘</p><ul><li>둘의 하나</ul></ul>
        <table><caption>부품</caption><tr><th>이름<th>값<tr><td>펌프<br>대<td><p>3</p></table>
        <script>bad()</script><footer>회사 소개</footer></body></html>""",
    )
    assert document.title == "온돌 & 보일러"
    assert document.text == (
        "# 사용 설명서\n\n첫 문단입니다. 줄을 바꿔도 한 문단.\n\n1.2 bar <이상>\n\n"
        "- 하나\n- 둘\n  - 둘의 하나\n\n부품\n\n| 이름 | 값 |\n| 펌프 대 | 3 |"
    )


@pytest.mark.parametrize(
    ("encoding", "head"),
    [
        ("cp949", '<meta charset="euc-kr">'),
        ("cp949", '<META http-equiv=Content-Type content="text/html; charset=ks_c_5601-1987">'),
        ("cp949", ""),
        ("utf-8", '<meta charset="euc-kr">'),  # says one thing and is another
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", ""),
        ("cp932", "<meta charset=shift_jis>"),
    ],
)
def test_the_page_is_read_in_its_own_encoding(tmp_path: Path, encoding: str, head: str) -> None:
    sentence = "日本の温泉です。" if encoding == "cp932" else "구들장 밑으로 열기가 지나갑니다."
    markup = f"<html><head>{head}<title>제목</title></head><body><p>{sentence}</p></body></html>"
    if encoding == "cp932":
        markup = markup.replace("제목", "題名")
    assert read(tmp_path, markup.encode(encoding)).text == sentence


def test_only_the_main_part_is_read_where_it_holds_the_text() -> None:
    article = "<p>" + "A sentence of the article. " * 10 + "</p>"
    assert text_of(f"<div>Related links</div><main>{article}</main>").startswith("A sentence")
    assert text_of(f"<main>Loading</main>{article}").startswith("Loading")


def test_what_a_reader_does_not_see_is_left_out() -> None:
    assert text_of(
        "<p>seen</p><p hidden>a</p><p style='display: none'>b</p><template>c</template>"
        "<noscript>d</noscript><div role=navigation>e</div><select><option>f</select>"
        "<!-- g --><svg><text>h</text></svg><textarea>i</textarea>"
    ) == ("seen")


def test_a_page_that_is_all_navigation_is_still_read() -> None:
    assert text_of("<nav><p>Only this</p></nav>") == "Only this"


def test_line_breaks_and_preformatted_text_are_kept() -> None:
    assert text_of("<p>a<br>b<br><br>c</p><pre>x\n  y\n</pre><p>z") == "a\nb\n\nc\n\nx\n  y\n\nz"


def test_tables_that_lay_out_a_page_are_no_rows() -> None:
    markup = "<table><tr><td><h1>제목</h1><p>본문</p></td><td><p>옆</p></td></tr></table>"
    assert text_of(markup) == "# 제목\n\n본문\n\n옆"


def test_invisible_characters_do_not_split_words() -> None:
    assert text_of("<p>난&shy;방 heat&#8203;ing</p>") == "난방 heating"


@pytest.mark.parametrize(
    ("markup", "title"),
    [
        ("<title> </title><meta property='og:title' content='og 제목'><p>x", "og 제목"),
        ("<h2>첫째 제목</h2><p>x", "첫째 제목"),
        ("<svg><title>icon</title></svg><p>x", "page"),
    ],
)
def test_titles_without_a_title_element(tmp_path: Path, markup: str, title: str) -> None:
    assert read(tmp_path, markup).title == title


def test_a_page_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no text"):
        read(tmp_path, "<html><body><div id=app></div><script>run()</script></body></html>")
    assert read(tmp_path, "").text == ""


@pytest.mark.parametrize(
    "markup",
    [
        "<div>" * 200_000 + "x",
        "<b a=1>" * 200_000,
        "<i></b>" * 200_000,
        "<body a=1>" * 50_000,
        "<p " + " ".join(f"a{n}=1" for n in range(50_000)) + ">x",
    ],
    ids=["nesting", "formatting", "unclosed", "bodies", "attributes"],
)
def test_pages_built_to_take_for_ever_are_refused(tmp_path: Path, markup: str) -> None:
    with pytest.raises(DocumentError, match="nested too deeply"):
        read(tmp_path, markup)


def test_a_long_page_of_ordinary_markup_is_read(tmp_path: Path) -> None:
    markup = "<ul>" + "<li><a href='x?a=1&b=2'><b>항목</b></a><br>설명" * 20_000 + "</ul>"
    assert read(tmp_path, markup).text.count("- 항목") == 20_000


_FRAGMENT = st.sampled_from(
    "<p> </p> <table> <tr> <td> </table> <ul> <li> </ul> <pre> </pre> <b> </b> <h1> </h1> <br> "
    "<main> </main> <template> <svg> </svg> <select> <![CDATA[ ]]> <!-- --> <body> &amp; &#0; 글 "
    "<frameset> <a> </a> <caption> <col> <title> </title>".split()
)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(_FRAGMENT, st.text(max_size=5)), max_size=40))
def test_any_markup_ends_in_text_or_one_sentence(parts: list[str]) -> None:
    try:
        extract = html.parse("".join(parts).encode("utf-8", "surrogatepass"), "page.html")
    except DocumentError:
        return
    assert extract.text == extract.text.strip("\n")
    extract.text.encode("utf-8")
