"""The base model as PyTorch sees it: loaded from the very GGUF file that serves, or from a folder
of safetensors of the same model.

Weights are dequantised, so what is learned fits what answers. Needs the ``train`` extra and opens
no connection.
"""

from __future__ import annotations

import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training import as_served, extra, precision
from ondol.training.precision import BaseDtype
from ondol.types import Message

if TYPE_CHECKING:
    import torch


class Replied(Protocol):
    """A conversation and a reply to it, as an example or a thumb has them."""

    @property
    def messages(self) -> tuple[Message, ...]: ...
    @property
    def reply(self) -> str: ...


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

    def encode(self, example: Replied) -> Encoded:
        """``example`` as token ids, in the model's own chat template."""
        turns = [{"role": m.role, "content": m.content} for m in example.messages]
        prompt = self._text(turns, add_generation_prompt=True)
        reply = self._text([*turns, {"role": "assistant", "content": example.reply}])
        if not reply.startswith(prompt):
            raise TrainingError(t("training.template"), t("training.template_hint"))
        # What a template puts after the end of a turn is never generated: rstrip drops it.
        return Encoded(self._ids(prompt), self._ids(reply[len(prompt) :].rstrip()))

    def check(self, example: Replied, prompt: tuple[int, ...]) -> None:
        """Raise TrainingError unless ``prompt``, what the engine reads of ``example``, is what is
        learned from; one that begins with a token of its own would be learned without it."""
        if self.encode(example).prompt != prompt:
            raise TrainingError(t("training.template_tokens"), t("training.template_hint"))

    def encode_text(self, text: str) -> tuple[int, ...]:
        """``text`` as token ids, outside of any conversation."""
        return self._ids(text)

    def num_tokens(self, text: str) -> int:
        return len(self._ids(text))

    @property
    def num_ctx(self) -> int:
        """The most tokens that it can read at once, as far as it says so."""
        return int(getattr(self.model.config, "max_position_embeddings", 0) or sys.maxsize)

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


def load_base(file: Path, device: str = "cpu", dtype: BaseDtype = "float32") -> Base:
    """The model in ``file``, a GGUF or a folder of safetensors with its tokenizer, with frozen
    weights of ``dtype`` ("auto": what fits). TrainingError when it cannot be read, or has no room
    on this machine."""
    extra.require()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # Said with each load: a switch in the environment is one for whatever else this process does.
    where: dict[str, Any] = {"local_files_only": True, "pretrained_model_name_or_path": str(file)}
    if not file.is_dir():
        where |= {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    try:
        if dtype != "float32":
            dtype = precision.chosen(dtype, file, device, has_bfloat16(device))
        held = torch.float32 if dtype == "float32" else torch.bfloat16
        tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
        model = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=held)
        if not file.is_dir():
            as_served.complete(model, file)
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
            t("training.base", file=file.name, reason=reason), t("training.base_hint")
        ) from error
    model.config.use_cache = False
    model.requires_grad_(False)
    model = precision.to_nf4(model, device) if dtype == "nf4" else model.to(device)
    return Base(model, tokenizer)


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
