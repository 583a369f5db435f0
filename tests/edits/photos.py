"""A photo of noise, and what the tests of edits do with it."""

import numpy as np

from pytest_cnnaudit import Box, edits

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (24, 32, 3), np.uint8)


def random(seed=0):
    return np.random.default_rng(seed)


def covered(height, width, *boxes):
    return edits.coverage_of([Box(*box) for box in boxes], width, height)


def hidden(pixels, coverage, fill, seed=0):
    return edits.blended(pixels, edits.filling(pixels, fill, random(seed))(coverage), coverage)
