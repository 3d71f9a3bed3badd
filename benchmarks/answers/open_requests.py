"""Is "tell me about X" answered, from the right article, and only where the library speaks of X?

Half of XQuAD's articles are added; every article's title is asked for in eight wordings, once as
Ondol answers and once with open requests taken for any other question. See README.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from run import HERE, XQUAD, read_lines, share

from ondol import __version__, config
from ondol.ask import ask
from ondol.database import IN_MEMORY
from ondol.parts import Parts
from ondol.retrieval import korean as morphemes
from ondol.retrieval import open_requests
from ondol.types import Answer, Route

ENGLISH = (
    "Tell me about {}",
    "What should I know about {}?",
    "What about {}?",
    "What do my documents say about {}?",
    "Give me a short summary of {}.",
    "Describe {}",
    "Can you tell me something about {}, please?",
    "I want to know more about {}.",
)
KOREAN = (
    "{}에 대해 알려 주세요",
    "{}에 대해 무엇을 알아야 하나요?",
    "{}에 대해 뭐라고 나와 있나요?",
    "{}에 관한 내용을 요약해 줘",
)
KOREAN_TOPICS = {
    "보일러": "manual-boiler.txt",
    "대장내시경": "clinic-colonoscopy.txt",
    "고추 탄저병": "farm-pepper.txt",
    "온돌": "history-ondol.md",
    "측우기": "history-rain-gauge.md",
    "로봇청소기": "manual-robot-vacuum.txt",
    "와파린": "medication-warfarin.txt",
    "골다공증 약": "medication-osteoporosis.txt",
    "열섬": "paper-heat-island.md",
    "된장찌개": "recipe-doenjang-jjigae.md",
    "갈비찜": "recipe-galbijjim.md",
    "막걸리 빵": "recipe-makgeolli-bread.txt",
    "재택근무": "remote-work-guide.md",
    "방과후 학교": "school-afterschool.txt",
    "강릉 여행": "trip-gangneung.txt",
    "상표": "legal-opinion-trademark.md",
    "제습기": "manual-dehumidifier.txt",
    "독서 모임": "club-reading.txt",
}


@contextmanager
def taken_for_any_other() -> Iterator[None]:
    """Open requests answered as other questions are, as before they were told apart."""
    rule = open_requests.topic
    open_requests.topic = lambda question: ""
    try:
        yield
    finally:
        open_requests.topic = rule


def asked(parts: Parts, text: str) -> tuple[Answer, float]:
    started = time.perf_counter()
    *_, last = ask(text, parts)
    assert isinstance(last, Answer)
    return last, time.perf_counter() - started


def cited(answer: Answer) -> list[str]:
    return [Path(q.source).name for q in answer.quotes if q.number in answer.citations]


def answered(answer: Answer) -> bool:
    return answer.route is not Route.ABSTAIN


def judged(requests: list[tuple[str, str]], parts: Parts) -> dict[str, Any]:
    """``requests``: what is asked, and how the names of the files that it is about begin."""
    said = [(*asked(parts, text), about) for text, about in requests]
    return {
        "requests": len(said),
        "answered": share(answered(a) for a, _, _ in said),
        "answered_citing_its_files": share(
            answered(a) and any(name.startswith(about) for name in cited(a)) for a, _, about in said
        ),
        "of_the_cited_its_files": share(
            name.startswith(about) for a, _, about in said if answered(a) for name in cited(a)
        ),
        "sentences": round(statistics.mean(len(a.citations) for a, _, _ in said), 2),
        "seconds": round(statistics.median(seconds for _, seconds, _ in said), 2),
    }


def both(name: str, requests: list[tuple[str, str]], parts: Parts) -> dict[str, Any]:
    with taken_for_any_other():
        before = judged(requests, parts)
    result = {"taken_for_any_other": before, "as_open_requests": judged(requests, parts)}
    print(f"\n{name}\n{json.dumps(result, indent=2, ensure_ascii=False)}", flush=True)
    return result


def english(parts: Parts, data: Path) -> dict[str, Any]:
    """Articles by turns in the library and not."""
    passages = read_lines(data / "passages.jsonl")
    titles = {p["id"].split("-")[0]: p["title"].replace("_", " ") for p in passages}
    here = set(list(titles)[::2])
    with tempfile.TemporaryDirectory() as folder:
        for passage in passages:
            if passage["id"].split("-")[0] in here:
                (Path(folder) / f"{passage['id']}.txt").write_text(passage["text"], "utf-8")
        parts.use_library(parts.open_library(IN_MEMORY))
        parts.library.add([Path(folder)])
    found = {}
    for name, ids in (("in the library", here), ("not in the library", titles.keys() - here)):
        requests = [(words.format(titles[i]), f"{i}-") for i in sorted(ids) for words in ENGLISH]
        found[name] = both(f"XQuAD English, articles {name}", requests, parts)
    return found


def korean(parts: Parts) -> dict[str, Any]:
    parts.use_library(parts.open_library(IN_MEMORY))
    parts.library.add([HERE / "korean" / "documents"])
    requests = [(w.format(topic), file) for topic, file in KOREAN_TOPICS.items() for w in KOREAN]
    return both("Korean, our own", requests, parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=XQUAD, help="folder with XQuAD's two files")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    # The figures are those of the base install, whatever is installed here.
    morphemes.analyser = lambda: ""
    results: dict[str, Any] = {"date": date.today().isoformat(), "ondol": __version__}
    with Parts(config.load()) as parts:
        results["models"] = [parts.config["models.chat"], parts.config["models.embedding"]]
        results["XQuAD English, half"] = english(parts, arguments.data)
        results["Korean, our own"] = korean(parts)
    if arguments.write:
        text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
        (HERE / "open_requests.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
