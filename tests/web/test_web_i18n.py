"""The app's sentences: both languages have all of them, all are used, and none is in the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from app_pages import STATIC
from templates import spoken, templates

SOURCES = sorted(STATIC.glob("js/**/*.js"))
CATALOGUES = sorted(file.stem for file in (STATIC / "i18n" / "en").glob("*.json"))
# Names, which are the same in every language; and each language in its own letters.
NAMES = {"Ondol", "English", "한국어"}
KEY = re.compile(r"[\"'`]([a-z_]+\.[a-z_0-9]+)[\"'`]")
BEGINNING = re.compile(r"`([a-z_]+\.[a-z_0-9]*)\$\{")


def catalogue(language: str, name: str) -> dict[str, str]:
    text = (STATIC / "i18n" / language / f"{name}.json").read_text("utf-8")
    found: dict[str, str] = json.loads(text)
    return found


def placeholders(sentence: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", sentence))


def code() -> str:
    return "\n".join(file.read_text("utf-8") for file in SOURCES)


def test_there_are_the_same_catalogues_in_both_languages() -> None:
    korean = sorted(file.stem for file in (STATIC / "i18n" / "ko").glob("*.json"))
    assert CATALOGUES == korean and "shell" in CATALOGUES


@pytest.mark.parametrize("name", CATALOGUES)
def test_a_catalogue_is_complete_in_both_languages(name: str) -> None:
    english, korean = catalogue("en", name), catalogue("ko", name)
    assert english.keys() == korean.keys()
    for key, sentence in english.items():
        assert placeholders(sentence) == placeholders(korean[key]), key
        assert sentence.strip() and korean[key].strip(), key


@pytest.mark.parametrize("name", CATALOGUES)
def test_korean_sentences_are_korean(name: str) -> None:
    """A sentence that was not translated is the same in both; one word may be."""
    english, korean = catalogue("en", name), catalogue("ko", name)
    same = {
        key
        for key, sentence in english.items()
        if korean[key] == sentence and len(re.findall(r"[a-z]{2,}", sentence)) > 3
    }
    assert not same


@pytest.mark.parametrize("name", CATALOGUES)
def test_every_sentence_is_used(name: str) -> None:
    text = code()
    used = set(KEY.findall(text))
    beginnings = tuple(BEGINNING.findall(text))
    unused = {
        key
        for key in catalogue("en", name)
        if f"{name}.{key}" not in used and not f"{name}.{key}".startswith(beginnings or ("\0",))
    }
    assert not unused


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(STATIC).as_posix())
def test_every_key_has_a_sentence(file: Path) -> None:
    text = file.read_text("utf-8")
    known = {f"{name}.{key}" for name in CATALOGUES for key in catalogue("en", name)}
    called = set(re.findall(r"\bt\(\s*[\"']([^\"']+)[\"']", text))
    assert called <= known
    for beginning in re.findall(r"\bt\(\s*`([^`$]*)\$\{", text):
        assert any(key.startswith(beginning) for key in known), beginning


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(STATIC).as_posix())
def test_no_sentence_is_in_the_code(file: Path) -> None:
    found = [
        f"line {template.line}: {text}"
        for template in templates(file.read_text("utf-8"))
        for text in spoken(template)
        if text not in NAMES
    ]
    assert not found


def test_what_is_said_for_a_moment_is_no_sentence_in_the_code_either() -> None:
    said = re.compile(r"\b(?:toast|alert|confirm|prompt)\(\s*[\"'`]|document\.title\s*=\s*[\"']")
    assert not [file.name for file in SOURCES if said.search(file.read_text("utf-8"))]


# The reader of templates itself


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("html`<p>Hello</p>`", ["Hello"]),
        ("html`<p>${t('a.b')}</p>`", []),
        ('html`<p class="big">${x}</p>`', []),
        ('html`<button aria-label="Close">×</button>`', ["Close"]),
        ("html`<img alt=${'A picture'} />`", ["A picture"]),
        ("html`<p>${open ? 'Yes' : t('a.no')}</p>`", ["Yes"]),
        ("html`<p>${kind === 'open' ? t('a.x') : t('a.y')}</p>`", []),
        ("html`<ul>${rows.map((one) => html`<li>Row ${one}</li>`)}</ul>`", ["Row"]),
        ("html`<p style=${{ width: '3px' }}>${f('a')}</p>`", []),
        ("html`<${Part} title=${open ? 'Shut it' : ''} name=\"x\" />`", ["Shut it"]),
        ("html`<p>${n && `so many`}</p>`", ["so many"]),
        ("// html`<p>Hello</p>`\nconst a = /[`'\"]/; html`<p>1 · ${a}</p>`", []),
        ("html`<p>&nbsp;…</p>`", []),
    ],
)
def test_a_sentence_in_a_template_is_found(source: str, expected: list[str]) -> None:
    assert [text for one in templates(source) for text in spoken(one)] == expected
