"""UserFeatures: what a quadratic model needs in order to serve users by their features, too."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.data.ids import IdMap
from lrrec.features.feature_encoder import FeatureEncoder
from lrrec.linalg.quadratic import solve_ridge
from lrrec.models.base.feature_model import check_features
from lrrec.models.base.quadratic_model import QuadraticModel
from lrrec.typing import PathLike

NO_MAP = np.zeros((0, 0), dtype=np.float32)
NO_MAP.flags.writeable = False


class UserFeatures(QuadraticModel):
    """A quadratic model whose `fit` takes features of users, with a map A from them: x_u = A^T g_u + r_u.

    Attributes
    ----------
    user_feature_map_ : ndarray of float32, shape (n_features, n_factors)
        A; no rows without user features.
    user_feature_names_ : IdMap
    user_feature_encoder_ : FeatureEncoder or None
    """

    item_factors_: np.ndarray
    n_factors: int
    n_threads: int | None

    user_feature_map_: np.ndarray = NO_MAP
    user_feature_names_: IdMap = IdMap([])
    user_feature_encoder_: FeatureEncoder | None = None

    @property
    def _has_user_features(self) -> bool:
        """Whether it was fitted with features of users."""
        return len(self.user_feature_map_) > 0

    @property
    def _takes_user_features(self) -> bool:
        return True

    def _described_users(self, user_features: Any, users: IdMap) -> np.ndarray:
        if not self._has_user_features:
            return super()._described_users(user_features, users)
        names = self.user_feature_names_ if len(self.user_feature_names_) else None  # not known during a fit
        features, _ = check_features(user_features, users, names, name="user_features", unit="user")
        assert features is not None
        return np.asarray(features @ self.user_feature_map_)

    def _encode_toward(self, matrix: sp.csr_array, means: np.ndarray) -> np.ndarray:
        lam, loss = self._penalties(matrix, None), self._quadratic_loss(matrix)
        U = solve_ridge(loss, self.item_factors_, lam, prior=means, n_threads=self.n_threads, keep=True)
        return np.where((np.diff(matrix.indptr) > 0)[:, None], U + means, means)

    def _check_loaded(self, path: PathLike) -> None:
        n_features = len(self.user_feature_names_)
        self._check_array(path, "user_feature_map_", (n_features, self.n_factors if n_features else 0))
        super()._check_loaded(path)
