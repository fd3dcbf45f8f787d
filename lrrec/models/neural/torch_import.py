"""Torch, whose threads soon sleep while they wait for each other.

By default they spin for milliseconds. Where other work takes a core from one of them, the others then keep busy the
cores that it needs, and a fit takes five times as long. OMP_WAIT_POLICY and GOMP_SPINCOUNT in the environment are left
as they are, and so is torch where it was imported before. Without GNU OpenMP nothing changes.
"""

import os

SPINS = "20000"  # some 50 microseconds
_unset = not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ)
if _unset:
    os.environ["GOMP_SPINCOUNT"] = SPINS  # read when the library is loaded
try:
    import torch
finally:
    if _unset:
        del os.environ["GOMP_SPINCOUNT"]

__all__ = ["torch"]
