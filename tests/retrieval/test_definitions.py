"""Code is cut where its definitions begin, and every chunk says in which one it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.retrieval import chunking
from ondol.retrieval.definitions import sections
from ondol.retrieval.loaders import load

PYTHON = '''import os

# 방을 데운다
@cache
class Boiler:
    """온돌 보일러"""

    def start(self):
        def spark():
            return 1
        return spark()

    async def stop(self): return 2

    limit = 3

try:
    fast = True
except ImportError:
    def slow():
        pass

print(1)
'''


def named(text: str, kind: str) -> list[tuple[str, str]]:
    """Name and first line of every section."""
    return [(name, text[start:].split("\n", 1)[0].strip()) for start, name in sections(text, kind)]


def test_python_is_cut_at_classes_and_functions_with_their_comments() -> None:
    assert named(PYTHON, "text/x-python") == [
        ("", "import os"),
        ("class Boiler", "# 방을 데운다"),
        ("class Boiler › def start", "def start(self):"),
        ("class Boiler › def stop", "async def stop(self): return 2"),
        ("class Boiler", ""),
        ("", ""),
        ("def slow", "def slow():"),
        ("", ""),
    ]


def test_python_that_cannot_be_parsed_is_still_cut() -> None:
    text = 'class A:\n    def b(self):\n        print "old"\n\ndef c():\n    pass\n'
    assert named(text, "text/x-python") == [
        ("class A", "class A:"),
        ("class A › def b", "def b(self):"),
        ("def c", "def c():"),
    ]


@pytest.mark.parametrize(
    ("kind", "text", "names"),
    [
        (
            "text/x-go",
            "package main\n\n// 불\nfunc (b *Boiler) Start() error {\n\tif x {\n\t}\n}\n\n"
            "type Room struct {\n\tid int\n}\n",
            ["", "func Start", "type Room"],
        ),
        (
            "text/x-rust",
            "impl Heat for Boiler {\n    pub async fn start(&self)\n    where\n        A: B,\n"
            "    {\n        go();\n    }\n}\n",
            ["impl Heat for Boiler", "impl Heat for Boiler › fn start"],
        ),
        (
            "text/x-java",
            "/**\n * 보일러\n */\npublic class Boiler {\n    int p;\n    Boiler(int p) {\n"
            "        this.p = p;\n        run(p);\n    }\n\n    public int get(int a,\n"
            "                   int b) {\n        return a;\n    }\n}\n",
            ["class Boiler", "class Boiler › Boiler()", "class Boiler › get()"],
        ),
        (
            "text/x-c",
            "#include <a.h>\nint helper(void);\n\nstatic struct b *start(int x)\n{\n#ifdef A\n"
            "    helper();\n#endif\n}\n",
            ["", "start()"],
        ),
        (
            "text/x-typescript",
            "export class Boiler {\n  async start({ a }: P): Promise<void> {\n    if (a) {\n"
            "    }\n  }\n}\nexport const stop = async (x: A) => {\n  go(() => {\n  });\n};\n"
            "main();\n",
            ["class Boiler", "class Boiler › start", "stop", ""],
        ),
        (
            "text/x-ruby",
            "module Heat\n  class Boiler\n    def start\n      1\n    end\n  end\nend\n",
            ["module Heat", "module Heat › class Boiler", "module Heat › class Boiler › def start"],
        ),
        ("text/x-shell", "set -e\nstart() {\n  echo hi\n}\nstart\n", ["", "start", ""]),
        (
            "text/x-sql",
            "CREATE TABLE IF NOT EXISTS 방 (\n  id INT\n);\ncreate view v as select 1;\n",
            ["TABLE 방", "view v"],
        ),
        ("text/x-ini", "; 주석\n[Unit]\n[Service]\nA=b\n", ["Unit", "Service"]),
        ("text/x-python", '"""말"""\ndef f():\n    pass\n', ["", "def f"]),
        ("text/x-toml", "a = 1\n[tool.ruff]\nb = 2\n[[x]]\n", ["", "tool.ruff", "x"]),
        ("text/x-haskell", "go :: Int -> Int\ngo x = x\n", ["go"]),
        ("text/x-clojure", "(ns a)\n(defn start [x]\n  x)\n", ["", "defn start"]),
        ("text/x-make", "all: a\n\techo a\nb:\n\techo b\n", ["all", "b"]),
        ("text/x-log", "class of 2026\nfunction started\n", [""]),
    ],
)
def test_other_languages_are_cut_by_the_look_of_their_lines(
    kind: str, text: str, names: list[str]
) -> None:
    assert [name for _, name in sections(text, kind)] == names


def test_chunks_begin_at_definitions_and_keep_the_offsets_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "boiler.py"
    path.write_bytes(PYTHON.replace("\n", "\r\n").encode())
    document = load(path, max_bytes=1_000_000)
    chunks = [passage.chunk for passage in chunking.chunk(document)]
    assert [chunk.heading for chunk in chunks] == [
        "", "class Boiler", "class Boiler › def start", "class Boiler › def stop", "class Boiler",
        "", "def slow", "",
    ]  # fmt: skip
    assert chunks[2].text.startswith("def start(self):\r\n")
    assert all(document.text[chunk.start : chunk.end] == chunk.text for chunk in chunks)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 50_000,
        "-" * 200_000 + "1",
        "a" + ".b" * 100_000,
        "x = '\\d'\n",
        "a\0b",
        "if a:\n" * 200,
    ],
)
def test_hostile_code_is_one_section_or_more(text: str) -> None:
    assert sections(text, "text/x-python")[0][0] == 0


_PIECES = st.sampled_from(
    "class A|def b|fn c|func (x) d(|int e(int x)|{|}|(|)|;|  |    |\t|\n|\r\n|\x0c|# 주석|/*|*/|@x|"
    "CREATE TABLE t|[s]|f :: Int|g = (a) =>|\u2028".split("|")
)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(_PIECES, max_size=60).map("".join),
    st.sampled_from("python c java typescript go haskell sql toml ruby shell".split()),
)
def test_sections_are_in_order_and_chunks_lose_no_word(text: str, language: str) -> None:
    found = sections(text, f"text/x-{language}")
    starts = [start for start, _ in found]
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert starts[-1] <= len(text)
    document = chunking.Document("a", text, f"text/x-{language}")
    chunks = [passage.chunk for passage in chunking.chunk(document)]
    assert "".join("".join(c.text for c in chunks).split()) == "".join(text.split())
