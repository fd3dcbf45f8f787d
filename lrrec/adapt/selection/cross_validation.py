"""Measuring adapters on validation users: each is fitted and evaluated in every fold."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from lrrec.adapt.domain import Domain
from lrrec.adapt.selection.candidate_result import CandidateResult
from lrrec.adapt.selection.folds import N_FOLDS, WITH, Fold
from lrrec.errors import DataError
from lrrec.linalg.ranking import ALL_COLUMNS, Columns, rank
from lrrec.linalg.sparse import positive
from lrrec.linalg.threads import even_blocks, run_blocks
from lrrec.metrics import measure, parse
from lrrec.validate import check_threads

ParameterPath = Mapping[str, Sequence[Any]]
KEPT_CELLS = 10**5  # scores of a fold's users that are kept, 400 kB: a fit to score them again takes longer


class Measured(NamedTuple):
    """The metric of each validation user of a fold, and the scores of all items that it was measured on, if kept."""

    values: np.ndarray
    kept: "KeptScores | None" = None


class KeptScores:
    """The scores (n_users, n_items) that an adapter gave the validation users of a fold, who are encoded as indices."""

    def __init__(self, scorer: Any, encoded: Any) -> None:
        self.scores, self._predicts_ratings = scorer._supported_scores(encoded, ALL_COLUMNS), scorer._predicts_ratings
        self.users = np.arange(len(self.scores))

    def _supported_scores(self, users: np.ndarray, columns: Columns) -> np.ndarray:
        scores: np.ndarray = self.scores[users][:, columns]
        return scores


class Measurement(NamedTuple):
    """An adapter with its settings, what it reached in each fold by the fold's id, and its parameters."""

    adapter: Any
    folds: dict[int, Measured]
    n_parameters: int


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Adapters measured on the validation users of one group.

    folds : of every group. measured : what each adapter with its settings reached in the folds of all groups, so
    that it is fitted once, whatever groups are looked at.
    """

    domain: Domain
    folds: Mapping[str, Sequence[Fold]]
    metric: str
    group: str = WITH
    measured: dict[str, list[Measurement]] = field(default_factory=dict)

    def of_group(self, group: str) -> "CrossValidation":
        """The same on the validation users of another group."""
        return replace(self, group=group)

    def evaluate(self, adapters: Sequence[Any], path: ParameterPath) -> list[CandidateResult]:
        """Fit each adapter in every fold, and measure its validation users; a result for each value on the path."""
        keys = [f"{type(adapter).__qualname__} {sorted(adapter.get_params().items())} {path}" for adapter in adapters]
        new = {key: adapter for key, adapter in zip(keys, adapters, strict=True) if key not in self.measured}
        if new:
            self.measured.update(zip(new, self._measure(list(new.values()), path), strict=True))
        return [self._result(measurement) for key in keys for measurement in self.measured[key]]

    def _measure(self, adapters: Sequence[Any], path: ParameterPath) -> list[list[Measurement]]:
        """Measure each adapter at each value on the path; one that cannot be fitted in every fold scores 0."""
        fits: dict[int, list[Fold]] = {}
        for fold in (fold for folds in self.folds.values() for fold in folds):
            fits.setdefault(id(fold.fit), []).append(fold)
        n_users = max(len(folds[0].fit) for folds in fits.values())
        try:
            shares = adapters[0]._prepare(self.domain, n_users)
        except DataError:  # it fails below, too
            shares = True
        if shares and len(adapters) > 1:
            return [row for adapter in adapters for row in self._measure([adapter], path)]
        pairs = [(adapter, folds) for adapter in adapters for folds in fits.values()]
        measured: list[list[Measurement]] = [[]] * len(pairs)

        def work(start: int, stop: int) -> None:
            for place in range(start, stop):
                with suppress(DataError):  # such as a matrix that these settings leave singular
                    measured[place] = [*self._along_path(*pairs[place], path)]

        n_threads = 1 if any(adapter._uses_all_threads for adapter in adapters) else check_threads(None)
        run_blocks(work, even_blocks(len(pairs), 1), n_threads)
        rows = [measured[first : first + len(fits)] for first in range(0, len(pairs), len(fits))]
        return [
            [_joined(parts) for parts in zip(*row, strict=True)] if all(row) else self._without_scores(adapter, path)
            for adapter, row in zip(adapters, rows, strict=True)
        ]

    def _along_path(self, adapter: Any, folds: Sequence[Fold], path: ParameterPath) -> Iterator[Measurement]:
        """Measurements in folds that are fitted to the same users, for each value on the path."""
        for values, fitted in adapter._fit_path(self.domain, folds[0].fit, path):
            measured = {id(fold): _measure(fitted, fold, self.metric) for fold in folds}
            yield Measurement(clone(adapter).set_params(**values), measured, fitted.n_parameters)

    def _without_scores(self, adapter: Any, path: ParameterPath) -> list[Measurement]:
        """Measurements of an adapter that cannot be fitted: 0 for everybody."""
        folds = [fold for folds in self.folds.values() for fold in folds]
        zeros = {id(fold): Measured(np.zeros(fold.history.shape[0])) for fold in folds}
        settings = [dict(zip(path, values, strict=True)) for values in itertools.product(*path.values())]
        return [Measurement(clone(adapter).set_params(**values), zeros, 0) for values in settings]

    def _result(self, measurement: Measurement) -> CandidateResult:
        """The group's scores together; users of a single fold are cut into folds for nested cross-validation."""
        adapter, measured, n_parameters = measurement
        folds = self.folds[self.group]
        parts, kept = zip(*(measured[id(fold)] for fold in folds), strict=True)
        if len(folds) == 1:
            return CandidateResult(adapter, parts[0], np.arange(len(parts[0])) % N_FOLDS, n_parameters, kept=kept)
        fold_numbers = np.repeat(np.arange(len(folds)), [len(part) for part in parts])
        overlap = sum(len(part) / len(fold.fit) for part, fold in zip(parts, folds, strict=True))
        return CandidateResult(adapter, np.concatenate(parts), fold_numbers, n_parameters, overlap, kept=kept)


def _joined(parts: Sequence[Measurement]) -> Measurement:
    """One measurement of those in some of the folds each."""
    folds = {fold: measured for part in parts for fold, measured in part.folds.items()}
    return parts[-1]._replace(folds=folds)


def _measure(adapter: Any, fold: Fold, metric: str) -> Measured:
    """The metric of each validation user, served as `recommend` does: popular items where it has no score."""
    _, k = parse(metric, ("ranking",))
    assert k is not None
    n_users, n_items = fold.history.shape
    likes = np.bincount(positive(adapter.domain_.data.matrix[fold.fit]).indices, minlength=n_items)
    scorer, encoded = prepared(adapter, fold)
    kept = KeptScores(scorer, encoded) if n_users * n_items <= KEPT_CELLS else None
    if kept is not None:
        scorer, encoded = kept, kept.users

    def score(block: slice, columns: Columns) -> np.ndarray:
        return scorer._supported_scores(encoded[block], columns)

    lists, _ = rank(
        score, n_users, n_items, k, candidates=fold.candidates, seen=fold.history, seen_rows=np.arange(n_users),
        popularity=np.where(likes > 0, likes, -np.inf).astype(np.float32), n_threads=check_threads(None),
    )  # fmt: skip
    values = measure(lists, fold.test, np.arange(n_users), [metric])[0][:, 0]
    return Measured(np.nan_to_num(values), kept)  # 0 for all candidates where a user's test interactions are dislikes


def prepared(adapter: Any, fold: Fold) -> tuple[Any, Any]:
    """An adapter that was fitted in a fold, ready to score, and the validation users as it encodes them."""
    matrix = adapter.domain_.data.matrix[fold.fit]
    adapter._find_evidence(np.bincount(matrix.indices, minlength=matrix.shape[1]))
    scorer = adapter._for_scoring()
    return scorer, scorer._encode_around(fold.history, fold.known)
