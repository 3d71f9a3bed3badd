"""An ONNX model and its tokenizer, opened for embedders and rerankers alike.

Raises what onnxruntime and tokenizers raise; who calls says which model it was.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any


def open_session(graph: Path, threads: int) -> Any:
    """A session on the CPU; 0 ``threads`` are as many as this process may use."""
    # Its C++ runs Python code while it is imported, and ends the process when that raises. Ctrl-C
    # raises in the main thread only.
    with ThreadPoolExecutor(max_workers=1) as beside:
        onnxruntime: Any = beside.submit(import_module, "onnxruntime").result()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.log_severity_level = 3
    # Threads that spin while they wait would starve the language model next door.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def open_tokenizer(file: Path, max_tokens: int) -> Any:
    """A tokenizer that cuts after ``max_tokens`` and does not pad."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer
