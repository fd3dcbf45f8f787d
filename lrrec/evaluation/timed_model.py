"""TimedModel: the seconds that a model takes to recommend."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any


class TimedModel:
    """A model whose `recommend` and `recommend_from` are timed; all else, its class included, is the model's."""

    def __init__(self, model: Any) -> None:
        self._model, self.seconds = model, 0.0

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._model)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._model, name)
        return self._timed(attribute) if name in ("recommend", "recommend_from") else attribute

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def timed(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return method(*args, **options)
            finally:
                self.seconds += time.perf_counter() - began

        return timed
