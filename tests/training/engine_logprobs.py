"""A child process: what the engine makes of adapters on a base.

stdin: ``{"base", "adapters": {name: file}, "prompts": [[token id, …], …], "top"}``, or
``{"jobs": {name: such a job}}``. Prints, for "base" and for every adapter by its name, each
prompt's ``top`` next tokens: ``{id: logprob}``; of several jobs, that for each by its name.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> None:
    job = json.load(sys.stdin)
    out = os.dup(1)
    os.dup2(2, 1)
    jobs = job.get("jobs")
    found = {n: logprobs(**one) for n, one in jobs.items()} if jobs else logprobs(**job)
    with os.fdopen(out, "w") as stream:
        json.dump(found, stream)
    os._exit(0)  # destroying a server may block for ever


def logprobs(
    base: str, adapters: dict[str, str], prompts: list[list[int]], top: int
) -> dict[str, list[dict[int, float]]]:
    import httpx2
    import xllamacpp

    p = xllamacpp.CommonParams()
    p.model.path = base
    # One thread: two that wait for each other on a busy machine take thirty times as long.
    p.n_ctx, p.n_parallel, p.port, p.verbosity, p.cpuparams.n_threads = 256, 1, 0, 1, 1
    p.warmup = False
    p.lora_init_without_apply = True
    p.lora_adapters = [_lora(xllamacpp, path) for path in adapters.values()]
    server = xllamacpp.Server(p)

    def top_tokens(chosen: str, prompt: list[int]) -> dict[int, float]:
        body: dict[str, Any] = {
            "prompt": prompt,
            "n_predict": 1,
            "n_probs": top,
            "cache_prompt": False,
            # Without a whole letter to say nothing is told; what is told is as it was before.
            "logit_bias": [["a", 1000.0]],
            "lora": [{"id": i, "scale": float(name == chosen)} for i, name in enumerate(adapters)],
        }
        response = httpx2.post(f"{server.listening_address}/completion", json=body, timeout=120)
        step = response.raise_for_status().json()["completion_probabilities"][0]
        return {x["id"]: x["logprob"] for x in step["top_logprobs"]}

    return {name: [top_tokens(name, prompt) for prompt in prompts] for name in ("base", *adapters)}


def _lora(xllamacpp: Any, path: str) -> Any:
    lora = xllamacpp.CommonAdapterLoraInfo()
    lora.path, lora.scale = path, 1.0
    return lora


if __name__ == "__main__":
    main()
