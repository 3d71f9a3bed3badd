"""Configurations that have a library import, or fetch, somebody's code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ondol.hub.scan import imports, scan
from ondol.hub.scan.refused import Refused

HOSTILE: list[tuple[str, Any]] = [
    ("config.json", {"auto_map": {"AutoModel": "evil--code"}}),
    ("config.json", {"text_config": {"_attn_implementation_internal": "evil/kernel"}}),
    ("config.json", {"attn_implementation": {"vision": "evil/kernel@main:flash"}}),
    ("config.json", {"experts_implementation": "evil/kernel"}),
    ("generation_config.json", {"custom_generate": "evil/code"}),
    ("model_index.json", {"_class_name": ["evil", "Pipeline"]}),
    ("model_index.json", {"unet": ["os", "system"]}),
    ("model_index.json", [1]),
    ("modules.json", [{"idx": 0, "path": "", "type": "os.system"}]),
    ("modules.json", [{"idx": 0, "path": "", "type": "sentence_transformers_evil.Model"}]),
    ("modules.json", [{"path": "../..", "type": "sentence_transformers.models.Pooling"}]),
    ("modules.json", [{"path": "/etc", "type": "sentence_transformers.models.Pooling"}]),
    ("modules.json", ["os.system"]),
]
USUAL: list[tuple[str, Any]] = [
    ("config.json", {"_attn_implementation": "sdpa", "auto_map": None, "model_type": "llama"}),
    (
        "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "unet": ["diffusers", "UNet2DConditionModel"],
            "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
            "feature_extractor": [None, None],
            "force_zeros_for_empty_prompt": True,
        },
    ),
    (
        "modules.json",
        [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        ],
    ),
]


@pytest.mark.parametrize(("name", "content"), HOSTILE)
def test_what_names_code_is_refused(name: str, content: Any) -> None:
    with pytest.raises(Refused):
        imports.check(name, content)


@pytest.mark.parametrize(("name", "content"), USUAL)
def test_what_others_publish_passes(name: str, content: Any) -> None:
    imports.check(name, content)


def test_the_scanner_asks_in_every_folder(tmp_path: Any) -> None:
    file = tmp_path / "modules.json"
    file.write_text(json.dumps([{"path": "", "type": "os.system"}]))
    report = scan({"en--modules.json": file, "modules.json": file}, linked=True)
    assert [one.code for one in report.findings] == ["remote_code", "remote_code"]
