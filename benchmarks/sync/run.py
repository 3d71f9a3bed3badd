"""How long does it take to find that nothing has changed?

A tree of small files in a library of its own: ``ondol add``, ``ondol sync`` with nothing changed,
and ``ondol sync`` after a few were edited, renamed and deleted, each a process of its own with the
real embedder. Exits with an error when a file could not be read, or when at full size the second
run takes more than its share of the first. See README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from ondol import __version__, config

HERE = Path(__file__).parent
FILES = 10_000
LIMIT = 0.03
IN_A_FOLDER = 40
CHANGED = 10
WORDS = (
    "contract boiler harvest ledger treaty engine river patient invoice garden archive protein "
    "lease theorem kettle border vaccine orchard verdict satellite mortar sonata reactor glacier"
).split()


def sentence(chooser: random.Random) -> str:
    return (
        f"The {chooser.choice(WORDS)} of {chooser.randint(1800, 2030)} was kept by the "
        f"{chooser.choice(WORDS)} office with {chooser.randint(2, 90_000)} records."
    )


def mail(said: list[str]) -> str:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", said[0]
    message.set_content("\n".join(said))
    return message.as_string()


KINDS: tuple[tuple[str, Callable[[list[str]], str]], ...] = (
    ("md", lambda said: f"# {said[0]}\n\n" + "\n\n".join(said)),
    ("txt", " ".join),
    ("py", lambda said: "".join(f"def f{i}():\n    return {t!r}\n\n" for i, t in enumerate(said))),
    ("json", lambda said: json.dumps({"notes": said})),
    ("csv", lambda said: "year,note\n" + "".join(f"{t.split()[3]},{t}\n" for t in said)),
    ("html", lambda said: "<body>" + "".join(f"<p>{text}</p>" for text in said) + "</body>"),
    ("eml", mail),
    ("ko.txt", lambda said: f"보일러 점검은 다음 기록에 있습니다. {said[0]}"),
)


def write_tree(root: Path, files: int) -> None:
    """``files`` small files, every one different, some to a folder, folders in folders."""
    chooser = random.Random(0)
    for number in range(files):
        place = number // IN_A_FOLDER
        folder = root / f"part {place // 10:03}" / f"{WORDS[place % len(WORDS)]}-{place:03}"
        folder.mkdir(parents=True, exist_ok=True)
        ending, content = KINDS[number % len(KINDS)]
        said = [sentence(chooser) for _ in range(chooser.randint(1, 6))]
        (folder / f"note-{number:05}.{ending}").write_text(content(said), "utf-8")


def change(root: Path) -> dict[str, int]:
    """Edit, rename and delete a few files, and write a few new ones; how many each."""
    chooser = random.Random(1)
    every = sorted(path for path in root.rglob("*.txt") if not path.name.endswith(".ko.txt"))
    edited, renamed, deleted = (every[part::3][:CHANGED] for part in range(3))
    for path in edited:
        path.write_text(sentence(chooser), "utf-8")
        (path.parent / f"new-{path.name}").write_text(sentence(chooser), "utf-8")
    for path in renamed:
        path.rename(path.with_name(f"moved-{path.name}"))
    for path in deleted:
        path.unlink()
    return {
        "added": len(edited),
        "updated": len(edited),
        "moved": len(renamed),
        "removed": len(deleted),
    }


def ondol(home: Path, *arguments: str) -> tuple[dict[str, Any], dict[str, float]]:
    """What a command said as JSON, and what it cost: CPU-seconds with those of its readers."""
    environ = os.environ | {"ONDOL_HOME": str(home), "ONDOL_MODELS": str(config.load().models_dir)}
    command = [sys.executable, "-m", "ondol", *arguments, "--json", "--quiet"]
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, env=environ, stdout=output)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"ondol {arguments[0]} ended with {process.returncode}")
        output.seek(0)
        said = json.load(output)
    cpu = used.ru_utime + used.ru_stime
    return said, {"seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3)}


def median(costs: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(cost[key] for cost in costs) for key in costs[0]}


def measure(root: Path, home: Path, files: int, runs: int) -> tuple[dict[str, Any], list[str]]:
    """The figures, and what is not as it should be."""
    said, first = ondol(home, "add", str(root))
    wrong = [f"{failure['source']}: {failure['reason']}" for failure in said["failed"]]
    if said["added"] != files:
        wrong.append(f"{said['added']} of {files} files added")
    seconds = []
    for _ in range(runs):
        said, cost = ondol(home, "sync")
        seconds.append(cost)
        if said["failed"] or said["unchanged"] != files:
            wrong.append(f"a sync with nothing changed did something: {said}")
    second = median(seconds)
    expected = change(root)
    said, third = ondol(home, "sync")
    happened = {name: said[name] for name in expected}
    if said["failed"] or happened != expected:
        wrong.append(f"changed {expected}, but sync says {said}")
    share = {key: round(second[key] / first[key], 4) for key in first}
    result = {
        "first": first,
        "nothing changed": second,
        "share of the first": share,
        "some changed": third | happened,
    }
    if files >= FILES and share["seconds"] > LIMIT:
        wrong.append(f"the second run takes {share['seconds']:.1%} of the first")
    return result, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--runs", type=int, default=3, help="of the sync with nothing changed")
    parser.add_argument("--write", action="store_true", help="keep results.json")
    given = parser.parse_args()
    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "cpus": len(os.sched_getaffinity(0)),
        "load_at_start": round(os.getloadavg()[0], 2),
        "files": given.files,
    }
    with tempfile.TemporaryDirectory() as name:
        root, home = Path(name) / "tree", Path(name) / "home"
        write_tree(root, given.files)
        found, wrong = measure(root, home, given.files, given.runs)
    result |= found | {"wrong": wrong, "load_at_end": round(os.getloadavg()[0], 2)}
    print(json.dumps(result, indent=2, ensure_ascii=False))
    if given.write:
        text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
        (HERE / "results.json").write_text(text, "utf-8")
    sys.exit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main()
