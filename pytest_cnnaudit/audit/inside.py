"""Assertions on what happens inside the network.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit.base import Base, as_cases, audited
from pytest_cnnaudit.audit.judging import as_population, case_id, compared, holds, listed
from pytest_cnnaudit.cases import Case
from pytest_cnnaudit.checks import number
from pytest_cnnaudit.findings import CaseResult, Finding, Threshold
from pytest_cnnaudit.record.provenance import case_digest

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Kernels, Layer, LayerStats
    from pytest_cnnaudit.engine.errors import NonFiniteError


HOYER_ROUNDING = 1e-5
"""Hoyer's sparsities that differ by at most this may be the same: they come from sums in float32."""


class Inside(Base):
    """Inside the network."""

    @audited
    def assert_sparsity_rises(
        self,
        cases: Any,
        *,
        layers: Sequence[str] | None = None,
        measure: str = "auto",
        trend_at_least: float = 0.5,
    ) -> Finding:
        """Activations get sparser with depth: the mean over pictures of Kendall's τ-b is at least `trend_at_least`.

        `layers` (in the order of execution) default to the ReLU-like ones. `measure` is `"zero_fraction"`,
        `"hoyer"`, or `"auto"`: the zero fraction where all layers are ReLU-like, else Hoyer's; the finding's
        `method` is the one that was taken. Zero fractions are exact; Hoyer's sparsities come from sums in float32,
        and two that differ by at most 1e-5 are the same. A picture with the same sparsity in all layers has no
        trend and counts as 0. Judges one value of the population.

        With Hoyer's a `ValueError` for activations so large or small that their squares are unknown.
        """
        limit = Threshold("mean trend", number(trend_at_least, "trend_at_least", -1, 1), "at_least")
        _check_images(cases)
        _check_measure(measure)
        chosen = self._relu_like(layers, "sparsity on: name the layers, with measure='hoyer'")
        if len(chosen) < 3:
            named = listed(layer.path for layer in chosen)
            raise ValueError(f"A trend over depth needs at least 3 layers; there are {len(chosen)}: {named}")
        stats = self._stats(cases, chosen)
        measure = _sparsity_measure(measure, chosen, stats)
        profiles = np.stack([_sparsity(stats[layer.path], measure) for layer in chosen], axis=1)
        if measure == "hoyer":
            _check_known(profiles, [(layer.path, stats[layer.path].largest_per_image) for layer in chosen], cases)
        tolerance = HOYER_ROUNDING if measure == "hoyer" else 0.0
        trend = metrics.trend_per_image(profiles, tolerance=tolerance)
        taus = np.where(trend.unscorable, 0.0, trend.taus)
        value, n = float(taus.mean()), len(taus)
        interval = metrics.mean_interval(taus, seed=self._settings.seed)
        results = _picture_results(cases, taus, trend.unscorable, limit)
        flat = int(trend.unscorable.sum())
        page = metrics.page_trend(profiles, tolerance=tolerance)
        means = profiles.mean(axis=0)
        passed = holds(value, limit) and flat < n
        first, last = chosen[0].path, chosen[-1].path
        lines = [
            "no picture has a trend: the same sparsity in all layers" if flat == n else "",
            f"mean of Kendall's τ-b over {n} pictures {compared(value, limit)}, chance 0",
            "" if interval is None else f"95 % bootstrap interval [{interval[0]:.3f}, {interval[1]:.3f}]",
            "" if page is None else f"Page's trend test p = {page:.2g} (reported, not judged)",
            f"{measure}: {means[0]:.3f} at the first layer {first!r}, {means[-1]:.3f} at the last {last!r}",
            f"{flat} of {n} pictures have the same sparsity in all layers and count as 0" if 0 < flat < n else "",
            "" if passed else f"weakest: {listed(_named(results, taus))}",
        ]
        rows = [
            {"layer": layer.path, "value": float(mean), "note": ""} for layer, mean in zip(chosen, means, strict=True)
        ]
        chart = {
            "kind": "layers",
            "title": "Activation sparsity over depth",
            "unit": measure.replace("_", " "),
            "rows": rows,
        }
        return Finding(
            self._test,
            "sparsity_rises",
            "passed" if passed else "failed",
            value=value,
            threshold=limit.value,
            direction="at_least",
            chance=0.0,
            interval=interval,
            n=n,
            passed=sum(result.outcome == "passed" for result in results),
            unscorable=flat,
            method=measure,
            thresholds=(limit,),
            unit="pictures",
            message=self._message("sparsity_rises", passed, lines),
            cases=results,
            evidence=(chart,),
        )

    @audited
    def assert_no_dead_filters(
        self, cases: Any, *, layers: Sequence[str] | None = None, at_most: float = 0.1
    ) -> Finding:
        """In no layer is the share of channels that never fire above `at_most`; the value is the worst layer's.

        A channel is dead where its maximum over all pictures and positions is ≤ 0 (ReLU-like layers), or
        where it is constant. `layers` default to the ReLU-like ones.
        """
        limit = Threshold("dead channels in a layer", number(at_most, "at_most", 0, 1), "at_most")
        _check_images(cases)
        chosen = self._relu_like(layers, "dead filters on: name the layers")
        stats = self._stats(cases, chosen)
        shares = {layer.path: stats[layer.path].dead_fraction for layer in chosen}
        worst = max(shares, key=lambda path: shares[path])
        value = shares[worst]
        n = len(stats[worst].sparsity_per_image)
        missed = metrics.missed_rate(n)
        rare = f"; a channel that fires in fewer than {missed:.1%} of pictures may have been missed (95 %)"
        dead = {path: np.flatnonzero(stats[path].dead) for path in shares}
        passed = holds(value, limit)
        above = [path for path, share in shares.items() if not holds(share, limit)]
        share = f"{len(dead[worst])} of {stats[worst].dead.size}"
        lines = [
            f"worst layer {worst!r}: {share} channels never fire, {compared(value, limit)}",
            f"layers above the limit: {listed(above)}" if above else "",
            f"dead channels there: {listed(map(str, dead[worst]))}" if above else "",
            f"over {n} pictures" + (rare if n < 300 else ""),
        ]
        rows = [
            {"layer": path, "value": share, "note": f"{len(dead[path])} of {stats[path].dead.size} dead"}
            for path, share in shares.items()
        ]
        chart = {
            "kind": "layers",
            "title": "Dead channels by layer",
            "unit": "share of channels",
            "rows": rows,
        }
        return Finding(
            self._test,
            "no_dead_filters",
            "passed" if passed else "failed",
            value=value,
            threshold=limit.value,
            direction="at_most",
            n=n,
            passed=n if passed else 0,
            layer=worst,
            thresholds=(limit,),
            unit="pictures",
            message=self._message("no_dead_filters", passed, lines),
            evidence=(chart,),
        )

    @audited
    def assert_no_duplicate_filters(
        self, layers: str | Sequence[str] | None = None, *, similarity_at_most: float = 0.99, at_most: float = 0.05
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
        found = {path: _duplicates(kernels, similar) for path, kernels in self.engine.kernels(layers).items()}
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
        rows = [
            {"layer": path, "value": shares[path], "note": _redundant(one) + _nearest_pair(one)}
            for path, one in found.items()
        ]
        unit = "share of filters; beside it their number, and the largest cosine among those that are kept"
        evidence: list[dict[str, Any]] = [
            {"kind": "layers", "title": "Redundant filters by layer", "unit": unit, "rows": rows}
        ]
        listing = [f"{path}: {listed(_pairs(found[path]), 50)}" for path in above if found[path].redundant.any()]
        if listing:
            evidence.append({"kind": "text", "title": "Filters that repeat another", "text": "\n".join(listing)})
        return Finding(
            self._test,
            "no_duplicate_filters",
            "failed" if above else "passed",
            value=value,
            threshold=limit.value,
            direction="at_most",
            n=len(shares),
            passed=len(shares) - len(above),
            layer=worst,
            thresholds=(limit,),
            unit="layers",
            message=self._message("no_duplicate_filters", not above, lines),
            evidence=tuple(evidence),
        )

    @audited
    def assert_finite(self, cases: Any, *, layers: Sequence[str] | None = None) -> Finding:
        """No activation of any layer is NaN or infinity, for any of the pictures; `layers` are by default all.

        The value is the share of pictures with such an activation, and none is allowed. What a layer hands to an
        activation of its own counts as well: a ReLU makes 0 of −∞, and on TensorFlow of NaN. Elsewhere such
        values are an error; here they are what is judged, so NaN in a weight fails this assertion too: every
        picture counts as one with NaN, without a look at it.
        """
        from pytest_cnnaudit.engine.errors import NonFiniteError

        _check_images(cases)
        images = as_cases(cases)
        limit = Threshold("pictures with NaN or infinity", 0.0, "at_most")
        try:
            _ = self.engine
        except NonFiniteError as error:  # found in the model's weights when the engine was made
            return self._weights_not_finite(error, cases, limit)
        chosen = self._named(layers)
        paths = None if chosen is None else [layer.path for layer in chosen]
        found = self._results.finite(cases if images is None else images, paths)
        self._recorder.saw(images or (), case_digest)
        wrong = ~np.stack(list(found.values()))
        n, bad = wrong.shape[1], np.flatnonzero(wrong.any(axis=0))
        names = _names(cases, n)
        every = np.array(list(found), object)
        share, passed = len(bad) / n, not len(bad)
        lines = [f"{len(bad)} of {n} pictures with NaN or infinity in an activation: {compared(share, limit)}"]
        if not passed:
            first = int(np.argmax(wrong.any(axis=1)))
            there = np.flatnonzero(wrong[first])
            lines += [
                f"first layer: {every[first]!r}, {len(there)} of {n} pictures: {listed(names[one] for one in there)}",
                f"layers with NaN or infinity: {listed(every[wrong.any(axis=1)])}",
                "" if len(there) == len(bad) else f"all such pictures: {listed(names[index] for index in bad)}",
            ]
        lines.append(f"over {n} pictures and {len(every)} layers")
        rows = [
            {"layer": path, "value": float(flags.mean()), "note": f"{flags.sum()} of {n} pictures"}
            for path, flags in zip(every, wrong, strict=True)
        ]
        chart = {"kind": "layers", "title": "NaN or infinity by layer", "unit": "share of pictures", "rows": rows}
        return Finding(
            self._test,
            "finite",
            "passed" if passed else "failed",
            value=share,
            threshold=0.0,
            direction="at_most",
            n=n,
            passed=n - len(bad),
            layer=None if passed else every[first],
            thresholds=(limit,),
            unit="pictures",
            message=self._message("finite", passed, lines),
            cases=tuple(
                CaseResult(name, float(flags.any()), "failed" if flags.any() else "passed", _first_layer(every, flags))
                for name, flags in zip(names, wrong.T, strict=True)
            ),
            evidence=(chart,),
        )

    def _weights_not_finite(self, error: NonFiniteError, cases: Any, limit: Threshold) -> Finding:
        """Of a model with NaN or infinity in a weight, which computes nothing that could be looked at."""
        n = _number_of(cases)
        lines = [
            f"a weight holds NaN or infinity, so every picture counts as one that does: {compared(1.0, limit)}",
            str(error),
            f"over {n} pictures" if n else "",
        ]
        note = "in a weight" if error.layer is None else f"in a weight of {error.layer!r}"
        return Finding(
            self._test,
            "finite",
            "failed",
            value=1.0,
            threshold=0.0,
            direction="at_most",
            n=n,
            layer=error.layer,
            thresholds=(limit,),
            unit="pictures",
            message=self._message("finite", False, lines),
            cases=tuple(CaseResult(name, 1.0, "failed", note) for name in _names(cases, n)),
        )

    def _relu_like(self, layers: Sequence[str] | None, what: str) -> list[Layer]:
        chosen = self._named(layers)
        if chosen is None:
            chosen = [layer for layer in self.engine.layers if layer.is_relu_like]
            if not chosen:
                raise ValueError(f"The model has no ReLU-like layer to judge {what}")
        return chosen

    def _named(self, layers: Sequence[str] | None) -> list[Layer] | None:
        """The layers with these names, in the order of execution; None where none are named."""
        if isinstance(layers, str) or not isinstance(layers, (Iterable, NoneType)):
            raise TypeError(f"layers must be a sequence of layer names, not {layers!r}")
        if layers is None:
            return None
        wanted = {self.engine.layer(name).path for name in layers}
        if not wanted:
            raise ValueError("layers is empty: name at least one layer, or leave it out")
        return [layer for layer in self.engine.layers if layer.path in wanted]

    def _stats(self, cases: Any, layers: Sequence[Layer]) -> dict[str, LayerStats]:
        from pytest_cnnaudit.engine.errors import NonFiniteError

        paths = [layer.path for layer in layers]
        images = as_cases(cases)
        stats = dict(self._results.stats(cases if images is None else images, paths))
        self._recorder.saw(images or (), case_digest)
        for path, one in stats.items():
            if not (np.isfinite(one.mean).all() and np.isfinite(one.max).all()):
                raise NonFiniteError(
                    f"The activations of {path!r} hold NaN or infinity: nothing about them can be judged"
                )
        return stats


def _first_layer(paths: Any, wrong: Any) -> str:
    """Where NaN or infinity first appear in a picture."""
    return f"first in {paths[np.argmax(wrong)]!r}" if wrong.any() else ""


def _check_images(cases: Any) -> None:
    """An error that names the argument for what is no pictures at all, before anything is computed."""
    kinds = (Case, PathLike, Image.Image, np.ndarray, Iterable)
    if isinstance(cases, (str, bytes)) or not isinstance(cases, kinds):
        raise TypeError(
            f"cases is {cases!r}; Cases or pictures are expected: a Case, a pathlib.Path, a PIL image, an array, or a "
            "sequence of these"
        )
    if (isinstance(cases, Sequence) and not cases) or (isinstance(cases, np.ndarray) and not cases.size):
        raise ValueError("cases is empty: there are no images to judge")
    known = as_cases(cases)
    if known is not None:
        as_population(known)


def _check_measure(measure: str) -> None:
    if not isinstance(measure, str) or measure not in ("auto", "zero_fraction", "hoyer"):
        raise ValueError(f"measure is {measure!r}; known: 'auto', 'zero_fraction', 'hoyer'")


def _sparsity_measure(measure: str, layers: Sequence[Layer], stats: dict[str, LayerStats]) -> str:
    if measure == "auto":
        return "zero_fraction" if all(layer.is_relu_like for layer in layers) else "hoyer"
    never = [layer.path for layer in layers if not layer.is_relu_like and not _makes_zeros(stats[layer.path])]
    if measure == "zero_fraction" and never:
        raise ValueError(
            f"The layer {never[0]!r} never gives an exact 0 beside other values, so its zero fraction says nothing: "
            "use measure='hoyer'"
        )
    return measure


def _makes_zeros(stats: LayerStats) -> bool:
    """Whether some values of a picture are 0 but not all: a black picture is 0 in linear layers too."""
    return bool(((stats.sparsity_per_image > 0) & (stats.sparsity_per_image < 1)).any())


def _check_known(profiles: Any, largest: Sequence[tuple[str, Any]], cases: Any) -> None:
    """`ValueError` that names the first layer where a Hoyer sparsity of `profiles` `(N, layers)` is unknown."""
    from pytest_cnnaudit.engine.statistics import SQUARED

    unknown = np.isnan(profiles)
    if not unknown.any():
        return
    layer = int(np.argmax(unknown.any(axis=0)))
    (path, magnitudes), index = largest[layer], int(np.argmax(unknown[:, layer]))
    what = "explode" if magnitudes[index] > 1 else "vanish"
    raise ValueError(
        f"The activations of {path!r} {what}: the largest magnitude in {_names(cases, len(profiles))[index]} is "
        f"{magnitudes[index]:.3g}, and Hoyer's sparsity can't be computed in float32 outside of {SQUARED[0]:g} to "
        f"{SQUARED[1]:g}. Look at the weights up to this layer, or leave it out with layers="
    )


def _sparsity(stats: LayerStats, measure: str) -> Any:
    return stats.sparsity_per_image if measure == "zero_fraction" else stats.hoyer_per_image


def _named(results: Sequence[CaseResult], taus: Any) -> Iterator[str]:
    """The pictures with their trends, the weakest first."""
    return (f"{results[index].id} {taus[index]:.3f}" for index in np.argsort(taus, kind="stable"))


def _names(cases: Any, n: int) -> list[str]:
    """What findings call the n pictures."""
    known = as_cases(cases)
    return [f"picture {index}" if known is None else case_id(known[index], index) for index in range(n)]


def _number_of(cases: Any) -> int:
    """How many pictures these are; 0 where only reading them would tell."""
    if isinstance(cases, Sequence) or getattr(cases, "ndim", 0) == 4:
        return len(cases)
    return 1 if isinstance(cases, (Case, PathLike, Image.Image, np.ndarray)) else 0


def _picture_results(cases: Any, taus: Any, unscorable: Any, limit: Threshold) -> tuple[CaseResult, ...]:
    return tuple(
        CaseResult(
            name,
            float(tau),
            "unscorable" if flat else "passed" if holds(float(tau), limit) else "failed",
            "the same sparsity in all layers" if flat else "",
        )
        for name, tau, flat in zip(_names(cases, len(taus)), taus, unscorable, strict=True)
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
