"""Measures: arrays in, numbers out. NumPy and SciPy only; no model, no picture, no pytest."""

from pytest_cnnaudit.metrics.dependence import probability_drop, top_class_kept
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
from pytest_cnnaudit.metrics.sparsity import (
    Trend,
    hoyer_sparsity,
    mean_interval,
    page_trend,
    trend_per_image,
    zero_fraction,
)

__all__ = [
    "EmptyHeatmapError",
    "RegionLostError",
    "Trend",
    "box_shuffle_null",
    "ceiling",
    "centre_prior",
    "chance",
    "excess",
    "hoyer_sparsity",
    "iou",
    "mass_inside",
    "mean_interval",
    "page_trend",
    "pointing_hit",
    "probability_drop",
    "rank_accuracy",
    "top_class_kept",
    "trend_per_image",
    "zero_fraction",
]
