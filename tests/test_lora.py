"""Low-rank layers: nothing at the start, frozen bases, and merging."""

import numpy as np
import pytest

from lrrec.errors import ParameterError

torch = pytest.importorskip("torch")

from lrrec.adapt.kinds.lora import LowRankLinear, LowRankTable  # noqa: E402
from lrrec.models.neural.towers import History, Table  # noqa: E402


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def linear():
    torch.manual_seed(1)
    return torch.nn.Linear(6, 9)


def table():
    torch.manual_seed(2)
    return Table(torch.randn(12, 5))


def trained(layer, generator):
    """The layer after a few steps down some loss."""
    optimizer = torch.optim.SGD([one for one in layer.parameters() if one.requires_grad], lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        if isinstance(layer, LowRankLinear):
            loss = (layer(torch.randn(7, 6, generator=generator)) - 1).square().mean()
        else:
            loss = (torch.randn(7, 5, generator=generator) @ layer.rows().T - 1).square().mean()
        loss.backward()
        optimizer.step()
    return layer


def test_a_fresh_linear_layer_is_its_base(generator):
    base, x = linear(), torch.randn(4, 6, generator=generator)
    assert torch.equal(LowRankLinear(base, 3, generator=generator)(x), base(x))


def test_a_fresh_table_is_its_base(generator):
    base = table()
    new = LowRankTable(base, 2, generator=generator, replaced=torch.tensor([3, 7]))
    assert torch.equal(new.rows(), base.rows())
    assert torch.equal(new(torch.tensor([1, 3])), base(torch.tensor([1, 3])))


@pytest.mark.parametrize("make", [
    lambda g: LowRankLinear(linear(), 3, generator=g),
    lambda g: LowRankTable(table(), 2, generator=g),
    lambda g: LowRankTable(table(), 2, generator=g, replaced=torch.tensor([0, 4])),
])  # fmt: skip
def test_only_the_change_is_trained_and_merging_keeps_the_output(make, generator):
    layer = make(generator)
    kind = "shift" if isinstance(layer, LowRankLinear) else "values"
    assert {name for name, one in layer.named_parameters() if one.requires_grad} == {"A", "B", kind}
    before = layer.base.weight.clone()
    trained(layer, generator)
    assert torch.equal(layer.base.weight, before)
    assert layer.base.weight.grad is None
    merged = layer.merged()
    if isinstance(layer, LowRankLinear):
        x = torch.randn(4, 6, generator=generator)
        assert not torch.allclose(layer(x), layer.base(x))
        torch.testing.assert_close(merged(x), layer(x), rtol=1e-5, atol=1e-6)
    else:
        items = torch.tensor([0, 3, 4])
        history = History(torch.tensor([0, 4, 5, 2]), torch.rand(4, generator=generator), torch.tensor([0, 3]))
        torch.testing.assert_close(merged.rows(), layer.rows(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(merged.bag(history), layer.bag(history), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(merged(items), layer(items), rtol=1e-5, atol=1e-6)
    assert torch.equal(layer.base.weight, before)


def test_tables_are_thin_and_contiguous(generator):
    layer = LowRankTable(table(), 2, generator=generator)
    assert layer.A.shape == (12, 2)
    assert layer.A.is_contiguous()
    assert layer.B.is_contiguous()


def test_the_scale_is_by_the_rank_or_its_root():
    scales = [LowRankLinear(linear(), 4, alpha=8.0, rank_stabilized=root).scale for root in (False, True)]
    assert scales == [2.0, 4.0]


def test_the_penalty_is_the_square_of_the_change(generator):
    for layer in (
        LowRankLinear(linear(), 3, generator=generator), LowRankTable(table(), 2, generator=generator, alpha=3.0),
        LowRankTable(table(), 2, generator=generator, replaced=torch.tensor([0, 4])),
    ):  # fmt: skip
        trained(layer, generator)
        merged, base = layer.merged().weight, layer.base.weight
        assert layer.penalty().item() == pytest.approx((merged - base).square().sum().item(), rel=1e-4)


def test_at_full_rank_the_change_is_any_matrix(generator):
    base = table()
    layer, wanted = LowRankTable(base, 5, generator=generator), torch.randn(12, 5, generator=generator)
    layer.fix_shorter_side()
    assert torch.equal(layer.rows(), base.rows())
    assert [name for name, one in layer.named_parameters() if one.requires_grad] == ["A", "values"]
    with torch.no_grad():
        layer.A.copy_(wanted - base.weight)
    torch.testing.assert_close(layer.rows(), wanted)


@pytest.mark.parametrize("rank", [0, 7])
def test_ranks_beyond_the_layer_are_refused(rank):
    with pytest.raises(
        ParameterError, match=rf"rank must be an integer >= 1 and <= 6 for a layer of 6 x 9, got {rank}"
    ):
        LowRankLinear(linear(), rank)


def test_directions_are_where_it_starts(generator):
    directions = torch.from_numpy(np.linalg.qr(np.random.default_rng(0).normal(size=(5, 2)))[0].astype(np.float32))
    assert torch.equal(LowRankTable(table(), 2, directions=directions).B, directions)
