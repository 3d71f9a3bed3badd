"""The child of run.py: a server as the engine runs it, which stops at each stage to be measured."""

from __future__ import annotations

import json
import sys

import xllamacpp

CACHE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8}
PROMPT_TOKENS = 700


def main() -> None:
    case = json.loads(sys.argv[1])
    parameters = xllamacpp.CommonParams()
    parameters.model.path = case["model"]
    parameters.n_ctx = case["num_ctx"] * case["num_parallel"]
    parameters.n_parallel = case["num_parallel"]
    parameters.cache_type_k = parameters.cache_type_v = CACHE_TYPES[case["cache_type"]]
    parameters.cpuparams.n_threads = 2
    parameters.verbosity = 4  # tells the sizes of its buffers
    parameters.ui = False
    server = xllamacpp.Server(parameters)
    complete(server, "hi")
    pause("one request")
    complete(server, " ".join(str(number % 7) for number in range(PROMPT_TOKENS // 2)))
    pause("long prompt")


def complete(server: xllamacpp.Server, prompt: str) -> None:
    server.handle_completions({"prompt": prompt, "max_tokens": 1, "temperature": 0})


def pause(stage: str) -> None:
    print(stage, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
