"""How far arrays are from what is expected."""

import numpy as np


def close(actual, expected, tolerance=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def distance(actual, expected):
    """Largest difference as a share of the largest value."""
    return np.abs(np.asarray(actual) - expected).max() / np.abs(expected).max()
