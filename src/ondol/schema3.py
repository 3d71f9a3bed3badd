"""The tables of schema 3: what was answered and what left, in one list of statements a part."""

from __future__ import annotations

LEDGER: tuple[str, ...] = ()

OUTCOMES: tuple[str, ...] = ()

SPOKEN: tuple[str, ...] = ()

HOMES: tuple[str, ...] = ()

HOME: tuple[str, ...] = ()

STATEMENTS = (*LEDGER, *OUTCOMES, *SPOKEN, *HOMES, *HOME)
