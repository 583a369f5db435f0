"""The layers that an assertion is about, and the statistics of their activations.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.populations import as_cases
from pytest_cnnaudit.cases import case_digest

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Layer, LayerStats


def named_layers(context: Context, layers: Sequence[str] | None) -> list[Layer] | None:
    """The layers with these names, in the order of execution; None where none are named."""
    if isinstance(layers, str) or not isinstance(layers, (Iterable, NoneType)):
        raise TypeError(f"layers must be a sequence of layer names, not {layers!r}")
    if layers is None:
        return None
    wanted = {context.engine.layer(name).path for name in layers}
    if not wanted:
        raise ValueError("layers is empty: name at least one layer, or leave it out")
    return [layer for layer in context.engine.layers if layer.path in wanted]


def chosen_layers(context: Context, layers: Sequence[str] | None, what: str) -> list[Layer]:
    """The named layers, by default the ReLU-like ones; `ValueError` where there are none, saying for `what`."""
    chosen = named_layers(context, layers)
    if chosen is None:
        chosen = [layer for layer in context.engine.layers if layer.is_relu_like]
        if not chosen:
            raise ValueError(f"The model has no ReLU-like layer to judge {what}")
    return chosen


def statistics(context: Context, cases: Any, layers: Sequence[Layer]) -> dict[str, LayerStats]:
    """Statistics of the layers' activations by path; an error where they can't be judged."""
    from pytest_cnnaudit.engine.errors import NonFiniteError

    paths = [layer.path for layer in layers]
    images = as_cases(cases)
    stats = dict(context.cache.stats(cases if images is None else images, paths))
    context.recorder.saw(images or (), case_digest)
    for path, one in stats.items():
        if not (np.isfinite(one.mean).all() and np.isfinite(one.max).all()):
            raise NonFiniteError(f"The activations of {path!r} hold NaN or infinity: nothing about them can be judged")
    return stats
