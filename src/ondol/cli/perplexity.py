"""``ondol perplexity``: how well a model foresees a text, and how far another is from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.command import command, complete_models, model_argument, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.engine.settings import EngineSettings, ModelSpec
    from ondol.lab.measuring.divergence import Divergence
    from ondol.lab.measuring.perplexity import Perplexity
    from ondol.training.bootstrap import Estimate


@command("perplexity")
@model_argument(required=False)
@option("--against", key="perplexity_against", metavar="MODEL", shell_complete=complete_models)
@option(
    "--text",
    "file",
    key="perplexity_text",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
)
@option("--windows", key="perplexity_windows", type=click.IntRange(1), metavar="N", default=16)
@option(
    "--window", key="perplexity_window", type=click.IntRange(16, 8192), metavar="N", default=512
)
@option("--exact", key="perplexity_exact", is_flag=True)
@pass_output
def perplexity(
    output: Output,
    name: str | None,
    against: str | None,
    file: Path | None,
    windows: int,
    window: int,
    exact: bool,
) -> None:
    from ondol.engine.settings import EngineSettings
    from ondol.lab.measuring.process import chatting
    from ondol.lab.measuring.windows import plain_text

    text = plain_text() if file is None else _read(file)
    with house(output) as parts:
        name = name or parts.config["models.chat"]
        settings = EngineSettings.from_config(parts.config)
        specs = [chatting(parts, one) for one in (name, against) if one]
        with output.bar(None, bar_format="{n_fmt} [{elapsed}]") as bar:
            found, apart = _measured(
                specs, settings, text, windows, window, exact, lambda *_: bar.update()
            )
    _show(specs, found, apart, output)


def _measured(
    specs: list[ModelSpec],
    settings: EngineSettings,
    text: str,
    windows: int,
    window: int,
    exact: bool,
    on_window: Any,
) -> tuple[list[Perplexity], Divergence | None]:
    """Of each model; and of two that can be compared, how far they are apart."""
    from ondol.lab.measuring.divergence import divergence
    from ondol.lab.measuring.perplexity import Perplexity, perplexity, read

    if len(specs) == 2 and not exact:
        try:
            readings = [read(one, settings, text, windows, window, on_window) for one in specs]
        except ValueError:
            pass  # what no file tells is forced below
        else:
            found = [Perplexity(one.losses, "states", one.seconds, one.apart) for one in readings]
            return found, divergence(*readings)
    found = [
        perplexity(
            one,
            settings,
            text=text,
            windows=windows,
            window=window,
            way="forced" if exact else None,
            on_window=on_window,
        )
        for one in specs
    ]
    return found, None


def _show(
    specs: list[ModelSpec], found: list[Perplexity], apart: Divergence | None, output: Output
) -> None:
    from ondol.lab.measuring.perplexity import change

    both = change(*found) if len(found) == 2 and _same_places(*found) else None
    if output.json:
        models = [_json(spec, one) for spec, one in zip(specs, found, strict=True)]
        told: dict[str, Any] = {"models": models}
        if both is not None:
            told["change"] = both.as_dict()
        if apart is not None:
            told["divergence"] = {
                "mean": apart.mean.as_dict(),
                "median": round(apart.median, 6),
                "p99": round(apart.p99, 6),
                "same_top": apart.same_top.as_dict(),
                "places": apart.places,
            }
        output.emit(told)
        return
    columns = ("model", "perplexity", "interval", "tokens", "seconds", "way")
    rows = [
        (
            spec.name,
            f"{one.value:.3f}",
            f"{one.low:.3f} – {one.high:.3f}",
            f"{one.tokens:,}",
            f"{one.seconds:.1f}",
            t(f"measuring.way_{one.way}"),
        )
        for spec, one in zip(specs, found, strict=True)
    ]
    output.table([t(f"measuring.column_{column}") for column in columns], rows)
    if both is not None and not output.quiet:
        output.line(_changed(both))
    if apart is not None and not output.quiet:
        output.line(
            t(
                "measuring.divergence",
                mean=f"{apart.mean.value:.5f}",
                p99=f"{apart.p99:.4f}",
                same=f"{apart.same_top.value:.1%}",
            )
        )


def _changed(both: Estimate) -> str:
    low, high = f"{both.low:+.2%}", f"{both.high:+.2%}"
    return t("measuring.change", change=f"{both.value:+.2%}", low=low, high=high)


def _same_places(first: Perplexity, second: Perplexity) -> bool:
    return [len(one) for one in first.losses] == [len(one) for one in second.losses]


def _json(spec: ModelSpec, found: Perplexity) -> dict[str, Any]:
    return {
        "model": spec.name,
        "perplexity": found.estimate.as_dict(),
        "tokens": found.tokens,
        "windows": len(found.losses),
        "way": found.way,
        "seconds": round(found.seconds, 2),
    }


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        told = t("measuring.text_unreadable", file=file, reason=reason)
        raise UsageError(told, t("measuring.text_unreadable_hint"), param="text") from error
