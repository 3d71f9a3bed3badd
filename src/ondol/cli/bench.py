"""``ondol bench``: how many tokens a second a model reads and writes here, as llama-bench counts
them; and llama-bench itself beside it, where a native engine brought it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.command import command, model_argument, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.engine.settings import EngineSettings, ModelSpec
    from ondol.lab.measuring.bench import Speed, Workload

YARDSTICK = "llama-bench"


class Numbers(click.ParamType[tuple[int, ...]]):
    """The type of whole numbers with commas between them."""

    name = "N,N…"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if not all(part.strip().isascii() and part.strip().isdecimal() for part in parts):
            raise UsageError(t("measuring.bad_numbers", value=value), param=self.name)
        return tuple(dict.fromkeys(int(part) for part in parts))


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: who measured, how it ran, what came of it."""

    engine: str
    threads: int
    spec: ModelSpec
    speed: Speed

    def json(self) -> dict[str, Any]:
        test, running = self.speed.test, self.spec.running
        return {
            "engine": self.engine,
            "threads": self.threads,
            "batch_tokens": running.batch_tokens or None,
            "ubatch_tokens": running.ubatch_tokens or None,
            "test": test.name,
            "prompt_tokens": test.prompt,
            "generated_tokens": test.generate,
            "depth_tokens": test.depth,
            "tokens_per_second": round(self.speed.mean, 2),
            "spread": round(self.speed.spread, 2),
            "median": round(self.speed.median, 2),
            "samples": [round(sample, 2) for sample in self.speed.samples],
            "resident_bytes": self.speed.resident_bytes or None,
        }


@command("bench")
@model_argument(required=False)
@option("--prompt", key="bench_prompt", type=Numbers(), default="512")
@option("--generate", key="bench_generate", type=Numbers(), default="128")
@option("--pair", key="bench_pair", metavar="P,G", type=Numbers(), default="480,64")
@option("--depth", key="bench_depth", type=Numbers(), default="0")
@option("--threads", key="bench_threads", type=Numbers(), default="0")
@option("--batch", key="bench_batch", type=Numbers(), default="0")
@option("--ubatch", key="bench_ubatch", type=Numbers(), default="0")
@option("--repetitions", key="bench_repetitions", type=click.IntRange(1, 100), default=5)
@option("--runtime", key="bench_runtime", metavar="NAME")
@option("--alone", key="bench_alone", is_flag=True)
@option("--csv", "as_csv", key="bench_csv", is_flag=True)
@pass_output
def bench(output: Output, /, name: str | None, repetitions: int, **asked: Any) -> None:
    from ondol.engine.settings import EngineSettings
    from ondol.lab.measuring import llama_bench
    from ondol.lab.measuring.process import chatting

    with house(output) as parts:
        name = name or parts.config["models.chat"]
        settings = EngineSettings.from_config(parts.config)
        if asked["runtime"]:
            settings = replace(settings, runtime=asked["runtime"])
        spec = chatting(parts, name)
        program = None if asked["alone"] else llama_bench.beside_the_engine()
        rows = list(
            _measured(spec, settings, _workloads(asked), asked, repetitions, program, output)
        )
    _show(name, rows, output, as_csv=asked["as_csv"])


def _workloads(asked: dict[str, Any]) -> list[Workload]:
    from ondol.lab.measuring.bench import Workload

    pair = asked["pair"]
    if len(pair) not in (1, 2):
        raise UsageError(t("measuring.bad_pair"), param="pair")
    kinds = [(prompt, 0) for prompt in asked["prompt"]] + [(0, n) for n in asked["generate"]]
    kinds += [tuple(pair)] if len(pair) == 2 else []
    found = [Workload(p, g, depth) for depth in asked["depth"] for p, g in kinds if p or g]
    if not found:
        raise UsageError(t("measuring.nothing_to_measure"), param="prompt")
    return found


def _measured(
    spec: ModelSpec,
    settings: EngineSettings,
    tests: list[Workload],
    asked: dict[str, Any],
    repetitions: int,
    program: Path | None,
    output: Output,
) -> Iterator[Row]:
    """One way of running after the other; of each, the engine that serves and then llama-bench."""
    from ondol.engine.runtime import count_threads, launch
    from ondol.lab.measuring import llama_bench
    from ondol.lab.measuring.bench import bench as measured

    ways = list(product(asked["threads"], asked["batch"], asked["ubatch"]))
    total = len(ways) * len(tests) * (repetitions + (1 if program else 0))
    with output.bar(total, unit="") as bar:
        for threads, batch, ubatch in ways:
            used = threads or spec.running.threads or settings.threads or count_threads()
            own = replace(spec.running, threads=used)
            own = replace(own, batch_threads=threads or own.batch_threads)
            own = replace(own, batch_tokens=batch or own.batch_tokens)
            wanted = replace(spec, running=replace(own, ubatch_tokens=ubatch or own.ubatch_tokens))
            started = launch(wanted, 1, settings)
            engine = started.engine or (Path(started.binary).name if started.binary else "bundled")
            speeds = measured(
                wanted, settings, tests, repetitions=repetitions, on_step=lambda *_: bar.update()
            )
            for speed in speeds:
                yield Row(engine, used, wanted, speed)
                if program is not None:
                    other = llama_bench.measured(
                        program,
                        wanted,
                        speed.test,
                        used,
                        repetitions=repetitions,
                        gpu_layers=settings.gpu_layers,
                    )
                    bar.update()
                    yield Row(YARDSTICK, used, wanted, other)


def _show(name: str, rows: list[Row], output: Output, *, as_csv: bool) -> None:
    if output.json:
        output.emit({"model": name, "results": [row.json() for row in rows]})
    elif as_csv:
        _show_csv(name, rows, output)
    else:
        from ondol.models.blobs import readable_size

        columns = ("test", "engine", "threads", "tokens_per_second", "memory")
        cells = [
            (
                row.speed.test.name,
                row.engine,
                _way(row),
                f"{row.speed.mean:.2f} ± {row.speed.spread:.2f}",
                readable_size(row.speed.resident_bytes) if row.speed.resident_bytes else "",
            )
            for row in rows
        ]
        output.table([t(f"measuring.column_{column}") for column in columns], cells)


def _show_csv(name: str, rows: list[Row], output: Output) -> None:
    import csv
    import io

    text = io.StringIO()
    lines = [{"model": name, **row.json()} for row in rows]
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    for line in lines:
        samples = " ".join(str(sample) for sample in line["samples"])
        writer.writerow({**line, "samples": samples})
    output.write(text.getvalue())


def _way(row: Row) -> str:
    """The threads, and the batches where they are not the runtime's own."""
    running = row.spec.running
    batches = [str(n) for n in (running.batch_tokens, running.ubatch_tokens) if n]
    return " / ".join([str(row.threads), *batches])
