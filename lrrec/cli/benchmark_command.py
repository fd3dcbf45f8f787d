"""lrrec benchmark: tune, evaluate, compare, report, in one command."""

import json
import math
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lrrec
from lrrec.cli import options as opt
from lrrec.cli.inputs import (
    MODELS,
    PROTOCOL_HELP,
    SEVERAL,
    Source,
    check_protocol,
    item_vectors,
    make_model,
)
from lrrec.cli.show import print_protocol
from lrrec.cli.transfer_benchmark import check_options, check_page, make_folder, run_transfer, save_page
from lrrec.errors import DataWarning, FileFormatError, ParameterError

if TYPE_CHECKING:
    from rich.console import Console

    from lrrec.evaluation.comparison import Comparison
    from lrrec.splits import Split
    from lrrec.tuning.tuning_result import Tuning

BLEND = "blend"  # its name in the results


def benchmark(
    context: typer.Context,
    data: opt.OptionalData = None,
    models: Annotated[
        str, typer.Option(help=f"Names separated by commas, of {', '.join(MODELS)}.")
    ] = "popularity,itemknn,ease,svd,ials",
    protocol: Annotated[str, typer.Option(help=f"{PROTOCOL_HELP} Only those of one split.")] = "by-user",
    repeats: opt.Repeats = None,
    test_file: opt.TestFile = None,
    history_file: opt.HistoryFile = None,
    validation_file: Annotated[
        Path | None,
        typer.Option(
            help="CSV file of interactions to tune on; by default a part of DATA. Not trained on.", show_default=False
        ),
    ] = None,
    trials: Annotated[
        int, typer.Option(min=1, help="Settings to try for each model, on a part of the training data.")
    ] = 20,
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds after which no more settings of a model are tried.", show_default=False),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Validation parts of the training data that each setting is tried on, each of other users; by default "
            "as many as make about 1,000 validation users, at most 5.",
            show_default=False,
        ),
    ] = None,
    metric: opt.Metric = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            help="Use these parameters instead of tuning: a settings.json of an earlier run.", show_default=False
        ),
    ] = None,
    blend: Annotated[
        bool,
        typer.Option(
            "--blend",
            help="Compare a blend of all models too, each as it is tuned; its weights are chosen in training.",
        ),
    ] = False,
    report: Annotated[Path | None, typer.Option(help="HTML file to write the report to.", show_default=False)] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for results.json, settings.json, users.csv and study.db, from which an interrupted run "
            "resumes.",
            show_default=False,
        ),
    ] = None,
    seed: opt.Seed = 0,
    min_rating: Annotated[
        float | None,
        typer.Option(
            help="Count values of at least this as positive. Default of data sets with ratings: 4, and all for ncf.",
            show_default=False,
        ),
    ] = None,
    min_interactions: opt.MinInteractions = None,
    user: opt.UserColumn = "user",
    item: opt.ItemColumn = "item",
    value: opt.ValueColumn = None,
    time: opt.TimeColumn = None,
    half_life: opt.HalfLife = None,
    delimiter: opt.Delimiter = ",",
    read: opt.Read = None,
    data_home: opt.DataHome = None,
    transfer: Annotated[
        str | None,
        typer.Option(
            help="SOURCE:TARGET instead of DATA, e.g. xmarket/uk+ca:xmarket/jp: data sets or files, several sources "
            "joined by +. Adapt a model of the source to more and more users of the target, by every method.",
            show_default=False,
        ),
    ] = None,
    sizes: Annotated[str, typer.Option(help="Transfer: numbers of target users; all are added.")] = "10,25,50,100",
    draws: Annotated[int, typer.Option(min=1, help="Transfer: how often users are drawn.")] = 1,
    validation_users: Annotated[
        int,
        typer.Option(min=0, help="Transfer: further users to tune all methods on. With 0: those adapted to, in folds."),
    ] = 0,
) -> None:
    r"""Tune models with equal budgets, compare them on test users, and write a report; or measure a transfer.

    Models are tuned by the first metric, by which the weights of a blend are chosen too.
    Tuning needs the extra tune, a report the extra report: pip install 'lrrec\[tune,report]'.
    """
    from rich.console import Console

    from lrrec.metrics import check_names
    from lrrec.metrics.registry import DEFAULT_METRICS

    check_options(context)
    if transfer is not None:
        template = Source("", data_home, min_rating, user, item, value, time, delimiter, read, min_interactions)
        numbers = {"n_draws": draws, "n_validation": validation_users, "random_state": seed}
        run_transfer(transfer, template, metric, sizes, numbers, report, out)
        return
    assert data is not None
    name_of_protocol = check_protocol(protocol, "--protocol", leave_out=tuple(SEVERAL))
    estimators = _make_models(models, seed)
    metrics = check_names(metric or (["ndcg@10", "hit@10"] if name_of_protocol == "ncf" else list(DEFAULT_METRICS)))
    if blend:
        _check_blend(models, list(estimators), metrics[0])
    params = None if settings is None else _read_settings(settings, estimators)
    check_page(report)
    make_folder(out)
    source = Source(
        data, data_home, min_rating, user, item, value, time, delimiter, read, min_interactions=min_interactions,
        test_file=test_file, history_file=history_file, validation_file=validation_file, half_life=half_life,
    )  # fmt: skip
    source.set_min_rating(name_of_protocol)
    (plain,) = source.splits(name_of_protocol, repeats=repeats, seed=seed)
    split = source.weighted(plain)
    console = Console()
    console.print(f"{split.description}: {split.train!r}, {len(split.test_rows):,} test users", highlight=False)
    tunings: dict[str, Tuning] | None = None
    if params is None:
        tunings = _tune(
            estimators, split, metric=metrics[0], validation=source.validation(plain, name_of_protocol, seed),
            folds=folds, n_trials=trials, timeout=timeout, storage=None if out is None else out / "study.db",
            random_state=seed,
        )  # fmt: skip
        params = {name: tuning.model_.get_params() for name, tuning in tunings.items()}
    tuned = {name: estimators[name].set_params(**values) for name, values in params.items()}
    blends = {BLEND: lrrec.Blend(list(tuned.values()), metric=metrics[0], random_state=seed)} if blend else {}
    comparison = _compare(tuned | blends, split, metrics, seed)
    _show(console, comparison, params)
    if out is not None:
        _write(out, comparison, split, tunings, params, {"data": data, "protocol": name_of_protocol, "seed": seed})
        typer.echo(f"results.json, settings.json and users.csv written to {out}")
    if report is not None:
        title = f"{data}: {len(comparison.evaluations)} models, {name_of_protocol}"
        options: Any = {"split": split, "tunings": tunings, "command": f"lrrec {shlex.join(sys.argv[1:])}"}
        save_page(lrrec.Report(title, comparison, titles=_titles(source), **options), report)


def _make_models(models: str, seed: int) -> dict[str, Any]:
    """Unfitted models of names separated by commas."""
    names = [name.strip() for name in models.split(",")]
    if len(set(names)) < len(names):
        raise ParameterError(f"--models must be distinct, got {models!r}")
    return {name: make_model(name, seed=seed, option="--models") for name in names}


def _check_blend(models: str, names: list[str], metric: str) -> None:
    """Refuse what cannot be blended, before any work is done."""
    from lrrec.metrics import parse

    if len(names) < 2 or BLEND in names:
        raise ParameterError(f"--blend needs at least two --models, none of which is a blend, got {models!r}")
    parse(metric, ("ranking",))


def _weights(comparison: "Comparison", params: dict[str, Any]) -> dict[str, float]:
    """The weights of the models that the blend of all uses, the largest first; none where there is no such blend."""
    if BLEND in params or BLEND not in comparison.models:
        return {}
    weights = sorted(zip(params, comparison.models[BLEND].weights_.tolist(), strict=True), key=lambda pair: -pair[1])
    return {name: weight for name, weight in weights if weight > 0}


def _show(console: "Console", comparison: "Comparison", params: dict[str, Any]) -> None:
    """Print what was measured, and how."""
    typer.echo(repr(comparison))
    if weights := _weights(comparison, params):
        typer.echo(f"{BLEND}: {', '.join(f'{name} {weight:.2f}' for name, weight in weights.items())}")
    print_protocol(console, next(iter(comparison.evaluations.values())))


def _titles(source: Source) -> dict[Any, str]:
    """Titles of the items, where the data set has them."""
    if source.dataset is None or "title" not in source.dataset.items:
        return {}
    items = source.dataset.items
    return dict(zip(items["item"].tolist(), items["title"].tolist(), strict=True))


def _tune(models: dict[str, Any], split: "Split", **options: Any) -> "dict[str, Tuning]":
    """Tune; print the results and warnings."""
    from rich.console import Console

    with _warnings_printed():
        tunings = lrrec.tune(models, split, progress=True, **options)
    for name, tuning in tunings.items():
        Console().print(f"{name}: {tuning!r}", highlight=False)
    return tunings


def _compare(models: dict[str, Any], split: "Split", metrics: list[str], seed: int) -> "Comparison":
    """Compare; print warnings."""
    with _warnings_printed():
        return lrrec.compare(models, split, metrics=metrics, vectors=item_vectors(split, metrics), random_state=seed)


@contextmanager
def _warnings_printed() -> Iterator[None]:
    """Print each warning once, with the models that it is about."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        yield
    models_of: dict[str, list[str]] = {}
    for warning in (record.message for record in caught):
        text, model = (warning.text, warning.model) if isinstance(warning, DataWarning) else (str(warning), "")
        models_of.setdefault(text, []).append(model or "all")
    for text, names in models_of.items():
        typer.echo(f"Warning: {', '.join(names)}: {text}", err=True)


def _read_settings(path: Path, models: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters of each model in a settings.json."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(f"--settings must be a file, got {str(path)!r}, which does not exist") from None
    except ValueError as error:
        raise FileFormatError(f"{path} is not a settings.json of an earlier run: {error}") from None
    if not isinstance(stored, dict) or not all(isinstance(stored.get(name), dict) for name in models):
        raise FileFormatError(f"{path} does not have parameters for each of {', '.join(models)}")
    for name, model in models.items():
        unknown = sorted(set(stored[name]) - set(model.get_params()))
        if unknown:
            raise FileFormatError(f"{path} has unknown parameters of {type(model).__name__}: {', '.join(unknown)}")
    return {name: stored[name] for name in models}


def _write(
    out: Path, comparison: "Comparison", split: "Split", tunings: "dict[str, Tuning] | None",
    params: dict[str, dict[str, Any]], run: dict[str, Any],
) -> None:  # fmt: skip
    """Write the results as files for programs."""
    intervals = {name: evaluation.interval() for name, evaluation in comparison.evaluations.items()}
    rows = {
        name: {
            "params": params[name] if name in params else {"weights": _weights(comparison, params)},
            "metrics": {
                metric: {"mean": mean, "low": intervals[name][metric][0], "high": intervals[name][metric][1]}
                for metric, mean in evaluation.mean().items()
            },
            "fit_seconds": comparison.fit_seconds[name],
            "recommend_seconds": comparison.recommend_seconds[name],
        }
        for name, evaluation in comparison.evaluations.items()
    }
    results = {
        "lrrec": lrrec.__version__,
        **run,
        "split": split.as_dict(),
        "done": comparison.protocol.describe(),
        "models": rows,
        "pairs": json.loads(comparison.pairs(comparison.metrics[0]).to_json(orient="records")) if len(rows) > 1 else [],
        "tuning": None if tunings is None else {name: _tuning_results(tuning) for name, tuning in tunings.items()},
    }
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (out / "settings.json").write_text(json.dumps(params, indent=1) + "\n", encoding="utf-8")
    comparison.to_frame().to_csv(out / "users.csv", index=False)


def _finite(value: float) -> float | None:
    """A number as JSON stores it: None for NaN."""
    return value if math.isfinite(value) else None


def _tuning_results(tuning: "Tuning") -> dict[str, Any]:
    """The trials of a model, and the best."""
    return {
        "metric": tuning.metric,
        "validation": tuning.validation,
        "best_params": tuning.best_params_,
        "best_value": tuning.best_value_,
        "gain": _finite(tuning.gain_),
        "gain_interval": [_finite(bound) for bound in tuning.gain_interval_],
        "users": tuning.n_users,
        "trials": json.loads(tuning.trials_.to_json(orient="records")),
    }
