"""What was forgotten is in no byte of any file, does not come back, and takes nothing along."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from ondol import database, encryption, erasing, keys, paths
from ondol.errors import DocumentNotFoundError
from ondol.retrieval.embedders import Embedders
from ondol.retrieval.filters import Filter
from ondol.retrieval.library import Library
from ondol.retrieval.reembedding import Reembedding
from tests.retrieval.fake_embedder import FakeEmbedder

LETTERS = "bcdfghjklmnpqrstvwxz"
# The index shares the beginnings of words that stand next to each other.
TAIL = 4


class Markers:
    """Words that stand nowhere else, and are never one another's beginning."""

    def __init__(self, seed: int) -> None:
        self._chooser = random.Random(seed)
        self.all: list[str] = []

    def __call__(self) -> str:
        self.all.append("".join(self._chooser.choices(LETTERS, k=20)))
        return self.all[-1]


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def found_in(folder: Path, needles: Iterable[bytes]) -> set[bytes]:
    """Those of ``needles`` that stand in any file."""
    data = bytes_of(folder)
    return {needle for needle in needles if any(needle in raw for raw in data.values())}


def tails(words: Iterable[str]) -> set[bytes]:
    return {word[TAIL:].encode() for word in words}


def write(folder: Path, markers: Markers, count: int, *, paragraphs: int = 4) -> list[Path]:
    """Documents with markers in the text, the title, the headings and the name."""
    files = []
    for _ in range(count):
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{markers()}.md"
        parts = [f"# {markers()}\n"]
        for number in range(paragraphs):
            words = f"{markers()} was said about {markers()} in part {number}. " * 6
            parts.append(f"## {markers()}\n\n{words}\n")
        file.write_text("\n".join(parts), "utf-8")
        files.append(file)
    return files


def vectors_of(source: Path) -> set[bytes]:
    """Pieces of the stored vectors of a document, of every model, and of its fingerprints."""
    with closing(database.connect(paths.database_file())) as connection:
        rows = connection.execute(
            "SELECT e.passage, e.sentences, m.marks FROM embeddings e "
            "JOIN chunks c ON c.id = e.chunk_id JOIN chunk_marks m ON m.chunk_id = c.id "
            "JOIN documents d ON d.id = c.document_id WHERE d.source = ?",
            (str(source),),
        ).fetchall()
    marks = {bytes(row[-1][:12]) for row in rows if len(row[-1]) >= 12}
    assert marks
    return marks | {bytes(blob[:24]) for row in rows for blob in row[:2] if len(blob) >= 24}


class NoisyEmbedder(FakeEmbedder):
    """Vectors that no two texts share a piece of, so that they can be told in a file."""

    def __init__(self, model: str = "fake:1") -> None:
        super().__init__(model)
        self._chooser = np.random.default_rng(7)

    def embed_passages(self, texts, spans):  # type: ignore[no-untyped-def]
        found = super().embed_passages(texts, spans)
        for one in found:
            for vectors in (one.passage, one.sentences):
                noise = self._chooser.normal(0, 0.2, vectors.shape)
                np.add(vectors, noise, out=vectors, casting="unsafe")
        return found


@pytest.fixture
def markers() -> Markers:
    return Markers(3)


@pytest.fixture
def opened(home: Path) -> Iterator[Callable[[], Library]]:
    """Opens the library of this home; what was opened is closed in the end."""
    made: list[Library] = []

    def open_one() -> Library:
        made.append(Library(paths.database_file(), NoisyEmbedder()))
        return made[-1]

    yield open_one
    for library in made:
        library.close()
    keys.forget_all()


@pytest.mark.parametrize("is_locked", [False, True])
def test_no_byte_of_what_was_forgotten_is_left(
    home: Path,
    tmp_path: Path,
    opened: Callable[[], Library],
    is_locked: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, lost = Markers(1), Markers(2)
    keep = write(tmp_path / "notes", kept, 12)
    lose = write(tmp_path / "notes", lost, 12)
    if is_locked:
        monkeypatch.setenv("ONDOL_PASSPHRASE", "a passphrase")
        encryption.lock(paths.database_file(), "a passphrase")
    library = opened()
    library.add([tmp_path / "notes"])
    # Edited and renamed: what stood there before is forgotten with it.
    for file in lose[:4]:
        file.write_text(file.read_text("utf-8")[:-200] + f"\n{lost()} at last.\n", "utf-8")
    lose[5].rename(tmp_path / "notes" / f"{lost()}.md")
    for file in keep[:4]:
        file.write_text(file.read_text("utf-8") + f"\n{kept()} at last.\n", "utf-8")
    library.sync()
    stays = set(map(str, keep))
    going = [Path(one.source) for one in library.documents() if one.source not in stays]
    vectors = set().union(*map(vectors_of, going))
    assert len(going) == 12 and len(vectors) > 50
    if not is_locked:
        # The other half of the proof: all this can be found while it is there.
        assert len(found_in(home, tails(lost.all))) > len(lost.all) * 0.9
        assert found_in(home, vectors) == vectors

    receipt = library.forget(going)

    assert receipt.documents == 12 and receipt.is_erased and receipt.chunks > 12
    assert receipt.text_bytes > 1000 and receipt.vector_bytes > 1000
    assert found_in(home, tails(lost.all)) == set()
    assert found_in(home, vectors) == set()
    if is_locked:
        assert found_in(home, tails(kept.all)) == set()
        # What is inside can be seen only without the lock.
        library.close()
        encryption.unlock(paths.database_file())
        monkeypatch.delenv("ONDOL_PASSPHRASE")
        assert found_in(home, tails(lost.all)) | found_in(home, vectors) == set()
        library = opened()
    assert found_in(home, tails(kept.all)) != set()
    for file in keep:
        assert library.search(file.stem, limit=1)[0].chunk.source == str(file)
    for word in lost.all:
        assert all(word not in hit.chunk.text for hit in library.search(word))
    assert library.sync().added == 0


def test_forgetting_one_of_many_again_and_again(
    home: Path, tmp_path: Path, opened: Callable[[], Library]
) -> None:
    chooser, library = random.Random(5), opened()
    marks = {}
    for number in range(60):
        mine = Markers(100 + number)
        (file,) = write(tmp_path / "notes", mine, 1, paragraphs=chooser.randint(1, 12))
        marks[file] = mine.all
    library.add([tmp_path / "notes"])
    dead: list[str] = []
    for file in chooser.sample(list(marks), 12):
        library.forget([file])
        dead += marks.pop(file)
        assert found_in(home, tails(dead)) == set()
    assert len(library.documents()) == 48


def test_copies_keep_their_text_and_the_receipt_says_so(
    home: Path, tmp_path: Path, opened: Callable[[], Library], markers: Markers
) -> None:
    (first,) = write(tmp_path / "notes", markers, 1)
    copy = tmp_path / "notes" / "second.md"
    copy.write_bytes(first.read_bytes())
    library = opened()
    library.add([tmp_path / "notes"])
    name, heading = first.stem, markers.all[1]

    receipt = library.forget([first])

    assert receipt.remaining == (str(copy),) and receipt.chunks == 0
    assert library.search(heading)[0].chunk.source == str(copy)
    # The name belonged to the one that went.
    assert found_in(home, {name[TAIL:].encode()}) == set()
    assert library.forget([copy]).remaining == ()
    assert found_in(home, tails(markers.all)) == set()


def test_by_words_wherever_they_stand(tmp_path: Path, opened: Callable[[], Library]) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.txt").write_text("어제 김철수에게 김치찌개를 대접했다.", "utf-8")
    (folder / "b.txt").write_text("김치찌개는 맛있다. 다른 이야기.", "utf-8")
    (folder / "MINA Kim.txt").write_text("Nothing about her in here.", "utf-8")
    (folder / "c.txt").write_text("Kim said it. Mina heard it.", "utf-8")
    library = opened()
    library.add([folder])
    names = lambda words: [Path(s).name for s in library.chosen(matching=words).sources]  # noqa: E731
    assert names("김철수 김치찌개") == ["a.txt"]
    assert names("김치찌개") == ["a.txt", "b.txt"]
    assert names("mina kim") == ["MINA Kim.txt", "c.txt"]
    assert names('"mina kim"') == ["MINA Kim.txt"]
    assert names("nowhere") == []
    receipt = library.forget([folder / "a.txt", folder / "b.txt"], matching="맛있다")
    assert receipt.documents == 1
    assert library.sync().added == 0 and len(library.documents()) == 3


def test_a_whole_collection_goes_with_its_name_and_its_folders(
    home: Path, tmp_path: Path, opened: Callable[[], Library], markers: Markers
) -> None:
    write(tmp_path / "work", markers, 3)
    write(tmp_path / "home", Markers(9), 2)
    library = opened()
    library.add([tmp_path / "work"], collection=markers())
    library.add([tmp_path / "home"])

    receipt = library.forget(where=Filter(collections=(markers.all[-1],)))

    assert receipt.documents == 3 and receipt.places == 1
    assert [one.name for one in library.collections.all()] == ["default"]
    assert found_in(home, tails(markers.all)) == set()
    assert library.sync().added == 0 and len(library.documents()) == 2


def test_a_part_of_an_archive_stays_forgotten_until_the_archive_is_added_anew(
    tmp_path: Path, opened: Callable[[], Library], markers: Markers
) -> None:
    archive = tmp_path / "box" / "a.zip"
    archive.parent.mkdir()

    def pack(*names: str) -> None:
        with zipfile.ZipFile(archive, "w") as box:
            for name in names:
                box.writestr(name, f"The {name} holds {name} words.")

    pack("one.txt", "two.txt")
    library = opened()
    library.add([archive.parent])
    assert library.forget(matching='"two.txt words"').documents == 1
    pack("one.txt", "two.txt", "three.txt")
    library.sync()
    sources = [Path(one.source).name for one in library.documents()]
    assert sources == ["a.zip", "one.txt", "three.txt"]
    library.forget([archive])
    library.add([archive])
    assert "two.txt" in {Path(one.source).name for one in library.documents()}


def test_forgotten_stays_forgotten_until_it_is_added(
    tmp_path: Path, opened: Callable[[], Library], markers: Markers
) -> None:
    file, _ = write(tmp_path / "notes", markers, 2)
    library = opened()
    library.add([tmp_path / "notes"])
    library.forget([file])
    assert library.sync().added == 0
    assert library.add([file]).added == 1


def test_a_reader_puts_the_end_off_and_the_next_opening_makes_it(
    home: Path,
    tmp_path: Path,
    opened: Callable[[], Library],
    markers: Markers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(erasing, "ATTEMPT_MS", 20)
    (file,) = write(tmp_path / "notes", markers, 1)
    library = opened()
    library.add([file])
    with closing(database.connect(paths.database_file())) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM chunks").fetchone()
        assert not library.forget([file]).is_erased
        assert found_in(home, tails(markers.all))
        reader.execute("COMMIT")
    opened()
    assert found_in(home, tails(markers.all)) == set()


def test_unknown_paths_forget_nothing(tmp_path: Path, opened: Callable[[], Library]) -> None:
    files = write(tmp_path / "notes", Markers(4), 2)
    library = opened()
    library.add([tmp_path / "notes"])
    with pytest.raises(DocumentNotFoundError):
        library.forget([files[0], tmp_path / "elsewhere"])
    assert len(library.documents()) == 2
    assert library.forget(matching="nothing says this").documents == 0


def test_vectors_of_two_models_archives_and_failures_go_too(home: Path, tmp_path: Path) -> None:
    markers, folder = Markers(41), tmp_path / "box"
    folder.mkdir()
    archive = folder / f"{markers()}.zip"
    with zipfile.ZipFile(archive, "w") as box:
        box.writestr(f"{markers()}.md", f"# {markers()}\n\nThe {markers()} is in a box. " * 9)
    broken = folder / f"{markers()}.pdf"
    broken.write_bytes(b"%PDF-1.7 and nothing that can be read")
    embedders = Embedders(lambda: "fake:1", NoisyEmbedder)
    with closing(Library(paths.database_file(), embedders)) as library:
        library.add([folder])
        assert [one.source for one in library.failures()] == [str(broken)]
        (member,) = [Path(one.source) for one in library.documents() if one.container]
        vectors = vectors_of(member)
        # Killed between the switch and the end: the vectors of both are there.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Reembedding, "_delete_others", lambda self: None)
            library.reembed("fake:2")
        vectors |= vectors_of(member)
        assert found_in(home, vectors) == vectors and len(vectors) >= 4
        receipt = library.forget([folder])
        assert receipt.models == ("fake:1", "fake:2") and receipt.failures == 1
        assert found_in(home, tails(markers.all) | vectors) == set()
        assert library.sync().added == 0 and library.failures() == []
