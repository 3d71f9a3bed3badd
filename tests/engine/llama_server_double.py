"""A stand-in for a llama-server binary: its flags, its HTTP (the bundled runtime's), no Ondol.

DOUBLE_MODE says how it misbehaves: it may "fail" to start, be "full", "hang", compute something
"wrong", be "deaf" to adapters, be "forgetful" of what it read, or "crash" when the file DOUBLE_CUE
appears.
"""

import argparse
import os
import sys
import threading
from urllib.request import urlopen

if sys.argv[1:] == ["--version"]:
    print("version: 1 (double)")
    sys.exit(0)
if sys.argv[1:] in (["--list-devices"], ["--help"]):
    print("Available devices:\n  NPU0: A stand-in (24 MiB, 12 MiB free)\n  path ending in .sock")
    sys.exit(0)

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--host", required=True)
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--ctx-size", type=int, required=True)
parser.add_argument("--parallel", type=int, required=True)
parser.add_argument("--threads", type=int, required=True)
parser.add_argument("--n-gpu-layers", type=int, default=-1)
parser.add_argument("--batch-size", type=int)
parser.add_argument("--ubatch-size", type=int)
parser.add_argument("--pooling")
parser.add_argument("--slot-save-path")
parser.add_argument("--embedding", action="store_true")
parser.add_argument("--lora", action="append", default=[])
parser.add_argument("--lora-init-without-apply", action="store_true")
parser.add_argument("--no-webui", action="store_true", required=True)
parser.add_argument("--jinja", action="store_true", required=True)
flags = parser.parse_args()

mode = os.environ.get("DOUBLE_MODE", "")
if "fail" in mode:
    print("error: this build knows no such GPU", file=sys.stderr)
    sys.exit(3)
if "full" in mode:
    print("E ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer", file=sys.stderr)
    sys.exit(1)
if "hang" in mode:
    threading.Event().wait()

import xllamacpp  # noqa: E402

p = xllamacpp.CommonParams()
p.model.path = flags.model
p.hostnames = [flags.host]
p.port = flags.port
p.n_ctx = flags.ctx_size
p.n_parallel = flags.parallel
p.cpuparams.n_threads = flags.threads
p.api_keys = [os.environ["LLAMA_API_KEY"]]
p.ui = False
p.verbosity = 1
p.fit_params = False
p.endpoint_slots = True
p.lora_init_without_apply = flags.lora_init_without_apply
adapters = []
for path in flags.lora:
    adapters.append(xllamacpp.CommonAdapterLoraInfo())
    adapters[-1].path, adapters[-1].scale = path, 1.0
p.lora_adapters = [] if "deaf" in mode else adapters
if "wrong" in mode:
    p.rope_freq_scale = 0.5
if flags.slot_save_path and "forgetful" not in mode:
    p.slot_save_path = flags.slot_save_path
if flags.embedding:
    p.embedding = True
    p.n_batch, p.n_ubatch = flags.batch_size, flags.ubatch_size
if flags.pooling:
    p.pooling_type = getattr(
        xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{flags.pooling.upper()}"
    )
server = xllamacpp.Server(p)
print("llama-server double is listening", flush=True)
if not flags.host.endswith(".sock"):
    with urlopen(f"http://{flags.host}:{flags.port}/health"):
        pass
if "crash" in mode:
    while not os.path.exists(os.environ["DOUBLE_CUE"]):
        threading.Event().wait(0.01)
    os.abort()
threading.Event().wait()
