"""Linear interpolation as a matrix.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def bilinear(have: int, want: int) -> npt.NDArray[np.float64]:
    """Weights `(want, have)` of linear interpolation with half-pixel centres and replicated borders."""
    centre = np.clip((np.arange(want) + 0.5) * have / want - 0.5, 0, have - 1)
    low = np.floor(centre).astype(int)
    high = np.minimum(low + 1, have - 1)
    weights = np.zeros((want, have))
    weights[np.arange(want), low] += 1 - (centre - low)
    weights[np.arange(want), high] += centre - low
    return weights
