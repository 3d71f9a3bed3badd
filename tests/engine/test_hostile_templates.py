"""Chat templates as weapons: a model's file brings a program, and llama.cpp runs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from gguf_copy import copy_with

from ondol.engine import template_watch
from ondol.engine.pool import EnginePool, EngineSettings, ModelSpec
from ondol.engine.worker import FIRST_TO_GO
from ondol.errors import EngineError, EngineTimeoutError, InvalidModelError
from ondol.models.inspection import LONGEST_TEMPLATE_BYTES
from ondol.models.store import ModelStore
from ondol.types import GenerateOptions, Message

pytestmark = pytest.mark.model

FOREVER = "{% for a in range(1000000) %}{% for b in range(1000000) %}{% endfor %}{% endfor %}"
SAYING = "{% for m in messages %}{{ m.content }}{% endfor %}"
SLY = "{% if messages[0].content == 'now' %}" + FOREVER + "{% endif %}" + SAYING


def pool_of(source: Path, target: Path, template: str, **settings: float) -> EnginePool:
    copy_with(source, target, template=template)
    spec = ModelSpec("hostile", target, "sha256:1", target.stat().st_size, num_ctx=512)
    return EnginePool(EngineSettings(num_ctx=512, **settings), lambda name: spec)


def say(pool: EnginePool, text: str) -> str:
    options = GenerateOptions(max_tokens=2, temperature=0.0)
    return "".join(
        t.text for t in pool.engine("hostile").generate([Message("user", text)], options)
    )


def test_a_template_that_never_ends_ends_with_its_process(
    chat_model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_watch, "TEMPLATE_SECONDS", 1.0)
    monkeypatch.setattr(template_watch, "LOOK_SECONDS", 0.2)
    pool = pool_of(chat_model_file, tmp_path / "sly.gguf", SLY)
    try:
        assert isinstance(say(pool, "hello"), str)
        with pytest.raises(EngineTimeoutError, match="chat template"):
            say(pool, "now")
        # Who asks next is answered, by a new process.
        assert isinstance(say(pool, "hello"), str)
    finally:
        pool.close()


def test_a_slow_prompt_is_no_template_that_never_ends(
    chat_model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_watch, "TEMPLATE_SECONDS", 0.3)
    monkeypatch.setattr(template_watch, "LOOK_SECONDS", 0.05)
    pool = pool_of(chat_model_file, tmp_path / "long.gguf", SAYING)
    try:
        assert isinstance(say(pool, "word " * 400), str)
    finally:
        pool.close()


@pytest.mark.parametrize(
    "template",
    [
        "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
        FOREVER,
    ],
    ids=["recursion", "nesting", "loop"],
)
def test_a_template_that_ends_the_process_while_it_loads_is_an_error_of_that_model(
    chat_model_file: Path, tmp_path: Path, template: str
) -> None:
    pool = pool_of(chat_model_file, tmp_path / "x.gguf", template, start_timeout_seconds=5.0)
    try:
        with pytest.raises(EngineError):
            say(pool, "hello")
        assert pool.loaded() == []
    finally:
        pool.close()


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}" + SAYING,
        "{{ cycler.__init__.__globals__.os.popen('touch PWNED').read() }}" + SAYING,
        pytest.param("{% include '/etc/passwd' %}" + SAYING, marks=pytest.mark.slow),
        pytest.param("{% import 'os' as os %}{{ os.getcwd() }}" + SAYING, marks=pytest.mark.slow),
        pytest.param("{{ self._TemplateReference__context }}" + SAYING, marks=pytest.mark.slow),
    ],
)
def test_a_template_reaches_no_python_and_no_files(
    chat_model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str
) -> None:
    monkeypatch.chdir(tmp_path)
    template = template.replace("PWNED", str(tmp_path / "PWNED"))
    pool = pool_of(chat_model_file, tmp_path / "escape.gguf", template, start_timeout_seconds=30)
    try:
        engine = pool.engine("hostile")
        try:
            prompt = engine.apply_template([Message("user", "hello")])
        except EngineError:
            prompt = ""
        assert "root:" not in prompt and "<class" not in prompt and str(os.getcwd()) not in prompt
    finally:
        pool.close()
    assert not (tmp_path / "PWNED").exists()


def test_a_template_as_long_as_a_book_is_refused_before_anything_runs_it(
    chat_model_file: Path, tmp_path: Path
) -> None:
    store = ModelStore(tmp_path / "models")
    for length in (LONGEST_TEMPLATE_BYTES + 1, 2 * 2**20):
        book = copy_with(chat_model_file, tmp_path / "book.gguf", template="a" * length)
        staged = store.stage(book, "weights", "book.gguf")
        with pytest.raises(InvalidModelError, match="template"):
            store.add("book:1", [staged])
        book.unlink(missing_ok=True)
    assert store.list() == []


def test_where_memory_runs_out_the_models_process_goes_first(
    chat_model_file: Path, tmp_path: Path
) -> None:
    pool = pool_of(chat_model_file, tmp_path / "plain.gguf", SAYING)
    try:
        say(pool, "hello")
        (loaded,) = pool.loaded()
        assert Path(f"/proc/{loaded.pid}/oom_score_adj").read_text().strip() == str(FIRST_TO_GO)
    finally:
        pool.close()
