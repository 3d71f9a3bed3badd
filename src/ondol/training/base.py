"""The base model as PyTorch sees it: loaded from the very GGUF file that serves.

Weights are dequantised, so what is learned fits what answers. Needs the ``train`` extra and opens
no connection.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training import extra
from ondol.training.dataset import Example

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of a prompt, as the engine sends it, and of the reply with its end of turn."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.reply)


@dataclass(frozen=True, slots=True)
class Base:
    """A causal language model and its tokenizer, both of transformers."""

    model: Any
    tokenizer: Any

    @property
    def chat_template(self) -> str:
        return str(self.tokenizer.chat_template)

    def encode(self, example: Example) -> Encoded:
        """``example`` as token ids, in the model's own chat template."""
        turns = [{"role": m.role, "content": m.content} for m in example.messages]
        prompt = self._text(turns, add_generation_prompt=True)
        reply = self._text([*turns, {"role": "assistant", "content": example.reply}])
        if not reply.startswith(prompt):
            raise TrainingError(t("training.template"), t("training.template_hint"))
        # What a template puts after the end of a turn is never generated: rstrip drops it.
        return Encoded(self._ids(prompt), self._ids(reply[len(prompt) :].rstrip()))

    def check(self, example: Example, prompt: tuple[int, ...]) -> None:
        """Raise TrainingError unless ``prompt``, what the engine reads of ``example``, is what is
        learned from; one that begins with a token of its own would be learned without it."""
        if self.encode(example).prompt != prompt:
            raise TrainingError(t("training.template_tokens"), t("training.template_hint"))

    def _text(self, turns: list[dict[str, str]], *, add_generation_prompt: bool = False) -> str:
        from jinja2 import TemplateError

        try:
            text = self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except (TemplateError, ValueError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise TrainingError(
                t("training.template_failed", reason=reason), t("training.template_hint")
            ) from error
        return str(text)

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def load_base(gguf: Path, device: str = "cpu") -> Base:
    """The model in ``gguf`` with frozen float32 weights. TrainingError when it cannot be read."""
    extra.require()
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
        model = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    except (
        OSError,
        ValueError,
        KeyError,
        IndexError,
        NotImplementedError,
        struct.error,
    ) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise TrainingError(
            t("training.base", file=gguf.name, reason=reason), t("training.base_hint")
        ) from error
    model.config.use_cache = False
    model.requires_grad_(False)
    return Base(model.to(device), tokenizer)


def pick_device() -> str:
    """ "cuda" where there is one, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def has_bfloat16(device: str) -> bool:
    """Whether the hardware multiplies bfloat16 natively; emulated, it is slower than float32."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.backends.cpu
    return "AVX512" in capabilities.get_cpu_capability() and bool(
        torch.cpu._is_avx512_bf16_supported()
    )


def parameters(model: Any) -> list[torch.nn.Parameter]:
    """Those that learn."""
    return [p for p in model.parameters() if p.requires_grad]
