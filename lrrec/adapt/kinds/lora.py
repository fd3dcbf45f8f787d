"""Low-rank changes of torch layers: the base's weights stay as they are, two thin matrices are trained.

Hu et al. (2022), "LoRA: low-rank adaptation of large language models", arXiv:2106.09685, sec. 4.1; the scale by the
root of the rank is that of Kalajdzievski (2023), "A rank stabilization scaling factor for fine-tuning with LoRA",
arXiv:2312.03732; directions of the data to start from are the idea of Paischer et al. (2024), "One initialization to
rule them all", arXiv:2410.07170.
"""

from lrrec.errors import ParameterError
from lrrec.models.neural.torch_import import torch
from lrrec.models.neural.towers import History, Table, Tensor


class LowRankLayer(torch.nn.Module):
    """A frozen layer and a trainable change of its weight matrix by scale * A B^T.

    A (n, rank) and B (m, rank) of which one is zero, so that a new adapter changes nothing.

    Parameters
    ----------
    base : Module
        Never changed, and without gradients.
    n, m : int
        Rows and columns of what is changed.
    rank : int
    alpha : float, optional
        scale is alpha / rank, or alpha / sqrt(rank) when rank-stabilized; 1 when not given.
    rank_stabilized : bool
    """

    A: torch.nn.Parameter
    B: torch.nn.Parameter

    def __init__(
        self, base: torch.nn.Module, n: int, m: int, rank: int, alpha: float | None, *, rank_stabilized: bool
    ) -> None:
        super().__init__()
        if not 1 <= rank <= min(n, m):
            raise ParameterError(
                f"rank must be an integer >= 1 and <= {min(n, m)} for a layer of {n} x {m}, got {rank}"
            )
        self.base = base.requires_grad_(False)
        self.rank = rank
        self.scale = 1.0 if alpha is None else alpha / (rank**0.5 if rank_stabilized else rank)

    def fix_shorter_side(self) -> None:
        """Fix the shorter of A and B to the identity: at full rank A B^T is then any matrix, and unique."""
        fixed, trained = (self.A, self.B) if len(self.A) <= len(self.B) else (self.B, self.A)
        with torch.no_grad():
            trained.zero_()
            fixed.copy_(torch.eye(*fixed.shape))
        fixed.requires_grad_(False)

    def merged(self) -> torch.nn.Module:
        """Return a plain layer with the same output."""
        raise NotImplementedError

    def penalty(self) -> Tensor:
        """The sum of squares of the change, never formed."""
        return self.scale**2 * ((self.A.T @ self.A) * (self.B.T @ self.B)).sum()


class LowRankLinear(LowRankLayer):
    """W x + c + scale B A^T x + d for a linear layer W (n_out, n_in), A (n_in, rank), B (n_out, rank), d (n_out,).

    B and d are zero at the start. `directions` (n_in, rank) is what A starts from, e.g. the leading directions of the
    layer's inputs in the new domain; random when not given.
    """

    def __init__(
        self, base: torch.nn.Linear, rank: int, *, directions: Tensor | None = None, alpha: float | None = None,
        rank_stabilized: bool = False, generator: torch.Generator | None = None,
    ) -> None:  # fmt: skip
        n_out, n_in = base.weight.shape
        super().__init__(base, n_in, n_out, rank, alpha, rank_stabilized=rank_stabilized)
        if directions is None:
            directions = torch.randn(n_in, rank, generator=generator) / n_in**0.5
        self.A = torch.nn.Parameter(directions.detach().clone())
        self.B = torch.nn.Parameter(torch.zeros(n_out, rank))
        self.shift = torch.nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """The changed layer's output."""
        return self.base(x) + self.scale * (x @ self.A) @ self.B.T + self.shift

    def merged(self) -> torch.nn.Linear:
        """Return a linear layer with the same output."""
        assert isinstance(self.base, torch.nn.Linear)
        layer = torch.nn.utils.skip_init(torch.nn.Linear, *self.base.weight.T.shape)
        with torch.no_grad():
            layer.weight.copy_(self.base.weight + self.scale * self.B @ self.A.T)
            layer.bias.copy_(self.base.bias + self.shift)
        return layer


class LowRankTable(LowRankLayer):
    """V + scale A B^T for a table of vectors V (n, C), A (n, rank) and B (C, rank), each contiguous.

    A is zero at the start. `directions` (C, rank) is what B starts from; random when not given. The rows at `replaced`
    are trained themselves, and take no part in A B^T.
    """

    replaced: Tensor

    def __init__(
        self, base: Table, rank: int, *, directions: Tensor | None = None, alpha: float | None = None,
        rank_stabilized: bool = False, generator: torch.Generator | None = None, replaced: Tensor | None = None,
    ) -> None:  # fmt: skip
        n, n_columns = base.weight.shape
        super().__init__(base, n, n_columns, rank, alpha, rank_stabilized=rank_stabilized)
        if directions is None:
            directions = torch.randn(n_columns, rank, generator=generator) / n_columns**0.5
        self.A = torch.nn.Parameter(torch.zeros(n, rank))
        self.B = torch.nn.Parameter(directions.detach().clone())
        none = torch.zeros(0, dtype=torch.int64)
        self.register_buffer("replaced", none if replaced is None else replaced, persistent=False)
        self.values = torch.nn.Parameter(base.rows()[self.replaced].detach().clone())

    def _change(self) -> Tensor:
        """A, zero where rows are replaced."""
        return self.A if not len(self.replaced) else self.A.index_fill(0, self.replaced, 0.0)

    def rows(self) -> Tensor:
        """All vectors (n, C)."""
        assert isinstance(self.base, Table)
        rows = self.base.rows() + self.scale * self.A @ self.B.T
        return rows if not len(self.replaced) else rows.index_copy(0, self.replaced, self.values)

    def forward(self, items: Tensor) -> Tensor:
        """The vectors of some items."""
        assert isinstance(self.base, Table)
        if len(self.replaced):
            return self.rows()[items]
        return self.base.rows()[items] + self.scale * self.A[items] @ self.B.T

    def bag(self, history: History) -> Tensor:
        """Weighted sums of vectors (B, C), as of a `Table`; the changed table is only made where rows are replaced."""
        if len(self.replaced):
            return history.times(self.rows())
        assert isinstance(self.base, Table)
        return self.base.bag(history) + self.scale * history.times(self.A) @ self.B.T

    def penalty(self) -> Tensor:
        """The sum of squares of the change, replaced rows included."""
        assert isinstance(self.base, Table)
        A = self._change()
        replaced = (self.values - self.base.rows()[self.replaced]).square().sum()
        return self.scale**2 * ((A.T @ A) * (self.B.T @ self.B)).sum() + replaced

    def merged(self) -> Table:
        """Return a table with the same vectors."""
        return Table(self.rows().detach().clone())
