"""The kernels of a layer, whatever the model is made of.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Kernels:
    """Weights `(F, n)` float32 of a layer's F filters, the bias (if there is one) last.

    Filters come in `groups` of equal size, one after the other; those of different groups see different channels.
    """

    filters: Floats
    groups: int = 1
