"""Whether there are filters that repeat another.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.limits import compared, holds, listed
from pytest_cnnaudit.audit.one_value import value_finding
from pytest_cnnaudit.checks import number
from pytest_cnnaudit.findings import BarChart, Evidence, Finding, LayerBar, TextEvidence, Threshold

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Kernels


@assertion(
    title="Filters differ from each other",
    quantity="share of filters that repeat another, in the worst layer",
    measured=(
        "Two filters whose weights point in the same direction compute the same thing twice. This audit takes the "
        "filters of each layer in their order, and counts those whose weights (the bias is one of them) are nearly "
        "parallel to an earlier filter's: of three equal filters two are redundant. It looks at weights alone, and "
        "needs no pictures."
    ),
    reading=(
        "Many redundant filters point to a layer that is too wide, to an initialisation that made filters alike, or "
        "to weights that were copied. A normalisation after the layer can still tell two such filters apart."
    ),
    about="inside the network",
    unit="layers",
)
def assert_no_duplicate_filters(
    context: Context,
    layers: str | Sequence[str] | None = None,
    *,
    similarity_at_most: float = 0.99,
    at_most: float = 0.05,
) -> Finding:
    """In no layer is the share of filters that repeat another above `at_most`; the value is the worst layer's.

    A filter is redundant where the cosine of its kernel, bias included, with that of an earlier filter that is
    kept is above `similarity_at_most`: of k equal filters k − 1 are redundant. w and −w are not, since a ReLU
    tells them apart, nor are filters of different groups, which see different channels. All-zero kernels are
    duplicates of each other. `layers` default to every convolution, a shared one once, of a separable one the
    pointwise kernels; depthwise ones have nothing to compare. Needs no pictures.
    """
    if not isinstance(layers, (str, NoneType)) and not _are_names(layers):
        raise TypeError(f"layers must be a layer's name or a sequence of names, not {_kind(layers)}")
    if layers is not None and not layers:
        raise ValueError("layers is empty: name at least one layer, or leave it out")
    similar = number(similarity_at_most, "similarity_at_most", -1, 1)
    limit = Threshold("redundant filters in a layer", number(at_most, "at_most", 0, 1), "at_most")
    found = {path: _duplicates(kernels, similar) for path, kernels in context.engine.kernels(layers).items()}
    shares = {path: one.fraction for path, one in found.items()}
    worst = max(shares, key=lambda path: shares[path])
    value = shares[worst]
    above = [path for path, share in shares.items() if not holds(share, limit)]
    pairs = _pairs(found[worst])
    lines = [
        f"worst layer {worst!r}: {_redundant(found[worst])} filters repeat another, {compared(value, limit)}",
        f"layers above the limit: {listed(above)}" if above else "",
        f"redundant there: {listed(pairs)}" if above and pairs else "",
        f"redundant: a cosine above {similar:g} with an earlier filter, bias included; layers: {len(shares)}",
    ]
    bars = (LayerBar(path, shares[path], _redundant(one) + _nearest_pair(one)) for path, one in found.items())
    unit = "share of filters; beside it their number, and the largest cosine among those that are kept"
    evidence: list[Evidence] = [BarChart("Redundant filters by layer", unit, tuple(bars))]
    listing = [f"{path}: {listed(_pairs(found[path]), 50)}" for path in above if found[path].redundant.any()]
    if listing:
        evidence.append(TextEvidence("Filters that repeat another", "\n".join(listing)))
    return value_finding(
        value,
        limit,
        n=len(shares),
        passed=len(shares) - len(above),
        lines=lines,
        evidence=evidence,
        layer=worst,
    )


def _are_names(layers: Any) -> bool:
    return isinstance(layers, Sequence) and all(isinstance(name, str) for name in layers)


def _kind(value: Any) -> str:
    """What was handed over instead of a layer, in short."""
    inside = f" of {type(value[0]).__name__}" if isinstance(value, (list, tuple)) and value else ""
    return type(value).__name__ + inside


def _duplicates(kernels: Kernels, similarity_at_most: float) -> metrics.Duplicates:
    """The duplicates in each group of filters, with the filters' numbers in the layer."""
    originals, similarities = [], []
    for position, group in enumerate(np.split(kernels.filters, kernels.groups)):
        one = metrics.duplicate_filters(group, similarity_at_most)
        originals.append(np.where(one.redundant, one.original + position * len(group), -1))
        similarities.append(one.similarity)
    return metrics.Duplicates(np.concatenate(originals), np.concatenate(similarities))


def _redundant(duplicates: metrics.Duplicates) -> str:
    return f"{int(duplicates.redundant.sum())} of {duplicates.original.size}"


def _pairs(duplicates: metrics.Duplicates) -> list[str]:
    """The redundant filters, each with the one it repeats."""
    return [
        f"{index} = {duplicates.original[index]} ({duplicates.similarity[index]:.3f})"
        for index in np.flatnonzero(duplicates.redundant)
    ]


def _nearest_pair(duplicates: metrics.Duplicates) -> str:
    """How near the filters that are kept come to each other."""
    kept = duplicates.similarity[~duplicates.redundant]
    return "" if kept.max() == -1 else f"; the others up to {kept.max():.3f}"
