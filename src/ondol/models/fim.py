"""The tokens of models that were trained to fill in between a prefix and a suffix."""

from __future__ import annotations

from collections.abc import Mapping

# The texts by which llama.cpp knows the tokens for filling in between a prefix and a suffix, of
# models that do not declare them (src/llama-vocab.cpp).
WORDS: Mapping[bytes, str] = {
    word.encode(): name
    for name, words in (
        (
            "fim_pre",
            "<|fim_prefix|> <fim-prefix> <fim_prefix> <｜fim▁begin｜> <PRE> ▁<PRE> <|code_prefix|>",
        ),
        (
            "fim_suf",
            "<|fim_suffix|> <fim-suffix> <fim_suffix> <｜fim▁hole｜> <SUF> ▁<SUF> <|code_suffix|>",
        ),
        (
            "fim_mid",
            "<|fim_middle|> <fim-middle> <fim_middle> <｜fim▁end｜> <MID> ▁<MID> <|code_middle|>",
        ),
    )
    for word in words.split()
}
LENGTHS = frozenset(map(len, WORDS))
