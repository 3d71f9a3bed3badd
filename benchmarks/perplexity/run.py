"""Is our perplexity that of llama.cpp's own tool? And what does each format of weights cost?

    python benchmarks/perplexity/run.py [--quick] [--native LLAMA_SERVER] [--write]
    python benchmarks/perplexity/run.py --draw

The default model's weights in five formats, the same windows of the same text: through the engine
that serves, once bundled and once native, and by llama-perplexity from the same build. The
divergence is from the weights as they were shipped.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pictures

from ondol import __version__, config
from ondol.engine.native import records
from ondol.engine.runtime import count_threads
from ondol.engine.settings import EngineSettings, ModelSpec
from ondol.lab.measuring.divergence import divergence
from ondol.lab.measuring.perplexity import WINDOW, Perplexity, Reading, change, perplexity, read
from ondol.lab.measuring.windows import plain_text
from ondol.models.formats import requantise
from ondol.models.hardware import machine
from ondol.models.store import ModelStore

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
MODEL = "smollm2:135m"
SHIPPED = "as shipped"
FORMATS = (SHIPPED, "F16", "Q8_0", "Q4_1", "Q4_0")
TOOL = "llama-perplexity"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two windows of two formats")
    parser.add_argument("--native", type=Path, help=f"a llama-server with {TOOL} beside it")
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--write", action="store_true", help="keep the results and the picture")
    parser.add_argument("--draw", action="store_true", help="the picture of what is kept")
    arguments = parser.parse_args()
    if arguments.draw:
        draw(json.loads(RESULTS.read_text("utf-8")))
        return
    serving = records.serving()
    native = arguments.native or (serving.path if serving else None)
    if native is None:
        sys.exit("No native engine serves; name one with --native.")
    formats, windows = FORMATS, arguments.windows
    if arguments.quick:
        formats, windows = (SHIPPED, "Q4_0"), 2
    results = measure(native.absolute(), formats, windows)
    print(json.dumps(results, indent=1))
    if arguments.write:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        draw(results)


def measure(native: Path, formats: tuple[str, ...], windows: int) -> dict[str, Any]:
    store = ModelStore(config.load().models_dir)
    model = store.get(MODEL)
    found: dict[str, Any] = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "xllamacpp": version("xllamacpp"),
        "model": f"{MODEL} {model.quantization}",
        "cpu": machine().cpu,
        "windows": windows,
        "window_tokens": WINDOW,
        "formats": {},
    }
    bundled, other = EngineSettings(runtime="bundled"), EngineSettings(runtime=str(native))
    base: Reading | None = None
    with tempfile.TemporaryDirectory() as folder:
        for format in formats:
            file = store.path(model)
            if format != SHIPPED:
                file = Path(folder) / f"{format}.gguf"
                requantise(store.path(model), file, format)
            spec = ModelSpec(MODEL, file, format, file.stat().st_size, num_ctx=2048)
            reading = read(spec, bundled, plain_text(), windows)
            ours = Perplexity(reading.losses, "states", reading.seconds, reading.apart)
            base = base or reading
            theirs = perplexity(spec, other, windows=windows)
            tool, seconds = by_tool(native.with_name(TOOL), file, windows)
            before = Perplexity(base.losses, "states", 0.0)
            found["formats"][format] = {
                "size_mb": round(file.stat().st_size / 1e6, 1),
                "bundled": ours.estimate.as_dict(),
                "native": theirs.estimate.as_dict(),
                "llama_perplexity": tool,
                "bundled_to_tool": round(ours.value / tool, 4),
                "native_to_tool": round(theirs.value / tool, 4),
                "change": change(before, ours).as_dict(),
                "divergence": divergence(base, reading).mean.as_dict(),
                "same_top": divergence(base, reading).same_top.as_dict(),
                "apart_nats": round(reading.apart, 4),
                "seconds": {
                    "bundled": round(ours.seconds, 1),
                    "native": round(theirs.seconds, 1),
                    "llama_perplexity": round(seconds, 1),
                },
            }
            print(format, found["formats"][format], flush=True)
    return found


def by_tool(program: Path, file: Path, windows: int) -> tuple[float, float]:
    """What llama.cpp's own tool says, and the seconds it took."""
    started = time.perf_counter()
    text = files("ondol.lab.measuring") / "plain.txt"
    flags = {"-m": file, "-f": text, "-c": WINDOW, "--chunks": windows, "-t": count_threads()}
    done = subprocess.run(
        [program, *(str(part) for flag in flags.items() for part in flag)],
        capture_output=True,
        text=True,
        check=True,
    )
    (value,) = re.findall(r"Final estimate: PPL = ([0-9.]+)", done.stdout + done.stderr)
    return float(value), time.perf_counter() - started


def draw(results: dict[str, Any]) -> None:
    formats = results["formats"]
    apart = max(abs(found["bundled_to_tool"] - 1) for found in formats.values())
    fig, (left, right) = pictures.figure(
        f"Perplexity through the engine that serves is llama-perplexity's, within {apart:.1%}",
        f"{results['model']}, {results['windows']} windows of {results['window_tokens']} tokens,"
        f" {results['date']}; whiskers are 95 % (bootstrap over windows)",
        columns=2,
        size=(10, 4.8),
    )
    groups = {
        "Ondol, bundled": {name: found["bundled"]["value"] for name, found in formats.items()},
        "Ondol, native": {name: found["native"]["value"] for name, found in formats.items()},
        TOOL: {name: found["llama_perplexity"] for name, found in formats.items()},
    }
    colours = dict(
        zip(groups, (pictures.PALETTE[1], pictures.ACCENT, pictures.YARDSTICK), strict=True)
    )
    pictures.bars(left, groups, unit="perplexity", colours=colours, has_figures=False)
    names = [name for name in formats if name != SHIPPED]
    changes = [formats[name]["change"] for name in names]
    values = [100 * one["value"] for one in changes]
    ends = [
        [
            100 * abs(one["value"] - (one[end] if one[end] is not None else one["value"]))
            for one in changes
        ]
        for end in ("low", "high")
    ]
    right.bar(names, values, 0.5, yerr=ends, color=pictures.ACCENT, ecolor=pictures.INK, capsize=3)
    right.axhline(1, color=pictures.MUTED, linestyle="--", linewidth=1)
    right.text(-0.4, 1.2, "1 %: the most that is chosen", size=8, va="bottom")
    right.set_ylabel("change of perplexity, %")
    right.grid(axis="x", visible=False)
    pictures.save(fig, HERE / "picture.svg")


if __name__ == "__main__":
    main()
