"""distill: a small model, or an adapter, fitted to a large model's scores."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.domain import check_fitted, make_domain
from lrrec.adapt.kinds.low_rank import LowRank
from lrrec.adapt.selection.low_rank_adapter import LowRankAdapter
from lrrec.data.interactions import Interactions, as_interactions
from lrrec.errors import DataError, ParameterError, ParameterTypeError
from lrrec.linalg.dense import cross
from lrrec.linalg.quadratic import QuadraticLoss, solve_ridge
from lrrec.linalg.threads import even_blocks
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.recommender import Recommender
from lrrec.models.ials import IALS
from lrrec.validate import check_int, check_real, first_three

BLOCK_ROWS = 512  # users scored at once


def distill(
    teacher: Recommender,
    student: Any,
    data: Any,
    *,
    base: Recommender | None = None,
    k: int = 100,
    weight: float = 1.0,
    n_iter: int = 10,
) -> Any:
    """Fit a small model, or an adapter, to a large model's scores of some users.

    The student's item factors v_i minimise, in alternation with folding the users in, and with t_ui the teacher's
    score of a user and item, clipped to 0..1,

        a sum_{u,i} (u_u . v_i - s_ui)^2  +  weight sum_{listed or observed} (u_u . v_i - t_ui)^2  +  penalties

    the student's own normal equations with the teacher's scores as targets. s = t unclipped where the teacher is a
    factor model, and 0 otherwise; listed are the k items that the teacher ranks first, seen ones included.

    Parameters
    ----------
    teacher : Recommender
        Fitted, with scores near 1 for the items of a user: `IALS`, `EASE`, `NeuralMF(loss="squared")`.
    student : IALS, or an adapter: LowRank, Anchored, or LowRankAdapter for a `LowRank` of its rank
        Unfitted; it is not changed. Parameters of an adapter that are "auto" have their defaults: 1 for reg and
        new_item_reg, the base's own regularization for fold_in_reg; nothing is compared.
    data : Interactions, or sparse matrix or array of shape (n_users, n_items)
        The histories to learn from, of the teacher's users or others. All items must be the teacher's.
    base : Recommender, optional
        The model that an adapter changes; only for an adapter.
    k : int, default 100
        Length of the teacher's lists. Typical: 50 to 300.
    weight : float, default 1.0
        Of the listed and observed cells. Typical: 0.3 to 10.
    n_iter : int, default 10
        Alternations of users and items; for a low-rank adapter as many again at its rank.

    Returns
    -------
    IALS or Adapter
        Fitted to the data. Users are folded in as with any such model, without the teacher.

    Notes
    -----
    O(n_users k D^2) time an iteration. The teacher's scores are only formed for its lists.

    References
    ----------
    Hinton, Vinyals & Dean (2015), "Distilling the knowledge in a neural network", arXiv:1503.02531; Tang & Wang (2018),
    "Ranking distillation" (lists as what the teacher teaches).

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> teacher = lrrec.EASE(reg=100.0).fit(data)
    >>> student = lrrec.distill(teacher, lrrec.IALS(n_factors=8, unobserved_weight=0.1), data, n_iter=2)
    >>> student.item_factors_.shape
    (319, 8)
    """
    if not isinstance(teacher, Recommender):
        raise ParameterTypeError(f"teacher must be a fitted Recommender, got {type(teacher).__name__}")
    teacher._check_fitted()
    k, weight = check_int(k, "k", low=1), check_real(weight, "weight", low=0, open_low=True)
    n_iter = check_int(n_iter, "n_iter", low=1)
    if isinstance(student, LowRankAdapter):
        student = LowRank(student.rank)
    if isinstance(student, Adapter):
        return _into_adapter(teacher, student, data, base, k, weight, n_iter)
    if not isinstance(student, IALS):
        raise ParameterTypeError(f"student must be an IALS or an adapter, got {type(student).__name__}")
    if base is not None:
        raise ParameterError("base must only be given for an adapter, got one for an IALS")
    data = _over_teacher_items(teacher, data)
    model = clone(student)
    matrix = data.matrix[np.flatnonzero(np.diff(data.matrix.indptr))]
    model._choose(matrix)
    targets = TeacherScores(teacher, matrix, data, model._objective().unobserved_weight, k, weight)
    penalties = model._penalties(sp.csr_array(matrix.T.tocsr()), None).astype(np.float32)
    rng = np.random.default_rng(0)
    V = rng.standard_normal((data.n_items, model.n_factors), dtype=np.float32) / np.float32(10 * model.n_factors**0.5)
    for _ in range(n_iter):
        U = model._fold_in(matrix, V, model._penalties(matrix, None))
        V = solve_ridge(targets.loss.T, U, penalties, row_linear=targets.row_linear(U))
    model.item_factors_ = V
    model.user_factors_ = model._fold_in(data.matrix, V, model._penalties(data.matrix, None))
    return model._remember(data, item_evidence=teacher.item_evidence_[teacher.items_.find(data.items.ids)])


class TeacherScores:
    """The teacher's scores of some users over n items: those of listed items as a loss, all as U_t V_t^T."""

    def __init__(
        self, teacher: Recommender, matrix: sp.csr_array, data: Interactions, unobserved_weight: float, k: int,
        weight: float,
    ) -> None:  # fmt: skip
        histories = Interactions.from_matrix(matrix, items=data.items).align_items(teacher.items_).matrix
        encoded, places = teacher._encode(histories), teacher.items_.find(data.items.ids)
        n_users, n_items = matrix.shape
        self.U, self.V = None, None
        if isinstance(teacher, FactorModel):
            self.U, self.V = encoded, teacher.item_factors_[places]
        parts = [
            _listed(teacher._scores(encoded[a:b], places), matrix[a:b], min(k, n_items))
            for a, b in even_blocks(n_users, BLOCK_ROWS)
        ]
        cells = sp.csr_array(sp.vstack([listed for listed, _ in parts], format="csr"))
        targets = np.clip(np.concatenate([scores for _, scores in parts]), 0, 1).astype(np.float32)
        self.loss = QuadraticLoss(unobserved_weight, _constant(cells, weight), np.float32(weight) * targets)

    def row_linear(self, U: np.ndarray) -> np.ndarray | None:
        """A sum_u s_ui u_u of every item (n_items, D), for user factors U."""
        if self.U is None or self.V is None:
            return None
        linear: np.ndarray = (self.loss.unobserved_weight * (self.V @ cross(self.U, U))).astype(np.float32)
        return linear


def _constant(cells: sp.csr_array, value: float) -> sp.csr_array:
    """The same entries, all of one value."""
    return sp.csr_array((np.full(cells.nnz, value, np.float32), cells.indices, cells.indptr), shape=cells.shape)


def _listed(scores: np.ndarray, observed: sp.csr_array, k: int) -> tuple[sp.csr_array, np.ndarray]:
    """QuadraticLoss of the k best items and of the observed ones, in canonical order, and the scores there."""
    best = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(best, np.argpartition(-scores, k - 1, axis=1)[:, :k], True, axis=1)
    best[np.repeat(np.arange(len(scores)), np.diff(observed.indptr)), observed.indices] = True
    rows, columns = np.nonzero(best)
    cells = sp.csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=scores.shape)
    return cells, scores[rows, columns]


def _over_teacher_items(teacher: Recommender, data: Any) -> Interactions:
    """The data over the teacher's items."""
    data = as_interactions(data, teacher.items_, name="data", owner=f"the teacher's {type(teacher).__name__}")
    data = teacher._usable(data, "data")
    lacking = data.items.ids[np.unique(data.matrix.indices)]
    lacking = lacking[teacher.items_.find(lacking) < 0]
    if len(lacking):
        raise DataError(f"data must have items that the teacher knows, got others: {first_three(lacking)}")
    return data.align_items(teacher.items_)


def _into_adapter(
    teacher: Recommender, student: Adapter, data: Any, base: Recommender | None, k: int, weight: float, n_iter: int
) -> Adapter:
    """The student's change of the base, fitted to the teacher's scores."""
    if base is None:
        raise ParameterTypeError("an adapter needs base, the model that it changes: pass base=model")
    check_fitted(base)
    domain = make_domain(base, _over_teacher_items(teacher, data), teacher.items_.ids)
    adapter: Adapter = clone(student)
    adapter._check_params()
    adapter._check_base(base)
    matrix = domain.data.matrix[domain.active_users]
    unobserved_weight = domain.base._quadratic_loss(matrix).unobserved_weight
    targets = TeacherScores(teacher, matrix, domain.data, unobserved_weight, k, weight)
    adapter._fit_scores(domain, targets, n_iter)
    adapter.verdict_ = f"distilled from {type(teacher).__name__}: nothing was compared"
    return adapter._remember_domain(domain)
