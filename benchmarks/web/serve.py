"""A server whose model is paced, for ``run.py``: 100 tokens a second of Markdown, or at once.

Says its address on the first line, and lives until its standard input is closed. A question that
holds a number is answered with so many tokens; one that says "slowly" at 100 of them a second.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "server"))

from house import CHAT, scripted_house

from ondol.types import GenerateOptions, Message, Token, Usage

TOKENS_A_SECOND = 100
PARAGRAPH = (
    "The stove **under the floor** keeps a house warm for a long time after the fire is out, and "
    "so it was built with care: flat stones, clay between them, and paper oiled *by hand*. "
)
BLOCKS = (
    f"## How it is built\n\n{PARAGRAPH}{PARAGRAPH}\n\n",
    "- stones that are flat\n- clay, dried slowly\n- paper, oiled three times\n\n",
    "```python\ndef heat(stones):\n    return [stone.warm() for stone in stones]\n```\n\n",
    "| stone | warm for |\n|---|---|\n| granite | nine hours |\n| basalt | seven hours |\n\n",
)


def words(number: int) -> Iterator[str]:
    """So many tokens of a long answer."""
    given = 0
    while True:
        for block in BLOCKS:
            for word in re.findall(r"\s*\S+|\s+", block):
                if given == number:
                    return
                given += 1
                yield word


class PacedEngine:
    """Gives what the last message asks for."""

    model = CHAT

    def load(self) -> None:
        """Nothing to load."""

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[Token]:
        asked = messages[-1].content
        found = re.search(r"\d+", asked)
        number = int(found[0]) if found else 40
        start = time.perf_counter()
        for given, word in enumerate(words(number)):
            if "slowly" in asked:
                ahead = start + given / TOKENS_A_SECOND - time.perf_counter()
                if ahead > 0:
                    time.sleep(ahead)
            yield Token(word)
        yield Token("", finish_reason="stop", usage=Usage(10, number))

    def complete(self, prompt: str, options: GenerateOptions) -> Iterator[Token]:
        return self.generate([Message("user", prompt)], options)

    def count_tokens(self, text: str) -> int:
        return len(text.split())


def main() -> None:
    """Serve until nobody holds the other end of standard input."""
    with tempfile.TemporaryDirectory(prefix="ondol-web-") as folder:
        with scripted_house(Path(folder)) as house:
            engine = PacedEngine()
            house.pool.engine = lambda model, **how: engine  # type: ignore[method-assign]
            print(house.url, flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main()
