"""Regions, grids and geometries of all kinds, for properties of what regions cover."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image

from pytest_cnnaudit.cases import Box, Mask
from pytest_cnnaudit.preprocessing import Preprocessing

WIDTH, HEIGHT = 7, 5
relaxed = settings(deadline=None, max_examples=60)


def _interval(length: int) -> st.SearchStrategy[list[float]]:
    # Multiples of 1/64 have exact mirror images.
    edges = st.integers(0, 64 * length).map(lambda edge: edge / 64)
    return st.lists(edges, min_size=2, max_size=2, unique=True).map(sorted)


def boxes() -> st.SearchStrategy[Box]:
    intervals = st.tuples(_interval(WIDTH), _interval(HEIGHT))
    return intervals.map(lambda pair: Box(pair[0][0], pair[1][0], pair[0][1], pair[1][1]))


masks = (
    st.lists(st.booleans(), min_size=WIDTH * HEIGHT, max_size=WIDTH * HEIGHT)
    .filter(any)
    .map(lambda flags: Mask(np.reshape(flags, (HEIGHT, WIDTH))))
)
regions = st.lists(boxes() | masks, min_size=1, max_size=4)
grids = st.tuples(st.integers(1, 6), st.integers(1, 6))
geometries = st.builds(
    lambda size, resize: Preprocessing(size, resize=resize, color="rgb")(Image.new("RGB", (WIDTH, HEIGHT)))[1],
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.sampled_from(["stretch", "crop", "pad"]),
)


def mirrored_region(region: Box | Mask) -> Box | Mask:
    if isinstance(region, Mask):
        return Mask(region.array[:, ::-1])
    return Box(WIDTH - region.right, region.top, WIDTH - region.left, region.bottom)
