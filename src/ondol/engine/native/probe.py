"""One engine's process, asked what the check wants to know, in llama-server's own words.

Raises ``ProbeError`` with a reason for whatever it answers that is not an answer, and what a
process raises that cannot be made ready.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondol.engine.process import EngineProcess, Launch
from ondol.engine.wire import connect

if TYPE_CHECKING:
    import httpx2

# A machine that is busy is slow, and no engine's fault.
START_SECONDS = 300.0
ANSWER_SECONDS = 600.0
ALTERNATIVES = 10


class ProbeError(Exception):
    """The engine did not answer as a llama-server does; the text is a reason for people."""


@dataclass(frozen=True, slots=True)
class Step:
    """A token that was generated, with the natural-log probabilities of the likeliest ones."""

    id: int
    logprob: float
    likeliest: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Heard:
    """What an engine said, and how fast: tokens per second, and tokens read from its cache."""

    steps: tuple[Step, ...]
    text: str
    prefill: float
    decode: float
    cached: int


class Probe:
    """A context manager: the process lives as long as the block."""

    def __init__(self, launch: Launch) -> None:
        self._process = EngineProcess(launch)
        self._client: httpx2.Client | None = None

    def __enter__(self) -> Probe:
        self._process.wait_ready(START_SECONDS)
        self._client = connect(self._process.address, self._process.key)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._client is not None:
            self._client.close()
        self._process.kill()

    def complete(self, prompt: str, num_tokens: int, **more: Any) -> Heard:
        """The likeliest continuation; without ``cache_prompt`` nothing of the cache is used."""
        body = {
            "prompt": prompt,
            "n_predict": num_tokens,
            "temperature": 0.0,
            "seed": 1,
            "n_probs": ALTERNATIVES,
            "cache_prompt": False,
        }
        return _heard(self.post("/completion", body | more))

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector for each of ``texts``."""
        told = self.post("/v1/embeddings", {"input": list(texts)})
        try:
            rows = sorted(told["data"], key=lambda row: row["index"])
            return [[float(x) for x in row["embedding"]] for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise ProbeError(f"/v1/embeddings: {error!r}") from None

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that ``path`` answers."""
        import httpx2

        assert self._client is not None
        try:
            answer = self._client.post(path, json=body, timeout=ANSWER_SECONDS)
            told = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise ProbeError(f"{path}: {type(error).__name__}") from None
        if answer.status_code != 200 or not isinstance(told, dict):
            raise ProbeError(f"{path}: {answer.status_code}")
        return told


def _heard(told: Mapping[str, Any]) -> Heard:
    try:
        timings = told["timings"]
        return Heard(
            tuple(_step(one) for one in told["completion_probabilities"]),
            str(told["content"]),
            float(timings["prompt_per_second"]),
            float(timings["predicted_per_second"]),
            int(timings.get("cache_n", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProbeError(f"/completion: {error!r}") from None


def _step(one: Mapping[str, Any]) -> Step:
    likeliest = {int(other["id"]): float(other["logprob"]) for other in one["top_logprobs"]}
    return Step(int(one["id"]), float(one["logprob"]), likeliest)
