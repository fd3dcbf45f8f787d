"""Report: an evaluation as one self-contained HTML page."""

import base64
import datetime
import hashlib
import importlib.metadata
import os
import platform
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from lrrec.adapt.transfer import LearningCurve
from lrrec.errors import DataError, ParameterError, ParameterTypeError
from lrrec.evaluation.comparison import Comparison
from lrrec.evaluation.evaluation_result import Evaluation
from lrrec.evaluation.protocol import Protocol
from lrrec.files import replacing
from lrrec.models import by_command_name
from lrrec.report import sections
from lrrec.report.sections import Cell, Section, Table
from lrrec.splits import Split
from lrrec.tuning.tuning_result import Tuning
from lrrec.typing import FrameLike
from lrrec.validate import as_path, import_extra

# What one call of lrrec.splits makes.
SPLITS = ("random", "leave_last", "by_user", "cold_items", "cold_users", "by_time")
PACKAGES = ("lrrec", "numpy", "scipy", "scikit-learn", "numba", "pandas", "torch", "optuna")


class Report:
    """One self-contained page on how good models are: no network, no fonts or scripts from elsewhere.

    It has a section for each part: data (the long tail, activity), the models compared with intervals and paired
    tests, users by history length, a transfer, the tuning, examples of recommendations, the exact protocol with the
    formulas of the metrics, and how to repeat it with versions and seeds.

    Parameters
    ----------
    title : str
    comparison : Comparison, optional
        Made by `compare`. Its fitted models give the examples.
    evaluations : dict of str to Evaluation, optional
        Instead of a comparison: of the same users, by the names of the models.
    split : Split, optional
        The split of the comparison.
    tunings : dict of str to Tuning, optional
        Made by `tune`.
    transfer : LowRankAdapter or frame, optional
        A guarded adapter, or its `report_`.
    curves : LearningCurve or frame, optional
        Made by `lrrec.adapt.learning_curve`; or a frame with the columns users (of the target), method and a metric,
        whose rows of the same users and method are averaged.
    titles : dict of item id to str, optional
    metric : str, optional
        The metric of pictures and paired tests; the first of the comparison with a value for each user when
        not given.
    command : str, optional
        The command that repeats the evaluation, shown as it is.

    Notes
    -----
    Needs jinja2 and matplotlib. The page can be read on a phone, in the dark, by keyboard and by a screen reader;
    tables are sorted by their headings. Models are in the order of their means, the best first.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_user(data, random_state=0)
    >>> models = {"popularity": lrrec.Popularity(), "knn": lrrec.ItemKNN()}
    >>> comparison = lrrec.compare(models, split, metrics=["ndcg@10"])
    >>> report = lrrec.Report("Two models of likes", comparison, split=split)
    >>> report.save("report.html")  # doctest: +SKIP
    """

    title: str
    comparison: Comparison | None
    split: Split | None
    tunings: dict[str, Tuning] | None
    transfer: Any
    curves: LearningCurve | FrameLike | None
    titles: dict[Any, str]
    metric: str
    command: str | None

    def __init__(
        self, title: str, comparison: Comparison | None = None, *, evaluations: dict[str, Evaluation] | None = None,
        split: Split | None = None, tunings: dict[str, Tuning] | None = None, transfer: Any = None,
        curves: LearningCurve | FrameLike | None = None, titles: dict[Any, str] | None = None,
        metric: str | None = None, command: str | None = None,
    ) -> None:  # fmt: skip
        if comparison is not None and evaluations is not None:
            raise ParameterError("evaluations must not be given beside a comparison, got both")
        if evaluations is not None:
            comparison = Comparison(evaluations)
        if comparison is None and all(part is None for part in (split, tunings, transfer, curves)):
            raise ParameterError("comparison must be given, or another part of a report, got none")
        for name, value, kind in (
            ("title", title, str), ("comparison", comparison, Comparison), ("split", split, Split),
            ("tunings", tunings, dict), ("titles", titles, dict), ("command", command, str), ("metric", metric, str),
        ):  # fmt: skip
            if value is not None and not isinstance(value, kind):
                raise ParameterTypeError(f"{name} must be a {kind.__name__}, got {type(value).__name__}")
        if metric is not None and (comparison is None or metric not in comparison.metrics):
            options = "None without a comparison" if comparison is None else f"one of {', '.join(comparison.metrics)}"
            raise ParameterError(f"metric must be {options}, got {metric!r}")
        if comparison is not None and split is not None and not _fits(comparison, split):
            raise DataError("split must be the split of the comparison, its test users are others")
        self.metric = ""
        if comparison is not None:
            self.metric = comparison.metrics[0] if metric is None else metric
            order = comparison.best_first(self.metric)
            comparison = replace(comparison, evaluations={name: comparison.evaluations[name] for name in order})
        self.title, self.comparison, self.split, self.tunings = title, comparison, split, tunings
        self.transfer, self.curves, self.titles, self.command = transfer, curves, titles or {}, command

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to path, replacing it whole or not at all."""
        target = as_path(path).absolute()
        if not target.parent.is_dir() or target.is_dir():
            raise ParameterError(f"path must be a file in a folder that exists, got {str(path)!r}")
        with replacing(target) as file:
            file.write(self.html().encode())

    def html(self) -> str:
        """Return the page."""
        jinja2 = check_installed()
        folder = Path(__file__).parent / "templates"
        template, script = ((folder / name).read_text(encoding="utf-8") for name in ("report.html.j2", "sort.js"))
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        pairs, comparison = None, self.comparison
        if comparison is not None and len(comparison.evaluations) > 1 and self.metric in comparison.per_user_metrics:
            pairs = comparison.pairs(self.metric)
        now = datetime.datetime.now(datetime.UTC)
        return environment.from_string(template).render(
            title=self.title,
            made=f"Made on {now:%d %B %Y} with lrrec {_version('lrrec')}.",
            verdict=self._verdict(pairs),
            sections=self._sections(pairs),
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            foot="This page is one file: it loads nothing and sends nothing.",
        )

    def _sections(self, pairs: Any) -> list[Section]:
        """The sections of all parts there are."""
        comparison, split, metric = self.comparison, self.split, self.metric
        parts: list[Section | None] = []
        if comparison is not None:
            parts += [sections.comparison(comparison, metric, pairs), sections.history(comparison, metric)]
        if self.transfer is not None or self.curves is not None:
            parts.append(sections.transfer(self.transfer, self.curves))
        if self.tunings:
            names = [name for name in (comparison.evaluations if comparison else ()) if name in self.tunings]
            parts.append(sections.tuning({name: self.tunings[name] for name in names} | self.tunings))
        if comparison is not None and split is not None:
            parts.append(sections.examples(comparison, metric, split, self.titles))
        if split is not None:
            parts.append(sections.data(split))
        if comparison is not None:
            parts.append(sections.protocol(comparison, split))
        parts.append(self._repetition())
        return [part for part in parts if part is not None]

    def _verdict(self, pairs: Any) -> str:
        """The best model and how sure its lead is."""
        if self.comparison is None:
            return ""
        metric, (best, *others) = self.metric, self.comparison.evaluations
        result = self.comparison.evaluations[best]
        interval = sections.bounds(*result.interval()[metric])
        value = f"{result.mean()[metric]:.4f}{f' ({interval})' if interval else ''}"
        verdict = f"{best} has the best mean {metric} over {len(result.users):,} users: {value}."
        if pairs is None:
            return verdict
        row = pairs[(pairs["model"] == best) & (pairs["other"] == others[0])].iloc[0]
        p = row["p holm"]
        return (
            f"{verdict} The next is {others[0]}, apart by {abs(row['difference']):.4f} (p = {p:.4f}, corrected for "
            f"{len(pairs)} pair{'s' if len(pairs) > 1 else ''}): {'more than' if p < 0.05 else 'that may be'} chance "
            "in the choice of users."
        )

    def _repetition(self) -> Section:
        """Versions and code."""
        rows = [[Cell("Python"), Cell(platform.python_version())]]
        rows += [[Cell(name), Cell(version)] for name in PACKAGES if (version := _version(name))]
        rows.append([Cell("system"), Cell(f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores")])
        texts = ["The same data, seeds and versions give the same figures, for any number of threads; seconds differ."]
        codes = [self.command] if self.command else []
        code = self._code()
        if code:
            codes.append(code)
        tables = [Table("Versions", ["package", "version"], rows, sortable=False)]
        return Section("repeat", "How to repeat it", texts, tables=tables, codes=codes)

    def _code(self) -> str:
        """The comparison as Python, as far as it is known."""
        comparison, split = self.comparison, self.split
        if comparison is None or not comparison.models:
            return ""
        lines = ["import lrrec", ""]
        if split is not None:
            lines.append(f"# data: the interactions; split.sha256 == '{split.sha256}'")
            lines.append(_split_code(split))
        lines.append("models = {")
        lines += [f"    {name!r}: {_model_code(model)}," for name, model in comparison.models.items()]
        options = _options_code(comparison.protocol)
        lines.append("}")
        lines.append(f"comparison = lrrec.compare(models, split, metrics={comparison.metrics!r}{options})")
        return "\n".join([*lines, "print(comparison)"])


def _fits(comparison: Comparison, split: Split) -> bool:
    """Whether every evaluated user is a test user."""
    rows = split.users.find(next(iter(comparison.evaluations.values())).users)
    return bool((rows >= 0).all()) and set(rows.tolist()) <= set(split.test_rows.tolist())


def _split_code(split: Split) -> str:
    """How a split is made, as code if one function of lrrec.splits makes it."""
    params = dict(split.params)
    negatives, half_life = params.pop("negatives", None), params.pop("half_life", None)
    if split.kind not in SPLITS:
        return f"split = ...  # {split.description or 'made by hand'}"
    code = f"split = lrrec.splits.{split.kind}({', '.join(['data', *_keywords(params)])})"
    if negatives is not None:
        code += f"\nsplit = lrrec.splits.with_negatives({', '.join(['split', *_keywords(negatives)])})"
    return code if half_life is None else f"{code}\nsplit = split.decayed({half_life!r})"


def _options_code(protocol: Protocol) -> str:
    """The options of `compare`, by the protocol."""
    options: dict[str, Any] = {}
    if protocol.candidates.kind == "sampled":
        options |= {"candidates": protocol.candidates.n, "random_state": protocol.candidates.random_state}
    if protocol.exclude_seen is False:
        options["exclude_seen"] = False
    return "".join(f", {keyword}" for keyword in _keywords(options))


def _keywords(arguments: dict[str, Any]) -> list[str]:
    """Arguments as code."""
    return [f"{name}={value!r}" for name, value in arguments.items()]


def _model_code(model: Any) -> str:
    """How a model is made, whole: scikit-learn cuts what it prints at 700 characters."""
    if not type(model).__module__.startswith("lrrec."):
        return f"...  # {' '.join(repr(model).split())}"
    code = " ".join(model.__repr__(N_CHAR_MAX=10**6).split())
    return re.sub(rf"\b(?=({'|'.join(by_command_name().values())})\()", "lrrec.", code)  # models of a blend too


def _version(name: str) -> str:
    """The version of an installed package, or nothing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def check_installed() -> ModuleType:
    """Return Jinja2 if it and matplotlib are installed: to be called before anything takes long."""
    import_extra("matplotlib", "report", "Report")
    return import_extra("jinja2", "report", "Report")
