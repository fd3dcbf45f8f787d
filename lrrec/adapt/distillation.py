"""distill: a large model's scores put into a small one, or into an adapter."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.adapt.change import Change, ordered
from lrrec.adapt.domain import Domain, make_domain
from lrrec.adapt.low_rank import LowRankAdapter
from lrrec.adapt.settings import Settings, checked
from lrrec.data.interactions import Interactions, as_interactions
from lrrec.errors import DataError, ParameterError, ParameterTypeError
from lrrec.linalg.dense import cross, gram
from lrrec.linalg.quadratic import QuadraticLoss, solve_ridge
from lrrec.linalg.threads import even_blocks
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.recommender import Recommender
from lrrec.models.ials import IALS
from lrrec.validate import check_int, check_real, first_three

BLOCK_ROWS = 512  # users whose scores are listed at once


def distill(
    teacher: Recommender,
    student: Any,
    data: Any,
    *,
    base: FactorModel | None = None,
    k: int = 100,
    weight: float = 1.0,
    n_rounds: int = 10,
) -> Any:
    """Fit a small model, or an adapter, to what a large model says of some users.

    The student's item factors v_i minimise, with users folded in from their histories in turns, and t_ui the teacher's
    score of a cell, cut to 0..1,

        a sum_{u,i} (u_u . v_i - s_ui)^2  +  weight sum_{listed or observed} (u_u . v_i - t_ui)^2  +  penalties

    the student's own normal equations with the teacher's scores as targets. s = t uncut where the teacher is a factor
    model, and 0 otherwise; listed are the k items that the teacher puts first, seen ones included.

    Parameters
    ----------
    teacher : Recommender
        Fitted, with scores that are to be near 1 for what a user does: `IALS`, `EASE`, `NeuralMF(loss="squared")`.
    student : IALS or LowRankAdapter
        The configuration; it is not changed. Numbers of an adapter that are "auto" are 1 for reg, and the base's own
        regularization for reg_fold; nothing is compared.
    data : Interactions, or sparse matrix or array of shape (n_users, n_items)
        Whose histories to learn from: the teacher's users or others. All items must be the teacher's.
    base : FactorModel, optional
        What an adapter is fitted to; only for an adapter.
    k : int, default 100
        Length of the teacher's lists. Typical: 50 to 300.
    weight : float, default 1.0
        Of the listed and observed cells. Typical: 0.3 to 10.
    n_rounds : int, default 10
        Turns of users and items; for an adapter as many again at its rank.

    Returns
    -------
    IALS or LowRankAdapter
        Fitted to the data. Users are folded in as ever: the teacher is not needed any more.

    Notes
    -----
    O(n_users k D^2) time a round. The teacher's scores are never formed beyond its lists.

    References
    ----------
    Hinton, Vinyals & Dean (2015), "Distilling the knowledge in a neural network", arXiv:1503.02531; Tang & Wang (2018),
    "Ranking distillation", for lists as the teacher's word.
    """
    if not isinstance(teacher, Recommender):
        raise ParameterTypeError(f"teacher must be a fitted Recommender, got {type(teacher).__name__}")
    teacher._check_fitted()
    k, weight = check_int(k, "k", low=1), check_real(weight, "weight", low=0, open_low=True)
    n_rounds = check_int(n_rounds, "n_rounds", low=1)
    if isinstance(student, LowRankAdapter):
        return _adapter(teacher, student, data, base, k, weight, n_rounds)
    if not isinstance(student, IALS):
        raise ParameterTypeError(f"student must be an IALS or a LowRankAdapter, got {type(student).__name__}")
    if base is not None:
        raise ParameterError("base must only be given for an adapter, got one for an IALS")
    known = _of_teacher(teacher, data)
    model = clone(student)
    rows = np.flatnonzero(np.diff(known.matrix.indptr))
    matrix = known.matrix[rows]
    lessons = _Lessons(teacher, matrix, known, model._objective().unobserved_weight, k, weight)
    penalties = model._penalties(sp.csr_array(matrix.T.tocsr()), None).astype(np.float32)
    rng = np.random.default_rng(0)
    V = rng.standard_normal((known.n_items, model.n_factors), dtype=np.float32) / np.float32(10 * model.n_factors**0.5)
    for _ in range(n_rounds):
        U = model._fold_in(matrix, V, None)
        V = solve_ridge(lessons.cells.T, U, penalties, row_linear=lessons.linear(U))
    model.item_factors_ = V
    model.user_factors_ = model._fold_in(known.matrix, V, None)
    return model._remember(known)


class _Lessons:
    """What the teacher says of some users, over n items: listed cells, and scores everywhere as U_t V_t^T."""

    def __init__(
        self, teacher: Recommender, matrix: sp.csr_array, data: Interactions, everywhere: float, k: int, weight: float
    ) -> None:
        histories = Interactions.from_matrix(matrix, items=data.items).align_items(teacher.items_).matrix
        encoded, places = teacher._encode(histories), teacher.items_.find(data.items.ids)
        n_users, n_items = matrix.shape
        self.unobserved_weight = everywhere
        self.U, self.V = None, None
        if isinstance(teacher, FactorModel):
            self.U, self.V = encoded, teacher.item_factors_[places]
        parts = [
            _listed(teacher._scores(encoded[a:b], places), matrix[a:b], min(k, n_items))
            for a, b in even_blocks(n_users, BLOCK_ROWS)
        ]
        cells = sp.csr_array(sp.vstack([listed for listed, _ in parts], format="csr"))
        targets = np.clip(np.concatenate([values for _, values in parts]), 0, 1).astype(np.float32)
        self.cells = QuadraticLoss(everywhere, _weighed(cells, weight), np.float32(weight) * targets)

    def linear(self, U: np.ndarray) -> np.ndarray | None:
        """A sum_u s_ui u_u of every item (n_items, D), for users U."""
        if self.U is None or self.V is None:
            return None
        found: np.ndarray = (self.unobserved_weight * (self.V @ cross(self.U, U))).astype(np.float32)
        return found


def _weighed(cells: sp.csr_array, weight: float) -> sp.csr_array:
    """The same cells, all of one value."""
    return sp.csr_array((np.full(cells.nnz, weight, np.float32), cells.indices, cells.indptr), shape=cells.shape)


def _listed(scores: np.ndarray, observed: sp.csr_array, k: int) -> tuple[sp.csr_array, np.ndarray]:
    """QuadraticLoss of the k best items and of the observed ones, in canonical order, and the scores there."""
    best = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(best, np.argpartition(-scores, k - 1, axis=1)[:, :k], True, axis=1)
    best[np.repeat(np.arange(len(scores)), np.diff(observed.indptr)), observed.indices] = True
    rows, columns = np.nonzero(best)
    cells = sp.csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=scores.shape)
    return cells, scores[rows, columns]


def _of_teacher(teacher: Recommender, data: Any) -> Interactions:
    """The data over the teacher's items."""
    if not isinstance(data, Interactions):
        matrix = as_interactions(data).matrix
        if matrix.shape[1] != len(teacher.items_):
            raise DataError(f"data must have the teacher's {len(teacher.items_)} items, got {matrix.shape[1]} columns")
        return Interactions.from_matrix(matrix, items=teacher.items_)
    lacking = data.items.ids[np.unique(data.matrix.indices)]
    lacking = lacking[teacher.items_.find(lacking) < 0]
    if len(lacking):
        raise DataError(f"data must have items that the teacher knows, got others: {first_three(lacking)}")
    return data.align_items(teacher.items_)


def _adapter(
    teacher: Recommender, student: LowRankAdapter, data: Any, base: FactorModel | None, k: int, weight: float, n: int
) -> LowRankAdapter:
    """The student's change of the base, fitted to the teacher."""
    if base is None:
        raise ParameterTypeError("base must be given for an adapter: the model that it changes")
    known = _of_teacher(teacher, data)
    domain = make_domain(base, known, teacher.items_.ids)
    if domain.tower:
        raise ParameterError(f"base must be a linear model to distill into an adapter, got {type(base).__name__}")
    settings, _ = checked(student)
    adapter = clone(student)
    adapter.settings_, adapter.kept_ = settings, settings.method
    adapter.report_, adapter.verdict_ = None, f"distilled from {type(teacher).__name__}: nothing was compared"
    adapter.change_ = _taught(teacher, domain, settings, k, weight, n)
    adapter._become(domain)
    return adapter


def _taught(teacher: Recommender, domain: Domain, settings: Settings, k: int, weight: float, n_rounds: int) -> Change:
    """A change at full rank, then one of low rank in its leading directions; new items have rows of their own."""
    V0 = domain.item_factors
    matrix = domain.data.matrix[np.flatnonzero(np.diff(domain.data.matrix.indptr))]
    everywhere = domain.base._quadratic_loss(matrix).unobserved_weight
    lessons = _Lessons(teacher, matrix, domain.data, everywhere, k, weight)
    U = domain.fold(matrix, V0, settings.reg_fold)
    unit = float(np.einsum("ud,ud->u", U, U).mean())
    held = np.where(domain.known, settings.reg, settings.reg_free).astype(np.float32) * np.float32(unit)
    V, A, B = V0, np.zeros_like(V0), np.eye(V0.shape[1], dtype=np.float32)

    def turn(basis: np.ndarray | None) -> np.ndarray:
        return solve_ridge(lessons.cells.T, U, held, prior=V0, basis=basis, row_linear=lessons.linear(U))

    for _ in range(n_rounds):
        V = V0 + turn(None)
        U = domain.fold(matrix, V, settings.reg_fold)
    new = np.flatnonzero(~domain.known)
    if settings.method != "low-rank":
        return Change.whole(V)
    _, B = ordered(V[domain.known] - V0[domain.known], B, gram(V[domain.known] - V0[domain.known]), gram(U))
    B, _ = np.linalg.qr(B[:, : settings.rank])
    for _ in range(n_rounds):
        A = turn(B)
        V[domain.known] = (V0 + A @ B.T)[domain.known]
        U = domain.fold(matrix, V, settings.reg_fold)
    A[new] = 0
    A, B = ordered(A, B, gram(A), B.T @ gram(U) @ B)
    return Change(A, B, new, V[new])
