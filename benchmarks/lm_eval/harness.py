"""EleutherAI's lm-evaluation-harness, as its authors release it, against a running Ondol.

Knows how it is installed (an environment of its own, ``.venv/lm-eval``), the two tiny tasks that
are made of our own suites, and how its results are read. Called by ``run.py`` and by a test.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv" / "lm-eval"
PROGRAM = FOLDER / "bin" / "lm_eval"
VERSION = "0.4.13"
NEEDS = (f"lm_eval[api]=={VERSION}", "transformers")
SUITE = ROOT / "src" / "ondol" / "lab" / "evaluating" / "suites" / "documents.jsonl"

ANSWERS, CHOICES = "ondol_answers", "ondol_choices"
_ANSWERS = """task: {task}
dataset_path: json
dataset_kwargs:
  data_files: {{test: {file}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{text}}}}\\n\\nIn a few words: {{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n\\n"], max_gen_toks: 32, do_sample: false}}
metric_list:
  - {{metric: chrf, aggregation: chrf, higher_is_better: true}}
  - {{metric: exact_match, ignore_case: true, ignore_punctuation: true}}
metadata: {{version: 1.0}}
"""
_CHOICES = """task: {task}
dataset_path: json
dataset_kwargs:
  data_files: {{test: {file}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{text}}}}\\n\\nQuestion: {{{{question}}}}\\nAnswer:"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{choices.index(answer)}}}}"
metric_list:
  - {{metric: acc}}
  - {{metric: acc_norm}}
metadata: {{version: 1.0}}
"""


def install() -> None:
    """Its environment, made once, as its README says."""
    if PROGRAM.exists():
        return
    venv.create(FOLDER, with_pip=True)
    python = str(FOLDER / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *NEEDS], check=True)


def write_tasks(folder: Path) -> None:
    """The two tasks, with their data beside them: questions about the English documents of our
    suites, to be answered freely, or chosen from four answers of the same kind."""
    documents = [json.loads(line) for line in SUITE.read_text("utf-8").splitlines()]
    english = [one for one in documents if one["language"] == "en"]
    asked = [(d, q) for d in english for q in d["questions"] if q["answer"]]
    chance = random.Random(11)
    rows = []
    for document, question in asked:
        others = sorted({q["answer"] for _, q in asked if q["kind"] == question["kind"]})
        others = [one for one in others if one not in document["text"]]
        choices = [question["answer"], *chance.sample(others, 3)]
        chance.shuffle(choices)
        rows.append(
            {
                "text": document["text"],
                "question": question["question"],
                "answer": question["answer"],
                "choices": choices,
            }
        )
    file = folder / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    for task, form in ((ANSWERS, _ANSWERS), (CHOICES, _CHOICES)):
        (folder / f"{task}.yaml").write_text(form.format(task=task, file=json.dumps(str(file))))


def chat(url: str, model: str, folder: Path, limit: int) -> dict[str, Any]:
    """``ondol_answers`` through ``/v1/chat/completions``: the reply is generated."""
    model_args = f"model={model},base_url={url}/v1/chat/completions"
    return _run(
        "local-chat-completions", model_args, ANSWERS, folder, limit, "--apply_chat_template"
    )


def completions(url: str, model: str, folder: Path, limit: int, tokenizer: Path) -> dict[str, Any]:
    """``ondol_choices`` through ``/v1/completions``: how likely each choice is, by ``echo`` with
    ``logprobs``. ``tokenizer`` is the model's own, in a folder, as the harness wants it."""
    model_args = f"model={model},base_url={url}/v1/completions,tokenizer={tokenizer}"
    return _run(
        "local-completions", f"{model_args},tokenizer_backend=huggingface", CHOICES, folder, limit
    )


def _run(
    kind: str, model_args: str, task: str, folder: Path, limit: int, *more: str
) -> dict[str, Any]:
    out = folder / f"out-{task}"
    command = [str(PROGRAM), "--model", kind, "--model_args", f"{model_args},num_concurrent=1"]
    command += ["--tasks", task, "--include_path", str(folder), "--output_path", str(out)]
    command += ["--batch_size", "1", "--limit", str(limit), *more]
    # Nothing that it asks is anywhere but here.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "NO_PROXY": "127.0.0.1"}
    environ |= {"HF_HOME": str(folder / "hf"), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    found = max(out.rglob("results_*.json"))
    told = json.loads(found.read_text("utf-8"))
    results = {k.split(",")[0]: v for k, v in told["results"][task].items() if "," in k}
    return {"task": task, "items": told["n-samples"][task]["effective"], **results}
