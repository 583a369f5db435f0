"""One map or a batch of maps: every measure of maps takes both and gives a number or an array.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Values = float | FloatArray


def batched(array: ArrayLike, name: str) -> tuple[FloatArray, bool]:
    """Maps as a batch `(N, h, w)` of float64, and whether it was a single one `(h, w)`; `ValueError` for any other."""
    given = np.asarray(array)
    if given.dtype.kind not in "biuf":
        raise ValueError(f"{name} has dtype {given.dtype}; give real numbers")
    if given.ndim not in (2, 3) or 0 in given.shape[-2:]:
        raise ValueError(f"{name} has shape {given.shape}; give one map (h, w) or a batch (N, h, w)")
    values = given.astype(np.float64, copy=False)
    return (values[None], True) if given.ndim == 2 else (values, False)


def unbatched(values: FloatArray, single: bool) -> Values:
    """What was measured, `(N,)`: as a number if it was of a single map."""
    return float(values[0]) if single else values


def refuse(wrong: BoolArray, name: str, what: str, advice: str) -> None:
    """`ValueError` naming the maps of a batch that have a `wrong` cell `(N, h, w)`."""
    if wrong.any():
        raise ValueError(f"{name} {listed(indices(wrong.any(axis=(1, 2))))} has {what}; {advice}")


def indices(flags: ArrayLike) -> tuple[int, ...]:
    """Where a flag is set."""
    return tuple(int(index) for index in np.flatnonzero(flags))


def listed(indices: tuple[int, ...]) -> str:
    """The first five of them, and how many more there are."""
    shown = ", ".join(map(str, indices[:5]))
    return shown if len(indices) <= 5 else f"{shown} and {len(indices) - 5} more"
