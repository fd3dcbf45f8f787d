"""The bases of scikit-learn, with types: it has none, and what derives from them could not be checked."""

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:

    class BaseEstimator:
        """Parameters by name, as `sklearn.base.BaseEstimator` has them."""

        @classmethod
        def _get_param_names(cls) -> list[str]: ...

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """Return the parameters."""

        def __sklearn_tags__(self) -> Any: ...

        def set_params(self, **params: Any) -> Self:
            """Set parameters, and return the estimator."""

    class TransformerMixin:
        """`fit_transform`, as `sklearn.base.TransformerMixin` has it."""

        def fit_transform(self, X: Any, y: None = None, **fit_params: Any) -> Any:
            """Fit, and return the transformed X."""
else:
    from sklearn.base import BaseEstimator, TransformerMixin

__all__ = ["BaseEstimator", "TransformerMixin"]
