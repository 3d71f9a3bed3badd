"""No library that Ondol loads reports to its maker."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ondol

COLLECTORS = (
    b"events.data.microsoft.com",
    b"OneCollector",
    b"google-analytics.com",
    b"sentry.io",
    b"segment.io",
    b"posthog.com",
    b"amplitude.com",
)
LIBRARIES = (
    "onnxruntime tokenizers xllamacpp sqlcipher3 pypdfium2_raw hf_xet torch safetensors".split()
)


@pytest.mark.parametrize("library", LIBRARIES)
def test_library_holds_no_address_of_a_collector(library: str) -> None:
    spec = importlib.util.find_spec(library)
    assert spec is not None
    assert spec.origin is not None
    binaries = [p for p in Path(spec.origin).parent.rglob("*.so*") if p.is_file()]
    assert binaries
    for binary in binaries:
        content = binary.read_bytes()
        assert not [c for c in COLLECTORS if c in content], binary.name


def test_switches_are_off_whatever_the_environment_says() -> None:
    assert ondol.__version__
    environ = {**os.environ, "ORT_DISABLE_TELEMETRY": "0", "HF_HUB_DISABLE_TELEMETRY": "0"}
    script = "import os, ondol; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"


@pytest.mark.model
def test_embedding_leaves_nothing_in_the_home_folder(
    tmp_path: Path, embedding_model_files: tuple[Path, Path]
) -> None:
    script = (
        "import sys; from pathlib import Path;"
        "from ondol.retrieval.embedding import OnnxEmbedder;"
        "OnnxEmbedder('m', Path(sys.argv[1]), Path(sys.argv[2])).embed(['x'], input_type='query')"
    )
    environ = {**os.environ, "HOME": str(tmp_path / "user"), "XDG_CACHE_HOME": str(tmp_path / "c")}
    (tmp_path / "user").mkdir()
    command = [sys.executable, "-c", script, *map(str, embedding_model_files)]
    subprocess.run(command, env=environ, check=True)
    assert [p for p in (tmp_path / "user").rglob("*") if p.is_file()] == []
    assert not (tmp_path / "c").exists()
