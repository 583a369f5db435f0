"""Measures: arrays in, numbers out. NumPy and SciPy only; no model, no picture, no pytest."""

from pytest_cnnaudit.metrics.localisation import (
    EmptyHeatmapError,
    RegionLostError,
    box_shuffle_null,
    ceiling,
    centre_prior,
    chance,
    excess,
    iou,
    mass_inside,
    pointing_hit,
    rank_accuracy,
)
from pytest_cnnaudit.metrics.redundancy import (
    Duplicates,
    Nearest,
    dead_filters,
    duplicate_filters,
    missed_rate,
    nearest_others,
)
from pytest_cnnaudit.metrics.responses import drift, pattern_gain
from pytest_cnnaudit.metrics.sparsity import (
    Trend,
    hoyer_sparsity,
    mean_interval,
    page_trend,
    trend_per_image,
    zero_fraction,
)

__all__ = [
    "Duplicates",
    "EmptyHeatmapError",
    "Nearest",
    "RegionLostError",
    "Trend",
    "box_shuffle_null",
    "ceiling",
    "centre_prior",
    "chance",
    "dead_filters",
    "drift",
    "duplicate_filters",
    "excess",
    "hoyer_sparsity",
    "iou",
    "mass_inside",
    "mean_interval",
    "missed_rate",
    "nearest_others",
    "page_trend",
    "pattern_gain",
    "pointing_hit",
    "rank_accuracy",
    "trend_per_image",
    "zero_fraction",
]
