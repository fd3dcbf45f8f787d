"""EncoderModel: a factor model that computes user factors from a history by learned arrays."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.models.base.factor_model import FactorModel


class EncoderModel(FactorModel):
    """A factor model with an encoder; other factor models fold users in against their item factors.

    Adapters keep the encoder, or change it, and know it by these names.
    """

    _encoder_arrays: ClassVar[tuple[str, ...]]
    _arrays_of_items: ClassVar[tuple[str, ...]]  # those of them that have a row for each item

    def _encode(self, matrix: sp.csr_array) -> np.ndarray:
        return self._encode_by(self._encoder(), matrix)

    def _explain(self, matrix: sp.csr_array, column: int) -> tuple[np.ndarray, dict[str, float]]:
        return self._shares_by(self._encoder(), matrix, self.item_factors_[column])

    def _encoder(self) -> dict[str, np.ndarray]:
        """The model's own arrays."""
        return {name: getattr(self, name) for name in self._encoder_arrays}

    @abstractmethod
    def _encode_by(self, arrays: Mapping[str, np.ndarray], matrix: sp.csr_array) -> np.ndarray:
        """Return `_encode` for an encoder of these arrays."""

    @abstractmethod
    def _shares_by(
        self, arrays: Mapping[str, np.ndarray], matrix: sp.csr_array, item_factors: np.ndarray
    ) -> tuple[np.ndarray, dict[str, float]]:
        """Return `_explain` for an encoder of these arrays, and an item of these factors."""
