"""Every sentence exists in both languages and every key in the code exists in the catalogues."""

from __future__ import annotations

import ast
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ondol.config import SETTINGS
from ondol.i18n import LANGUAGES, particles, t, use_language

SOURCE = Path(__file__).parents[1] / "src" / "ondol"
CATALOGUES = sorted(p.stem for p in (SOURCE / "i18n" / "en").glob("*.toml"))


def sentences(language: str, catalogue: str) -> dict[str, str]:
    return tomllib.loads((SOURCE / "i18n" / language / f"{catalogue}.toml").read_text("utf-8"))


def placeholders(sentence: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(sentence) if field}


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_catalogues_agree_on_keys_and_placeholders(catalogue: str) -> None:
    english, korean = (sentences(language, catalogue) for language in LANGUAGES)
    assert english.keys() == korean.keys()
    for key, sentence in english.items():
        assert placeholders(sentence) == placeholders(korean[key]), key
        assert sentence.strip() and korean[key].strip(), key


def calls() -> Iterator[tuple[Path, str, bool]]:
    """Module, key, and whether the key is only a beginning (an f-string), of every ``t(…)``."""
    for module in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "t" and node.args:
                for key in ast.walk(node.args[0]):
                    if isinstance(key, ast.JoinedStr) and isinstance(key.values[0], ast.Constant):
                        yield module, str(key.values[0].value), True
                        break
                    if isinstance(key, ast.Constant) and "." in str(key.value):
                        yield module, str(key.value), False


def test_every_key_in_the_code_has_a_sentence() -> None:
    known = {f"{name}.{key}" for name in CATALOGUES for key in sentences("en", name)}
    for module, key, is_beginning in calls():
        found = any(name.startswith(key) for name in known) if is_beginning else key in known
        assert found, f"{module}: {key}"


def test_every_sentence_is_used() -> None:
    code = "\n".join(p.read_text("utf-8") for p in SOURCE.rglob("*.py"))
    beginnings = tuple(key for _, key, is_beginning in calls() if is_beginning)
    for name in CATALOGUES:
        for key in sentences("en", name):
            full = f"{name}.{key}"
            quoted = f'"{full}"' in code or f"'{full}'" in code
            assert quoted or full.startswith(beginnings), f"unused: {full}"


def test_every_setting_explains_itself_in_both_languages() -> None:
    for code in LANGUAGES:
        with use_language(code):
            assert all(setting.help for setting in SETTINGS)


def test_language_follows_the_request_and_falls_back_to_english() -> None:
    with use_language("ko"):
        assert "찾지" in t("answer.nothing_found")
    with use_language("fr"):
        assert t("answer.nothing_found").startswith("I found nothing")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("ONDOL_LANGUAGE", "ko", "찾지"),
        ("ONDOL_LANGUAGE", "en", "found"),
        ("LANG", "ko_KR.UTF-8", "찾지"),
    ],
)
def test_language_follows_the_environment(
    variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ONDOL_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    assert expected in t("answer.nothing_found")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("문서", "문서는"),
        ("파일", "파일은"),
        ("‘메모’", "‘메모’는"),
        ("4", "4는"),
        ("10", "10은"),
        ("smollm2", "smollm2는"),
        ("notes", "notes은(는)"),
        ("", "은(는)"),
    ],
)
def test_a_particle_fits_what_it_follows(value: str, expected: str) -> None:
    with use_language("ko"):
        assert t("filters.bad_sensitivity", value=value) == f"{expected} 등급이 아닙니다."


def test_a_direction_after_rieul_and_what_a_value_itself_says() -> None:
    values = {"a": "서울", "b": "부산", "c": "을(를)"}
    fitted = particles.fit("{a}(으)로, {b}(으)로, {c}", values)
    assert fitted.format(**values) == "서울로, 부산으로, 을(를)"
