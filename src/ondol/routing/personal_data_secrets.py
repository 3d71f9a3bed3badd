"""What opens a door: keys and tokens by the shapes their makers give them, and passwords by name.

The shapes are those that secret scanners use (gitleaks, GitHub's secret scanning partners).
"""

from __future__ import annotations

import re

from ondol.routing.personal_data_patterns import Recogniser, Span

_SHAPES = (
    r"sk-(?:ant-|proj-|svcacct-|or-v1-)?[A-Za-z0-9_-]{20,}",
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}",
    r"gh[pousr]_[A-Za-z0-9]{30,}",
    r"github_pat_[A-Za-z0-9_]{30,}",
    r"glpat-[A-Za-z0-9_-]{20,}",
    r"(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}",
    r"AIza[A-Za-z0-9_-]{35}",
    r"ya29\.[A-Za-z0-9_-]{20,}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"hf_[A-Za-z0-9]{30,}",
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-[A-Za-z0-9_-]{40,}",
    r"dop_v1_[a-f0-9]{64}",
    r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    r"AGE-SECRET-KEY-1[A-Z0-9]{50,}",
    r"\d{8,10}:AA[A-Za-z0-9_-]{33}",
    r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
)
# How those begin, in lower case.
_BEGINNINGS = (
    "sk-",
    "_live_",
    "_test_",
    *(f"gh{kind}_" for kind in "pousr"),
    *"github_pat_ glpat- akia asia aroa aida aiza ya29. xox hf_ npm_ pypi- dop_v1_ sg.".split(),
    *("age-secret-key-1", ":aa", "eyj"),
)
_WORDS = tuple("pass pwd pin otp secret key token credential 비 패스 암호 인증 시크릿 토큰".split())
_NAMES = (
    r"password|passwd|passphrase|pass ?code|pwd|\bpin\b(?: code| number)?|\botp\b|"
    r"secret(?:[ _-]?(?:access)?[ _-]?key)?|api[ _-]?key|private[ _-]?key|access[ _-]?key|"
    r"(?:access|auth|refresh|bearer|api)?[ _-]?token|credentials?|"
    r"비밀 ?번호|비번|패스 ?워드|암호|인증 ?번호|인증 ?코드|시크릿 ?키|접근 ?키|액세스 ?토큰|토큰"
)
_NAMED = re.compile(
    rf"(?i:{_NAMES})[\"'`*]{{0,2}}\s{{0,3}}(?:(?:is|was|은|는|이|가|:=|=>|->|[=:])[\"'`*\s]{{0,4}}|\s)"
    r"(?P<value>[!#-&(-+\--_a-~]{4,128})"
)
_POINTS_AT_NUMBERS = re.compile(
    r"(?i:password|passwd|pass ?code|pwd|pin|otp|비밀 ?번호|비번|패스 ?워드|암호|인증)"
)
_PLACEHOLDER = re.compile(
    r"[<\[{$%*]|(?:os|process|env|config|settings|self|this)\.|x{4,}|\*+|\.{3}|"
    r"(?:your|my|the|example|change)[-_]",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"\s?(?:년|월|일|자|개|번|회|원|명|글자|가지|characters|letters|digits|times|years)"
)
_LONG_LETTERS = 16


def _named(match: re.Match[str]) -> Span | None:
    value = match.group("value").rstrip(".,;:)]}>\"'")
    if len(value) < 4 or _PLACEHOLDER.match(value):
        return None
    start = match.start("value")
    end = start + len(value)
    return (start, end) if _is_secret(value, match, match.string[end : end + 12]) else None


def _is_secret(value: str, match: re.Match[str], after: str) -> bool:
    has_digit = any(c.isdigit() for c in value)
    has_letter = any(c.isalpha() for c in value)
    if not has_letter:
        # A number is a secret only where a number is what is meant, and not a count or a year.
        is_named = _POINTS_AT_NUMBERS.match(match.group()) is not None
        return has_digit and is_named and value.isdigit() and not _UNIT.match(after)
    if has_digit:
        return len(value) >= 6 and not re.fullmatch(r"[A-Za-z]+-\d{1,2}|\d+[a-z]{1,2}", value)
    if any(c in "!@#$%^&*+=~?" for c in value[1:]):
        return len(value) >= 8 and "://" not in value and "(" not in value
    # Letters alone may be any word; long and of both cases they are none.
    is_mixed = value.isalpha() and value[1:-1].lower() != value[1:-1] != value[1:-1].upper()
    return is_mixed and len(value) >= _LONG_LETTERS


RECOGNISERS: tuple[Recogniser, ...] = (
    Recogniser(
        "secret",
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----(?:[\s\S]{0,8000}?-----END [A-Z ]*"
            r"PRIVATE KEY(?: BLOCK)?-----)?"
        ),
        anchor=("private key",),
        reach=8200,
    ),
    Recogniser(
        "secret",
        re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(_SHAPES)})"),
        anchor=_BEGINNINGS,
        reach=1000,
    ),
    Recogniser(
        "secret",
        re.compile(r"(?<=://)[^\s/:@]{1,64}:[^\s/:@]{3,128}(?=@)"),
        anchor=("://",),
        reach=200,
    ),
    Recogniser(
        "secret",
        re.compile(r"(?i:\bbearer|\bbasic) (?P<value>(?=[\w+/=.-]*\d)[\w+/=.-]{16,})"),
        lambda match: match.span("value"),
        anchor=("bearer ", "basic "),
        reach=1000,
    ),
    Recogniser("secret", _NAMED, _named, anchor=_WORDS, reach=160),
)
