"""Compilation of the kernels by numba, with a cache on disk wherever one can be had."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache

config: Any = numba.config  # its settings are not declared
KERNELS: list[Any] = []  # all that Python calls
REORDER = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered (SIMD); NaN and infinity keep their meaning


class _Cache(FunctionCache):
    """A cache without which everything works as well: a full or vanished disk is no error."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with suppress(OSError):
            return super().load_overload(sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)


class _Filled:
    """A place of numba's that is only read: it has to hold something."""

    def ensure_cache_path(self: Any) -> None:
        """Raise OSError where there is no cache."""
        if not any(name.endswith(".nbi") for name in os.listdir(self.get_cache_path())):
            raise FileNotFoundError(self.get_cache_path())


class _FilledPlaces(CompileResultCacheImpl):
    """NUMBA_CACHE_DIR and `__pycache__`, where they were filled."""

    _locator_classes: Any = [  # noqa: RUF012
        type(f"Filled{place.__name__}", (_Filled, place), {}) for place in CompileResultCacheImpl._locator_classes[:2]
    ]


class _FilledCache(_Cache):
    _impl_class: Any = _FilledPlaces


def kernel(*, helper: bool = False, **options: Any) -> Callable[[Any], Any]:
    """Return numba's `njit` for kernels: they release the interpreter lock, and are cached.

    A helper is called by kernels only, and needs no wrapper for Python.

    The cache is where numba puts it (NUMBA_CACHE_DIR, `__pycache__`, the user's cache folder). Where none of these can
    be written, as in containers with a read-only image, it is one of the first two that was filled before, by `lrrec
    warmup` when the image was made; or a folder of temporary files of the user's; or none.
    """

    def compiled(function: Any) -> Any:
        wrappers: dict[str, Any] = {"no_cpython_wrapper": helper, "no_cfunc_wrapper": True}
        dispatcher: Any = numba.njit(nogil=True, **wrappers, **options)(function)
        if not config.DISABLE_JIT:
            with suppress(RuntimeError, OSError):
                dispatcher._cache = _cache(function)
            if not helper and options.get("inline") != "always":
                KERNELS.append(dispatcher)
        return dispatcher

    return compiled


def _cache(function: Any) -> _Cache:
    try:
        return _Cache(function)
    except RuntimeError:  # numba found no folder that can be written
        pass
    try:
        return _FilledCache(function)
    except RuntimeError:
        configured, config.CACHE_DIR = config.CACHE_DIR, _private_folder()
    try:
        return _Cache(function)
    finally:
        config.CACHE_DIR = configured


def _private_folder() -> str:
    """A folder for temporary files that nobody else can write to: what is in a cache is run."""
    user = os.getuid() if hasattr(os, "getuid") else ""
    folder = os.path.join(tempfile.gettempdir(), f"lrrec-kernels-{user}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    state = os.lstat(folder)
    if hasattr(os, "getuid") and (os.path.islink(folder) or state.st_uid != user or state.st_mode & 0o022):
        raise PermissionError(f"{folder} belongs to somebody else")
    return folder
