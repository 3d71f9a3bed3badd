"""How a model's process computes: threads, batches, caches, drafts. Plain data.

What stands at 0 or "" is left to the settings, or to the runtime itself. It is part of what a
process is started with, so a change takes effect when the model is loaded the next time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Running:
    """``threads`` compute answers and ``batch_threads`` prompts, ``batch_tokens`` and
    ``ubatch_tokens`` at a time; ``flash_attention`` is "on" or "off"; ``cache_type`` is the type of
    the cache's keys and values ("f16", "q8_0", …); ``draft`` is how long the n-grams are
    whose repetition is guessed on, and how many tokens ahead ("6,15"), for requests that ask for
    it; ``draft_model`` is the file of a small model that guesses where they find nothing;
    ``states_folder`` is where the process may save and restore its slots."""

    threads: int = 0
    batch_threads: int = 0
    batch_tokens: int = 0
    ubatch_tokens: int = 0
    flash_attention: str = ""
    cache_type: str = ""
    draft: str = ""
    draft_model: str = ""
    states_folder: str = ""


UNTOLD = Running()
"""Everything is left to the settings and the runtime."""
