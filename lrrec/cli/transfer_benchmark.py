"""lrrec benchmark --transfer: learning curves of adapters, from two data sets or files."""

import json
import shlex
import sys
import warnings
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

import lrrec
from lrrec.cli.inputs import Source, check_out
from lrrec.cli.show import curve_table
from lrrec.errors import DataWarning, ParameterError

if TYPE_CHECKING:
    from lrrec.adapt import LearningCurve

ALONE = ("sizes", "draws", "validation_users")  # options that need --transfer
SHARED = (
    "metric", "report", "out", "seed", "min_rating", "min_interactions", "user", "item", "value", "time", "delimiter",
    "read", "data_home",
)  # fmt: skip


def check_options(context: typer.Context) -> None:
    """Refuse options that would be ignored, and DATA beside or missing without a transfer."""
    flags = {param.name: param.opts[0] if param.opts[0].startswith("-") else "DATA" for param in context.command.params}
    given = [name for name in flags if getattr(context.get_parameter_source(str(name)), "name", "") == "COMMANDLINE"]
    if "transfer" in given:
        for name in given:
            if name not in ("transfer", *ALONE, *SHARED):
                raise ParameterError(f"{flags[name]} cannot be used with --transfer: leave it out")
    elif "data" not in given:
        raise ParameterError("DATA must be the name of a data set or a file, or --transfer SOURCE:TARGET, got neither")
    else:
        for name in given:
            if name in ALONE:
                raise ParameterError(
                    f"{flags[name]} is for transfers: add --transfer SOURCE:TARGET in the place of DATA"
                )


def check_page(report: Path | None) -> None:
    """Refuse a report that cannot be written, before any work is done."""
    from lrrec.report.page import check_installed

    if report is not None:
        check_out(report, "--report")
        check_installed()


def save_page(report: "lrrec.Report", path: Path) -> None:
    """Save a report, and say how large it is."""
    report.save(path)
    typer.echo(f"report written to {path} ({path.stat().st_size:,} bytes)")


def can_report() -> bool:
    """Whether what a report needs is installed."""
    return all(map(find_spec, ("matplotlib", "jinja2")))


def make_folder(out: Path | None) -> None:
    """Make the folder of the results, in one that exists."""
    if out is not None:
        if not out.absolute().parent.is_dir() or out.is_file():
            raise ParameterError(f"--out must be a folder, in one that exists, got {str(out)!r}")
        out.mkdir(exist_ok=True)


def run_transfer(
    transfer: str, template: Source, metrics: list[str] | None, sizes: str, numbers: dict[str, int],
    report: Path | None, out: Path | None,
) -> None:  # fmt: skip
    """Measure a transfer; print its learning curves and verdicts, write files and a report with the picture."""
    from rich.console import Console

    metric, *others = metrics or ["ndcg@10"]
    if others:
        raise ParameterError(f"--metric must be one metric with --transfer, got {len(others) + 1}")
    if not all(size.strip().isdecimal() for size in sizes.split(",")):
        raise ParameterError(f"--sizes must be integers separated by commas, got {sizes!r}")
    sources, target = _parse(transfer)
    check_page(report)
    make_folder(out)
    page = out / "report.html" if out is not None and report is None and can_report() else report
    parts = [_read(template, name) for name in (*sources, target)]
    console = Console()
    for name, part in zip((*sources, target), parts, strict=True):
        console.print(f"{name}: {part!r}", highlight=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        curve = lrrec.adapt.learning_curve(
            parts[:-1], parts[-1], sizes=[int(size) for size in sizes.split(",")], metric=metric, **numbers,
            callback=lambda step: console.print(step, style="dim", highlight=False),
        )  # fmt: skip
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        typer.echo(f"Warning: {text}", err=True)
    console.print(curve_table(curve))
    for verdict in curve.verdicts():
        console.print(verdict, highlight=False)
    if out is not None:
        _write(out, curve, {"transfer": transfer, **numbers})
        typer.echo(f"results.json and users.csv written to {out}")
        if page is None:
            typer.echo("no report.html, which needs pip install 'lrrec[report]'", err=True)
    if page is not None:
        command = f"lrrec {shlex.join(sys.argv[1:])}"
        save_page(lrrec.Report(f"{' + '.join(sources)} to {target}", curves=curve, command=command), page)


def _parse(transfer: str) -> tuple[list[str], str]:
    """The sources and the target of SOURCE+SOURCE:TARGET; a + or : may also be part of a name or a path."""
    source, _, target = transfer.rpartition(":")
    if not source or not target:
        raise ParameterError(f"--transfer must be SOURCE:TARGET, got {transfer!r}")
    whole = lrrec.datasets.is_name(source) or Path(source).exists()
    return [source] if whole else source.split("+"), target


def _read(template: Source, name: str) -> Any:
    """The interactions of a data set or file."""
    source = replace(template, data=name)
    if source.dataset is not None:  # the options of columns are those of the files beside it
        source = Source(name, template.data_home, template.min_rating, min_interactions=template.min_interactions)
    source.set_min_rating()
    return source.interactions()


def _write(out: Path, curve: "LearningCurve", options: dict[str, Any]) -> None:
    """Write the results as files for programs."""
    results = {
        "lrrec": lrrec.__version__,
        **options,
        "metric": curve.metric,
        "base": {"model": type(curve.base).__name__, "params": curve.base.get_params()},
        "curve": json.loads(curve.summary().to_json(orient="records")),
        "guard": json.loads(curve.choices.to_json(orient="records")),
    }
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    curve.values.to_csv(out / "users.csv", index=False)
