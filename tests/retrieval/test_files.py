"""Which files a walk gives, in which order, and what it never trips over."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.errors import DocumentError, DocumentNotFoundError
from ondol.retrieval.files import walk


def make(root: Path, *names: str, text: str = "text\n") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def found(root: Path, *paths: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in walk(paths or [root])]


def test_walk_is_recursive_and_sorted(tmp_path: Path) -> None:
    make(tmp_path, "b.md", "a/z.txt", "a/c/d.py", "ㄱ.txt", "README")
    assert found(tmp_path) == ["README", "a/c/d.py", "a/z.txt", "b.md", "ㄱ.txt"]


def test_walk_is_lazy_on_ten_thousand_files(tmp_path: Path) -> None:
    for folder in range(100):
        (tmp_path / f"{folder:03}").mkdir()
        for number in range(100):
            (tmp_path / f"{folder:03}" / f"{number:03}.txt").touch()
    files = walk([tmp_path])
    assert next(files).name == "000.txt"
    (tmp_path / "099" / "late.txt").touch()
    assert sum(1 for _ in files) == 10_000


def test_hidden_and_tool_folders_are_skipped(tmp_path: Path) -> None:
    make(tmp_path, "keep.txt", ".hidden.txt", ".git/config", ".venv/a.py", "node_modules/a/x.js")
    make(tmp_path, "__pycache__/a.py", "env/pyvenv.cfg", "env/lib/a.py", "target/CACHEDIR.TAG")
    make(tmp_path, "target/out.txt", "package-lock.json", "lib.min.js", "old.txt~", "~$word.docx")
    assert found(tmp_path) == ["keep.txt"]


def test_kinds_that_cannot_be_read_are_skipped_and_documents_among_them_reported(
    tmp_path: Path,
) -> None:
    make(tmp_path, "keep.txt", "photo.png", "letter.hwp")
    (tmp_path / "core").write_bytes(b"\x7fELF\0\0\0")
    skipped: list[tuple[str, str]] = []
    files = list(walk([tmp_path], on_skip=lambda path, why: skipped.append((path.name, why))))
    assert [file.name for file in files] == ["keep.txt"]
    assert [name for name, _ in skipped] == ["letter.hwp"]
    assert ".hwp" in skipped[0][1]


def test_a_named_file_is_given_whatever_it_is(tmp_path: Path) -> None:
    make(tmp_path, ".gitignore", text="*.txt\nout/\n")
    make(tmp_path, "secret.txt", ".hidden.md", "photo.png", "out/a.md")
    names = ["secret.txt", ".hidden.md", "photo.png"]
    assert found(tmp_path, *(tmp_path / name for name in names)) == names


def test_a_named_folder_is_entered_though_it_is_hidden_or_ignored(tmp_path: Path) -> None:
    make(tmp_path, ".git/HEAD", ".notes/a.md", "out/b.md", "out/c.log")
    make(tmp_path, ".gitignore", text="out/\n*.log\n")
    assert found(tmp_path, tmp_path / ".notes", tmp_path / "out") == [
        ".notes/a.md",
        "out/b.md",
        "out/c.log",
    ]


def test_a_file_named_twice_is_given_once(tmp_path: Path) -> None:
    make(tmp_path, "a/b.txt", "a/c.txt")
    assert found(tmp_path, tmp_path / "a/c.txt", tmp_path / "a", tmp_path) == ["a/c.txt", "a/b.txt"]


def test_rules_of_the_repository_above_a_folder_hold_in_it(tmp_path: Path) -> None:
    make(tmp_path, ".git/HEAD", "docs/a.md", "docs/b.log", "docs/deep/c.log")
    make(tmp_path, ".gitignore", text="*.log\n!/docs/deep/c.log\n")
    assert found(tmp_path, tmp_path / "docs") == ["docs/a.md", "docs/deep/c.log"]


def test_rules_above_a_repository_do_not_reach_into_it(tmp_path: Path) -> None:
    make(tmp_path, "repo/.git/HEAD", "repo/docs/a.md")
    make(tmp_path, ".gitignore", text="*.md\n")
    assert found(tmp_path, tmp_path / "repo") == ["repo/docs/a.md"]


@pytest.mark.parametrize("name", [".gitignore", ".ignore", ".ondolignore"])
def test_rule_files_are_obeyed(tmp_path: Path, name: str) -> None:
    make(tmp_path, "a.txt", "b.txt", "sub/b.txt")
    make(tmp_path, name, text="b.txt\r\n# a.txt\n")
    assert found(tmp_path) == ["a.txt"]


def test_ondolignore_overrides_gitignore(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "b.txt")
    make(tmp_path, ".gitignore", text="*.txt\n")
    make(tmp_path, ".ondolignore", text="!b.txt\n")
    assert found(tmp_path) == ["b.txt"]


def test_a_rule_file_that_cannot_be_used_is_no_obstacle(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "b/c.txt", "d/e.txt")
    (tmp_path / ".gitignore").write_bytes(b"\xff\xfe\x00[\n!\n[z-a]\n\\\nb/\n")
    (tmp_path / "d/.gitignore").mkdir()
    assert found(tmp_path) == ["a.txt", "d/e.txt"]


def test_links_are_followed_once_and_after_everything_else(tmp_path: Path) -> None:
    make(tmp_path, "root/real/a.txt", "outside/b.txt", "outside/c.txt")
    root = tmp_path / "root"
    (root / "1-loop").symlink_to(root)
    (root / "1-same").symlink_to(root / "real")
    (root / "1-up").symlink_to(tmp_path)
    (root / "1-file").symlink_to(root / "real/a.txt")
    (root / "2-folder").symlink_to(tmp_path / "outside")
    (root / "3-again").symlink_to(tmp_path / "outside")
    (root / "4-file").symlink_to(tmp_path / "outside/c.txt")
    (root / "5-nowhere").symlink_to(tmp_path / "nowhere")
    (tmp_path / "outside/loop").symlink_to(root)
    assert found(root) == ["real/a.txt", "2-folder/b.txt", "2-folder/c.txt"]


def test_links_that_are_ignored_are_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "root/a.txt", "outside/b.txt")
    make(tmp_path, "root/.gitignore", text="link\n")
    (tmp_path / "root/link").symlink_to(tmp_path / "outside")
    assert found(tmp_path / "root") == ["a.txt"]


def test_folders_nested_deeper_than_calls_may_be_are_walked(tmp_path: Path) -> None:
    depth = 1200
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        Path("deep.txt").write_text("x", encoding="utf-8")
    finally:
        os.chdir(here)
    assert [path.name for path in walk([tmp_path])] == ["deep.txt"]
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_special_files_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.txt"))
        assert found(tmp_path) == ["a.txt"]


def test_a_missing_path_is_reported_before_the_first_file(tmp_path: Path) -> None:
    make(tmp_path, "a.txt")
    with pytest.raises(DocumentNotFoundError, match="nowhere") as caught:
        walk([tmp_path, tmp_path / "nowhere"])
    assert caught.value.hint
    with pytest.raises(DocumentNotFoundError):
        walk([tmp_path / "a.txt" / "below"])
    with pytest.raises(DocumentNotFoundError):
        walk([Path("\0")])


def test_a_path_that_links_to_itself_is_reported(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to(tmp_path / "self")
    with pytest.raises(DocumentError, match="self"):
        walk([tmp_path / "self"])


def test_a_folder_that_vanishes_is_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "b/c.txt")
    files = walk([tmp_path])
    assert next(files).name == "a.txt"
    (tmp_path / "b/c.txt").unlink()
    (tmp_path / "b").rmdir()
    assert list(files) == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine may enter."""
    with TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


# Root may read everything, so the walk runs as somebody else where the tests run as root.
_AS_NOBODY = """
import os, sys
from pathlib import Path
from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval import gitignore
from ondol.retrieval.files import walk
t("documents.binary", name="")  # reads the catalogue while it may
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    for path in walk([Path(sys.argv[1])], on_skip=lambda path, why: print("skip", path.name, why)):
        print("file", path.name)
except DocumentError as error:
    print("error", error.message)
"""


def as_nobody(path: Path) -> list[str]:
    environment = {**os.environ, "ONDOL_LANGUAGE": "en"}
    done = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_folder_without_permission_is_reported_and_the_rest_is_walked(open_folder: Path) -> None:
    make(open_folder, "a.txt", "closed/b.txt", "d.txt")
    (open_folder / "closed").chmod(0o000)
    try:
        assert as_nobody(open_folder) == [
            "file a.txt",
            f"skip closed The folder {open_folder / 'closed'} may not be opened: "
            "permission denied.",
            "file d.txt",
        ]
        (line,) = as_nobody(open_folder / "closed")
        assert line.startswith("error The folder")
    finally:
        (open_folder / "closed").chmod(0o755)


_NAMES = st.sampled_from(["a", "b", "ab", "a.c", "b.n", "A", "한글", "a b", "x-y", "[a]", "a*"])
_TREE = st.lists(st.lists(_NAMES, min_size=1, max_size=4), min_size=1, max_size=14)
_PART = st.sampled_from(
    "a b ab *.n *.c * ** ? [ab] [!a] [^a] [a-b]* a* *b a.? x-y 한* 한글 A \\a \\* \\[a\\] [[]a] "
    "a\\_b a_b [a a** **b [[:alpha:]] ?.[cn] []a] [!]] [a\\-c] [--a] [[:x:]] [a-".split()
).map(lambda part: part.replace("_", " "))
_PATTERN = st.builds(
    lambda negation, anchor, parts, folder, tail: (
        negation + anchor + "/".join(parts) + folder + tail
    ),
    st.sampled_from(["", "", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(_PART, min_size=1, max_size=3),
    st.sampled_from(["", "", "/"]),
    st.sampled_from(["", "", "", " ", "\r", "\t"]),
)
_RULES = st.lists(st.one_of(_PATTERN, st.sampled_from(["", "#a", "\\#a", "!", "/", "\\!a", " "])))


def _plant(root: Path, tree: list[list[str]], rules: dict[tuple[str, ...], list[str]]) -> None:
    for parts in tree:
        path = root.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError:  # one path's file is another's folder
            continue
    for folder, lines in rules.items():
        target = root.joinpath(*folder)
        if target.is_dir():
            (target / ".gitignore").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _git_files(root: Path) -> list[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1"}
    git = ["git", "-C", str(root), "-c", "core.quotePath=false"]
    subprocess.run([*git, "init", "-q"], env=environment, check=True)
    command = [*git, "ls-files", "-co", "--exclude-standard", "-z"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True)
    names = done.stdout.decode("utf-8").split("\0")
    return sorted(name for name in names if name and not Path(name).name.startswith("."))


@settings(max_examples=int(os.environ.get("ONDOL_TEST_EXAMPLES", "60")), deadline=None)
@given(
    tree=_TREE,
    top=_RULES,
    nested=st.dictionaries(st.lists(_NAMES, min_size=1, max_size=2).map(tuple), _RULES, max_size=2),
)
def test_walk_gives_what_git_lists(
    tree: list[list[str]], top: list[str], nested: dict[tuple[str, ...], list[str]]
) -> None:
    with TemporaryDirectory() as name:
        root = Path(name)
        _plant(root, tree, {(): top, **nested})
        assert sorted(found(root)) == _git_files(root)
