"""Names people type, and the one form everything else sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.errors import UsageError
from ondol.models import names


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("llama3.2", "llama3.2:latest"),
        ("Qwen3:4B", "qwen3:4b"),
        ("  qwen3:4b ", "qwen3:4b"),
        ("owner/model:tag", "owner/model:tag"),
        ("hf:Owner/Repo-GGUF", "hf:Owner/Repo-GGUF:latest"),
        ("hf:Owner/Repo-GGUF:q4_k_m", "hf:Owner/Repo-GGUF:Q4_K_M"),
        ("hf.co/Owner/Repo:Q8_0", "hf:Owner/Repo:Q8_0"),
        ("https://huggingface.co/Owner/Repo", "hf:Owner/Repo:latest"),
        ("hf:Owner/Repo:Some-File.gguf", "hf:Owner/Repo:Some-File.gguf"),
        ("https://example.org/A.gguf#sha256=00", "https://example.org/A.gguf#sha256=00"),
        ("file:/tmp/A.gguf", "file:/tmp/A.gguf"),
        ("./Some Model.gguf", "./Some Model.gguf"),
        ("pypi:a==1", "pypi:a==1"),
    ],
)
def test_normalize_gives_one_form_to_every_spelling(typed: str, canonical: str) -> None:
    assert names.normalize(typed) == canonical
    assert names.normalize(canonical) == canonical


@pytest.mark.parametrize(
    "rubbish",
    [
        "",
        ":",
        "a b",
        "a:b:c",
        "../x",
        "-x",
        "모델",
        "a/b/c/d",
        "x" * 300,
        "a\x00b",
        "hf:",
        "hf:a",
        "http://[::1/x.gguf",
        "https:///x.gguf",
    ],
)
def test_normalize_refuses_rubbish_with_a_usage_error(rubbish: str) -> None:
    if rubbish.startswith("../"):
        assert names.is_reference(rubbish)
        return
    with pytest.raises(UsageError) as caught:
        names.normalize(rubbish)
    assert caught.value.hint


@given(st.text(max_size=60))
def test_normalize_is_idempotent_or_refuses_whatever_is_typed(text: str) -> None:
    try:
        once = names.normalize(text)
    except UsageError:
        return
    assert names.normalize(once) == once


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("https://x.org/d/Qwen3-4B-Q4_K_M.gguf?x=1#sha256=00", "qwen3-4b:q4_k_m"),
        ("file:/models/My%20Model.gguf", "my-model:latest"),
        ("/models/gemma-3-1b-it-UD-Q4_K_XL.gguf", "gemma-3-1b-it:ud-q4_k_xl"),
        ("hf:Owner/Repo:Q8_0", "hf:Owner/Repo:Q8_0"),
        ("qwen3", "qwen3:latest"),
    ],
)
def test_installed_name_of_a_file_comes_from_its_file_name(reference: str, name: str) -> None:
    assert names.installed_name(reference) == name


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("SmolLM2-135M-Instruct.Q4_1", "Q4_1"),
        ("smollm2-1.7b-instruct-q4_k_m", "Q4_K_M"),
        ("gpt-oss-20b-mxfp4", "MXFP4"),
        ("Qwen3-8B-UD-Q4_K_XL", "UD-Q4_K_XL"),
        ("model-IQ2_XXS", "IQ2_XXS"),
        ("model-bf16", "BF16"),
        ("Qwen2.5-Coder-7B", None),
        ("model", None),
    ],
)
def test_quantisation_is_read_from_the_file_name(file: str, expected: str | None) -> None:
    assert names.quantisation(file) == expected
