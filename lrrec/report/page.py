"""Report: an evaluation as one HTML page that needs nothing else."""

import ast
import datetime
import importlib
import importlib.metadata
import os
import platform
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from lrrec.errors import DataError, MissingDependencyError, ParameterError, ParameterTypeError
from lrrec.evaluation.comparison import Comparison
from lrrec.evaluation.result import Evaluation
from lrrec.report import sections
from lrrec.report.sections import Cell, Section, Table
from lrrec.splits import Split
from lrrec.tuning.result import Tuning

PACKAGES = ("lrrec", "numpy", "scipy", "scikit-learn", "numba", "pandas", "torch", "optuna")


class Report:
    """One self-contained page on how good models are: no network, no fonts or scripts from elsewhere.

    It has a section for whatever is given: data (the long tail, activity), the models compared with intervals and
    paired tests, users by history length, a transfer, the tuning, examples of recommendations, the exact protocol, and
    how to repeat it with versions and seeds.

    Parameters
    ----------
    title : str
    comparison : Comparison, optional
        Made by `compare`. Its fitted models give the examples.
    evaluations : dict of str to Evaluation, optional
        In the place of a comparison: of the same users, by the names of the models.
    split : Split, optional
        That was evaluated on.
    tunings : dict of str to Tuning, optional
        Made by `tune`.
    transfer : LowRankAdapter or frame, optional
        A guarded adapter, or its `report_`.
    curves : frame, optional
        Learning curves of a transfer: columns users (of the target), method and a metric. Rows of the same users and
        method are averaged.
    titles : dict of item id to str, optional
    metric : str, optional
        What is shown in pictures and paired; the first of the comparison when not given.
    command : str, optional
        What to type to repeat it, shown as it is.

    Notes
    -----
    Needs jinja2 and matplotlib. The page can be read on a phone, in the dark, by keyboard and by a screen reader;
    tables are sorted by their headings. Models are shown in the order of their means, the best first.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_user(data, random_state=0)
    >>> found = lrrec.compare({"popularity": lrrec.Popularity(), "knn": lrrec.ItemKNN()}, split, ["ndcg@10"])
    >>> report = lrrec.Report("What is liked", found, split=split)
    >>> report.save("report.html")  # doctest: +SKIP
    """

    def __init__(
        self, title: str, comparison: Comparison | None = None, *, evaluations: dict[str, Evaluation] | None = None,
        split: Split | None = None, tunings: dict[str, Tuning] | None = None, transfer: Any = None, curves: Any = None,
        titles: dict[Any, str] | None = None, metric: str | None = None, command: str | None = None,
    ) -> None:  # fmt: skip
        if comparison is not None and evaluations is not None:
            raise ParameterError("evaluations must not be given beside a comparison, got both")
        if evaluations is not None:
            comparison = Comparison(evaluations)
        if comparison is None and all(part is None for part in (split, tunings, transfer, curves)):
            raise ParameterError("comparison must be given, or another part of a report, got none")
        for what, given, kind in (
            ("title", title, str), ("comparison", comparison, Comparison), ("split", split, Split),
            ("tunings", tunings, dict), ("titles", titles, dict), ("command", command, str),
        ):  # fmt: skip
            if given is not None and not isinstance(given, kind):
                raise ParameterTypeError(f"{what} must be a {kind.__name__}, got {type(given).__name__}")
        if metric is not None and (comparison is None or metric not in comparison.metrics):
            known = "None without a comparison" if comparison is None else f"one of {', '.join(comparison.metrics)}"
            raise ParameterError(f"metric must be {known}, got {metric!r}")
        if comparison is not None and split is not None and not _fits(comparison, split):
            raise DataError("split must be the one that was evaluated on: its test users are others")
        if comparison is not None:
            self.metric = comparison.metrics[0] if metric is None else metric
            best_first = sections.ranked(comparison, self.metric)
            comparison = replace(comparison, evaluations={name: comparison.evaluations[name] for name in best_first})
        else:
            self.metric = ""
        self.title, self.comparison, self.split, self.tunings = title, comparison, split, tunings
        self.transfer, self.curves, self.titles, self.command = transfer, curves, titles or {}, command

    def save(self, path: str | os.PathLike) -> None:
        """Write the page to path, replacing it whole or not at all."""
        target = Path(path).absolute()
        if not target.parent.is_dir() or target.is_dir():
            raise ParameterError(f"path must be a file in a folder that exists, got {str(path)!r}")
        partial = target.with_name(f".{target.name}.partial")
        try:
            partial.write_text(self.html(), encoding="utf-8")
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)

    def html(self) -> str:
        """Return the page."""
        jinja2 = check_installed()
        template = (Path(__file__).parent / "templates" / "report.html.j2").read_text(encoding="utf-8")
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        found, several = self.comparison, self.comparison is not None and len(self.comparison.evaluations) > 1
        pairs = found.pairs(self.metric) if found is not None and several else None
        now = datetime.datetime.now(datetime.UTC)
        return environment.from_string(template).render(
            title=self.title,
            made=f"Made on {now:%d %B %Y} with lrrec {_version('lrrec')}.",
            verdict=self._verdict(pairs),
            sections=self._sections(pairs),
            foot="Everything here is in this one file; it loads nothing and sends nothing.",
        )

    def _sections(self, pairs: Any) -> list[Section]:
        """What there is to say."""
        found, split, metric = self.comparison, self.split, self.metric
        parts: list[Section | None] = []
        if found is not None:
            parts += [sections.comparison(found, metric, pairs), sections.history(found, metric)]
        if self.transfer is not None or self.curves is not None:
            parts.append(sections.transfer(self.transfer, self.curves))
        if self.tunings:
            order = {name: self.tunings[name] for name in found.evaluations if name in self.tunings} if found else {}
            parts.append(sections.tuning(order | self.tunings))
        if found is not None and split is not None:
            parts.append(sections.examples(found, metric, split, self.titles))
        if split is not None:
            parts.append(sections.data(split))
        if found is not None:
            parts.append(sections.protocol(found, split))
        parts.append(self._repetition())
        return [part for part in parts if part is not None]

    def _verdict(self, pairs: Any) -> str:
        """What the comparison comes to, with its doubt."""
        found, metric = self.comparison, self.metric
        if found is None:
            return ""
        best, *others = found.evaluations
        one = found.evaluations[best]
        low, high = one.interval()[metric]
        mean = f"{one.mean()[metric]:.4f} ({low:.4f} to {high:.4f})"
        said = f"{best} has the best mean {metric} over {len(one.users):,} users: {mean}."
        if pairs is None:
            return said
        row = pairs[(pairs["model"] == best) & (pairs["other"] == others[0])].iloc[0]
        p = row["p holm"]
        return (
            f"{said} The next is {others[0]}, apart by {abs(row['difference']):.4f} (p = {p:.4f}, corrected for "
            f"{len(pairs)} pair{'s' if len(pairs) > 1 else ''}): {'more than' if p < 0.05 else 'that may be'} chance "
            "in who the users are."
        )

    def _repetition(self) -> Section:
        """Versions, settings, and what to run."""
        rows = [[Cell("Python"), Cell(platform.python_version())]]
        rows += [[Cell(name), Cell(version)] for name in PACKAGES if (version := _version(name))]
        rows.append([Cell("system"), Cell(f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores")])
        texts = ["The same data, seeds and versions give the same figures, for any number of threads; seconds differ."]
        codes = [self.command] if self.command else []
        code = self._code()
        if code:
            codes.append(code)
        tables = [Table("Versions", ["what", "version"], rows, sortable=False)]
        return Section("repeat", "How to repeat it", texts, tables=tables, codes=codes)

    def _code(self) -> str:
        """The comparison as Python, as far as it is known."""
        found, split = self.comparison, self.split
        if found is None or not found.models:
            return ""
        lines = ["import lrrec", ""]
        if split is not None:
            lines.append(f"# data: the interactions; split.summary()['sha256'] == '{split.summary()['sha256']}'")
            lines.append(_making(split.description))
        lines.append("models = {")
        lines += [f"    {name!r}: {_construction(model)}," for name, model in found.models.items()]
        done = next(iter(found.evaluations.values())).protocol
        options = _options(done.get("candidates", ""), done.get("seen items", ""))
        return "\n".join(
            [*lines, "}", f"found = lrrec.compare(models, split, {found.metrics!r}{options})", "print(found)"]
        )


def _fits(found: Comparison, split: Split) -> bool:
    """Whether every evaluated user is a test user."""
    rows = split.users.find(next(iter(found.evaluations.values())).users)
    return bool((rows >= 0).all()) and set(rows.tolist()) <= set(split.test_rows.tolist())


def _making(description: str) -> str:
    """A split's description as code, where it is that."""
    name, _, arguments = description.partition("(")
    try:
        ast.parse(description)
    except SyntaxError:
        name = ""
    if name not in ("random", "leave_last", "by_user", "cold_items", "by_time"):
        return f"split = ...  # {description or 'made by hand'}"
    return f"split = lrrec.splits.{name}(data, {arguments}"


def _options(candidates: str, seen: str) -> str:
    """How `compare` was asked to rank, by the protocol it left."""
    drawn = re.search(r"and (\d+) sampled.*\(random_state=(\d+)\)", candidates)
    options = f", candidates={drawn[1]}, random_state={drawn[2]}" if drawn else ""
    return options + (", exclude_seen=False" if seen == "kept" else "")


def _construction(model: Any) -> str:
    """How a model is made."""
    module = type(model).__module__
    shown = re.sub(r"\s+", " ", repr(model))
    return f"lrrec.{shown}" if module.startswith("lrrec.") else f"...  # {shown}"


def _version(name: str) -> str:
    """The version of an installed package, or nothing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def check_installed() -> Any:
    """Jinja2, which is loaded by nothing else, if it and matplotlib are there; so that nothing is done for nothing."""
    try:
        import jinja2

        importlib.import_module("matplotlib")
    except ImportError as error:
        raise MissingDependencyError(
            f"Report must have jinja2 and matplotlib: pip install 'lrrec[report]' ({error})"
        ) from None
    return jinja2
