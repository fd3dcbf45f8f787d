"""lrrec benchmark: tune, evaluate, compare, report, in one command."""

import json
import math
import shlex
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrrec.cli.model_commands import MODELS, check_folder, read_interactions
from lrrec.cli.options import (
    Data,
    DataHome,
    ItemColumn,
    Seed,
    Separator,
    TimeColumn,
    UserColumn,
    ValueColumn,
)

if TYPE_CHECKING:
    from lrrec.evaluation.comparison import Comparison
    from lrrec.splits import Split
    from lrrec.tuning.result import Tuning

_PROTOCOLS = ("by-user", "leave-last", "by-time", "ncf", "published")
N_NEGATIVES = 99  # of ncf
LIKED = 4  # a rating of so much is a like, where nothing else is said


def benchmark(
    data: Data,
    models: Annotated[
        str, typer.Option(help=f"Names separated by commas, of {', '.join(MODELS)}.")
    ] = "popularity,itemknn,ease,svd,ials",
    protocol: Annotated[
        str,
        typer.Option(
            help="by-user (test users are new to the models), leave-last, by-time, published, or ncf: the last "
            "interaction of each user among 99 others, every rating counting; ml-1m has the published lists."
        ),
    ] = "by-user",
    trials: Annotated[
        int, typer.Option(min=1, help="Settings tried for each model, on a part of the training data.")
    ] = 20,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds after which no other setting of a model is tried.", show_default=False)
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="NAME@K; may be repeated. Tuned by the first.", show_default=False),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            help="Parameters to take instead of tuning: a settings.json of an earlier run.", show_default=False
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="HTML file to write the report to.", show_default=False)] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for results.json, settings.json, users.csv, and study.db, with which a run that was stopped "
            "goes on.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    min_rating: Annotated[
        float | None,
        typer.Option(
            help="Count values of at least this as positive; 4 for data sets with ratings, but every rating for ncf.",
            show_default=False,
        ),
    ] = None,
    user: UserColumn = "user",
    item: ItemColumn = "item",
    value: ValueColumn = None,
    time: TimeColumn = None,
    sep: Separator = ",",
    data_home: DataHome = None,
) -> None:
    """Tune several models alike, compare them on test users who decided nothing, and write a report.

    Tuning needs the extra tune, a report the extra report: pip install 'lrrec[tune,report]'.
    """
    from rich.console import Console

    import lrrec
    from lrrec.errors import DataWarning, ParameterError
    from lrrec.metrics import check_names
    from lrrec.metrics.registry import DEFAULT_METRICS
    from lrrec.report.page import check_installed
    from lrrec.validate import check_option

    how = check_option(protocol.replace("_", "-"), "--protocol", _PROTOCOLS)
    names = [name.strip() for name in models.split(",")]
    if len(set(names)) < len(names):
        raise ParameterError(f"--models must be distinct, got {models!r}")
    candidates = {name: _model(check_option(name, "--models", tuple(MODELS)), seed) for name in names}
    metrics = check_names(metric or (["ndcg@10", "hit@10"] if how == "ncf" else list(DEFAULT_METRICS)))
    stored = None if settings is None else _read_settings(settings, candidates)
    if report is not None:
        check_folder(report)
        check_installed()
    if out is not None:
        if not out.absolute().parent.is_dir() or out.is_file():
            raise ParameterError(f"--out must be a folder, in one that exists, got {str(out)!r}")
        out.mkdir(exist_ok=True)

    split, validation, titles = _read(data, how, data_home, min_rating, seed, (user, item, value, time), sep)
    console = Console()
    console.print(f"{split.description}: {split.train!r}, {len(split.test_rows):,} test users", highlight=False)
    tunings: dict[str, Tuning] | None = None
    if stored is None:
        tunings = lrrec.tune(
            candidates, split, metric=metrics[0], validation=validation, n_trials=trials, timeout=timeout,
            storage=None if out is None else out / "study.db", random_state=seed, progress=True,
        )  # fmt: skip
        for name, one in tunings.items():
            console.print(f"{name}: {one!r}", highlight=False)
        stored = {name: one.model_.get_params() for name, one in tunings.items()}
    for name, params in stored.items():
        candidates[name].set_params(**params)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        found = lrrec.compare(candidates, split, metrics=metrics, random_state=seed)
    for message, concerned in _of_models(caught).items():
        typer.echo(f"Warning: {', '.join(concerned)}: {message}", err=True)
    typer.echo(repr(found))
    for what, done in found.protocol.describe().items():
        console.print(f"{what}: {done}", style="dim", highlight=False)

    if out is not None:
        _write(out, found, split, tunings, stored, {"data": data, "protocol": how, "seed": seed})
        typer.echo(f"results.json, settings.json and users.csv written to {out}")
    if report is not None:
        command = f"lrrec {shlex.join(sys.argv[1:])}"
        title = f"{data}: {len(found.evaluations)} models, {how}"
        page = lrrec.Report(title, found, split=split, tunings=tunings, titles=titles, command=command)
        page.save(report)
        typer.echo(f"report written to {report} ({report.stat().st_size:,} bytes)")


def _of_models(caught: list[warnings.WarningMessage]) -> dict[str, list[str]]:
    """The names of the models that each distinct warning is about."""
    from lrrec.errors import ModelWarning

    models: dict[str, list[str]] = {}
    for warning in (entry.message for entry in caught):
        if isinstance(warning, ModelWarning):
            models.setdefault(warning.message, []).append(warning.model)
        else:
            models.setdefault(str(warning), []).append("all")
    return models


def _model(name: str, seed: int) -> Any:
    """An unfitted model of a name."""
    import lrrec

    model = getattr(lrrec, MODELS[name])()
    return model.set_params(random_state=seed) if "random_state" in model.get_params() else model


def _read_settings(path: Path, models: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters of each model, out of a settings.json."""
    from lrrec.errors import FileFormatError, ParameterError

    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(f"--settings must be a file, got {str(path)!r}, which does not exist") from None
    except ValueError as error:
        raise FileFormatError(f"{path} must be JSON, as an earlier run wrote it: {error}") from None
    if not isinstance(stored, dict) or not all(isinstance(stored.get(name), dict) for name in models):
        raise FileFormatError(f"{path} must hold parameters for each of {', '.join(models)}")
    for name, model in models.items():
        strange = sorted(set(stored[name]) - set(model.get_params()))
        if strange:
            raise FileFormatError(f"{path} must hold parameters of {type(model).__name__}, got {', '.join(strange)}")
    return {name: stored[name] for name in models}


def _read(
    data: str, how: str, data_home: Path | None, min_rating: float | None, seed: int,
    columns: tuple[str, str, str | None, str | None], sep: str,
) -> tuple["Split", "Split | None", dict[Any, str]]:  # fmt: skip
    """The split, what to tune on where that is not for tune to cut, and titles."""
    import lrrec
    from lrrec.errors import ParameterError

    named = data in lrrec.datasets.names()
    if how == "ncf" and data == "ml-1m":
        data, how = "ncf-ml-1m", "published"
    titles: dict[Any, str] = {}
    if named:
        dataset = lrrec.datasets.load(data, data_home)
        if "title" in dataset.items:
            titles = dict(zip(dataset.items["item"].tolist(), dataset.items["title"].tolist(), strict=True))
        if min_rating is None and "rating" in dataset.ratings:
            min_rating = LIKED if how != "ncf" else float(dataset.ratings["rating"].min())
    if how == "published":
        if not named:
            raise ParameterError(f"--protocol must not be published for a file, got DATA {data!r}")
        split = dataset.split()
        if split.candidates is not None:
            return split, _one_among(lrrec.splits.leave_last(split.train), seed), titles
        return split, dataset.split("valid") if data == "gowalla" else None, titles
    interactions = read_interactions(data, data_home, min_rating, columns, sep)
    if how == "ncf":
        split = _one_among(lrrec.splits.leave_last(interactions), seed)
        return split, _one_among(lrrec.splits.leave_last(split.train), seed), titles
    if how == "leave-last":
        return lrrec.splits.leave_last(interactions), None, titles
    if how == "by-time":
        return lrrec.splits.by_time(interactions), None, titles
    return lrrec.splits.by_user(interactions, random_state=seed), None, titles


def _one_among(split: "Split", seed: int) -> "Split":
    """The split with the candidates of ncf."""
    import lrrec

    return lrrec.splits.with_negatives(split, N_NEGATIVES, random_state=seed)


def _write(
    out: Path, found: "Comparison", split: "Split", tunings: "dict[str, Tuning] | None",
    stored: dict[str, dict[str, Any]], asked: dict[str, Any],
) -> None:  # fmt: skip
    """What was found, as files for programs."""
    import lrrec

    intervals = {name: one.interval() for name, one in found.evaluations.items()}
    rows = {
        name: {
            "params": stored[name],
            "metrics": {
                metric: {
                    "mean": mean,
                    "low": _null(intervals[name][metric][0]),
                    "high": _null(intervals[name][metric][1]),
                }
                for metric, mean in one.mean().items()
            },
            "fit_seconds": found.fit_seconds[name],
            "recommend_seconds": found.recommend_seconds[name],
        }
        for name, one in found.evaluations.items()
    }
    pairs = found.pairs(found.per_user_metrics[0]) if len(rows) > 1 and found.per_user_metrics else None
    results = {
        "lrrec": lrrec.__version__,
        **asked,
        "split": split.summary(),
        "done": found.protocol.describe(),
        "models": rows,
        "pairs": [] if pairs is None else json.loads(pairs.to_json(orient="records")),
        "tuning": None if tunings is None else {name: _tuned(one) for name, one in tunings.items()},
    }
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (out / "settings.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    found.to_frame().to_csv(out / "users.csv", index=False)


def _null(value: float) -> float | None:
    """A number for JSON, which has null instead of NaN."""
    return None if math.isnan(value) else value


def _tuned(one: "Tuning") -> dict[str, Any]:
    """How a model was tuned."""
    return {
        "metric": one.metric,
        "validation": one.validation,
        "best_params": one.best_params_,
        "best_value": one.best_value_,
        "trials": json.loads(one.trials_.to_json(orient="records")),
    }
