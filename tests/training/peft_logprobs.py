"""A child process: what PEFT itself makes of a random adapter on a base.

stdin: ``{"base", "folder", "prompts": [[token id, …], …], "top"}``. Saves the adapter to ``folder``
and prints, for the base and for the adapter, each prompt's ``top`` next tokens: ``{id: logprob}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

MODULES = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj".split()


def main() -> None:
    job = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        result = logprobs(Path(job["base"]), job["folder"], job["prompts"], job["top"])
    json.dump(result, sys.stdout)


def logprobs(
    base: Path, folder: str, prompts: list[list[int]], top: int
) -> dict[str, list[dict[int, float]]]:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(base.parent, gguf_file=base.name)
    config = LoraConfig(r=16, lora_alpha=32, target_modules=MODULES, task_type="CAUSAL_LM")
    model = get_peft_model(model, config).eval()
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.02)
    model.save_pretrained(folder)

    def top_tokens(prompt: list[int]) -> dict[int, float]:
        with torch.no_grad():
            found = model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1).topk(top)
        return dict(zip(found.indices.tolist(), found.values.tolist(), strict=True))

    with model.disable_adapter():
        plain = [top_tokens(prompt) for prompt in prompts]
    return {"base": plain, "adapter": [top_tokens(prompt) for prompt in prompts]}


if __name__ == "__main__":
    main()
