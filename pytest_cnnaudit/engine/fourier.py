"""The real Fourier basis of images, and decorrelated colors: what an ascent climbs in instead of pixels.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

MIDDLE = 0.5
"""The image of which all coefficients are 0, in units of the input range."""
_COLORS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
"""Square root of the covariance of ImageNet's colors, as published with Olah et al. 2017.

From the library Lucid, Apache 2.0, `color_correlation_svd_sqrt`: rows are red, green, blue, columns the decorrelated
colors.
"""


@dataclass(frozen=True, eq=False)
class Basis:
    """image = ½ + height · (spectrum ∘ coefficients) · widthᵀ for each decorrelated color, mixed by `colors`.

    `height` `(H, H)` and `width` `(W, W)` hold a wave a column, `spectrum` `(H, W)` and `colors` `(C, C)` how much of
    each wave and color a coefficient of 1 gives.
    """

    height: Array
    width: Array
    spectrum: Array
    colors: Array


def basis(shape: tuple[int, int, int], power: float) -> Basis:
    """The basis of images `(H, W, C)`, in which waves are as strong as 1 / frequency to the `power`.

    The mean square of spectrum and colors is 1: a step is about as long as one of pixels.
    """
    height, width, channels = shape
    frequency = np.hypot(frequencies(height)[:, None], frequencies(width))
    spectrum = np.maximum(frequency, 1 / max(height, width)) ** -power
    colors = _COLORS if channels == 3 else np.eye(channels)
    return Basis(
        waves(height),
        waves(width),
        spectrum / np.sqrt(np.mean(spectrum**2)),
        colors / np.sqrt(np.mean((colors**2).sum(axis=1))),
    )


def coefficients(images: Array, basis: Basis) -> Array:
    """Those of images `(N, H, W, C)` in 0 to 1."""
    planes = (images - MIDDLE) @ np.linalg.inv(basis.colors).T
    found = np.einsum("hk,nhwc,wl->nklc", basis.height, planes, basis.width, optimize=True)
    return np.asarray(found / basis.spectrum[..., None])


def waves(side: int) -> Array:
    """The real Fourier basis of `side` points, orthonormal, one wave a column, by rising frequency."""
    frequency = frequencies(side)
    is_sine = np.arange(side) % 2 == 0
    angle = 2 * np.pi * frequency * np.arange(side)[:, None]
    found = np.where(is_sine & (frequency > 0), np.sin(angle), np.cos(angle))
    return np.asarray(found / np.linalg.norm(found, axis=0))


def frequencies(side: int) -> Array:
    """0, 1, 1, 2, 2, … in cycles a pixel: a cosine and a sine of each."""
    return np.asarray((np.arange(side) + 1) // 2 / side)
