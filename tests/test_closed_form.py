"""The closed-form steps of adapters: items that the target has not touched are solved for together."""

import numpy as np
import pytest
import scipy.sparse as sp

from lrrec import IALS
from lrrec.adapt import Anchored, LowRank
from lrrec.adapt.domain import make_domain
from lrrec.adapt.kinds.closed_form import AlternatingSolver


@pytest.mark.parametrize("kind", [Anchored, LowRank])
def test_items_that_nobody_touched_move_as_if_solved_for_one_by_one(kind, source, target):
    """A few items stand for them all; with "precision", equal here, each is solved for."""
    base = IALS(n_factors=4, reg=0.02, unobserved_weight=0.2, random_state=0).fit(source)
    few = target.filter(target.rows() < 12)
    domain = make_domain(base, few)
    settings = {"reg": 0.3, "fold_in_reg": 0.02, "new_item_reg": 1.0, "n_iter": 4}
    settings |= {"rank": 2} if kind is LowRank else {}
    together = kind(**settings).fit(few, base=base)
    solver = AlternatingSolver(domain, domain.active_users, together.params_)
    assert len(solver.items.rest) > 50, "there are such items"
    domain.base.__dict__["seen_"] = sp.csr_array(np.ones(base.seen_.shape, dtype=np.float32))
    domain.base.__dict__["user_factors_"] = np.ones_like(base.user_factors_)
    assert np.ptp(domain.base.item_precision_) < 1e-6 * domain.base.item_precision_.mean()
    alone = kind(anchor="precision", **settings)._adapt(domain, domain.active_users)
    np.testing.assert_allclose(together.item_factors_, alone.item_factors_, atol=2e-6)
