"""What the engine computed in a session, kept within a byte budget and shared by all of its tests.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.cases import Case, check_regions
from pytest_cnnaudit.engine import Engine, FilterPatterns, Heatmaps, LayerStats, Predictions
from pytest_cnnaudit.engine.methods import MethodFunction, find_method
from pytest_cnnaudit.preprocessing import Geometry
from pytest_cnnaudit.provenance import picture_key

Floats: TypeAlias = npt.NDArray[np.float32]

BUDGET = 256 * 2**20


@dataclass(frozen=True)
class _Map:
    """One picture's heatmap."""

    signed: Floats
    score: float
    target: int
    geometry: Geometry

    @property
    def nbytes(self) -> int:
        return self.signed.nbytes + 200


class Results:
    """An engine that computes the same thing once: same picture, layer, target, method and score."""

    def __init__(self, engine: Engine, budget: int = BUDGET) -> None:
        self.engine = engine
        self.budget = budget
        self.warned_of_chance = False
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._bytes = 0

    def predictions(self, cases: Sequence[Case]) -> Predictions:
        """Predictions of every case, in their order."""
        keys = [("logits", self._case_key(case)) for case in cases]
        rows = [self._get(key) for key in keys]
        missing = [index for index, row in enumerate(rows) if row is None]
        if missing:
            computed = self.engine.predict([cases[index] for index in missing]).logits
            for index, logits in zip(missing, computed, strict=True):
                rows[index] = logits
                self._keep(keys[index], logits)
        return self.engine.predictions(np.stack([row for row in rows if row is not None]))

    def heatmaps(
        self,
        cases: Sequence[Case],
        *,
        targets: Sequence[int | None],
        method: str | MethodFunction = "grad-cam",
        layer: str | None = None,
        score: str = "logit",
        seed: int | None = None,
    ) -> Heatmaps:
        """Heatmaps of every case; a target of None is the predicted class."""
        path = self.engine.explained_layer(method, layer)
        found_method = find_method(method)
        # Where no random numbers are drawn, maps are the same for all seeds.
        seed = (self.engine.seed if seed is None else seed) if found_method.is_random else None
        explained = (path, found_method.function, score, seed)
        pictures = [self._case_key(case) for case in cases]
        rows: list[_Map | None] = [
            self._map((picture, *explained), target) for picture, target in zip(pictures, targets, strict=True)
        ]
        missing = [index for index, row in enumerate(rows) if row is None]
        if missing:
            computed = self.engine.heatmaps(
                [cases[index] for index in missing],
                target=["predicted" if targets[index] is None else int(targets[index] or 0) for index in missing],
                method=method,
                layer=layer,
                score=score,
                seed=seed,
            )
            for row, index in enumerate(missing):
                one = _Map(
                    computed.signed[row],
                    float(computed.scores[row]),
                    int(computed.targets[row]),
                    computed.geometries[row],
                )
                rows[index] = one
                self._keep(("map", pictures[index], *explained, one.target), one)
                self._keep(("logits", pictures[index]), computed.logits[row])
        found = [row for row in rows if row is not None]
        for case, one in zip(cases, found, strict=True):
            check_regions(case, one.geometry.source_width, one.geometry.source_height)
        return Heatmaps(
            signed=np.stack([one.signed for one in found]),
            targets=np.array([one.target for one in found], np.intp),
            scores=np.array([one.score for one in found], np.float32),
            layer=path,
            method=found_method.name,
            logits=self.predictions(cases).logits,
            geometries=tuple(one.geometry for one in found),
            regions=tuple(case.regions for case in cases),
        )

    def stats(self, images: Any, layers: Sequence[str]) -> Mapping[str, LayerStats]:
        """Activation statistics; those of a sequence of cases are kept."""
        if not (isinstance(images, Sequence) and all(isinstance(image, Case) for image in images)):
            return self.engine.activation_stats(images, layers)
        key = ("stats", tuple(self._case_key(case) for case in images), tuple(layers))
        kept: Mapping[str, LayerStats] | None = self._get(key)
        if kept is None:
            kept = self.engine.activation_stats(images, layers)
            self._keep(key, kept)
        return kept

    def patterns(self, layer: str, filters: Any, *, init: Floats, **options: Any) -> FilterPatterns:
        """Filter patterns that start from `init`."""
        asked = tuple(filters) if isinstance(filters, Iterable) else filters
        path = self.engine.layer(layer).path
        key = ("patterns", path, init.shape, init.tobytes(), repr((asked, sorted(options.items()))))
        kept: FilterPatterns | None = self._get(key)
        if kept is None:
            kept = self.engine.filter_patterns(path, asked, init=init, **options)
            self._keep(key, kept)
        return kept

    def finite(self, images: Any, layers: Sequence[str]) -> Mapping[str, npt.NDArray[np.bool_]]:
        """Which pictures' activations are finite, layer by layer."""
        return self.engine.finite(images, layers)

    def _case_key(self, case: Case) -> Hashable:
        """What tells one case's model input from another's."""
        return (picture_key(case), self.engine.other_inputs_key(case))

    def _map(self, key: tuple[Hashable, ...], target: int | None) -> _Map | None:
        if target is None:
            logits = self._get(("logits", key[0]))
            if logits is None:
                return None
            target = int(np.argmax(logits))
        kept: _Map | None = self._get(("map", *key, target))
        return kept

    def _get(self, key: Hashable) -> Any:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def _keep(self, key: Hashable, value: Any) -> None:
        self._bytes += _size(value) - (_size(self._kept[key]) if key in self._kept else 0)
        self._kept[key] = value
        self._kept.move_to_end(key)
        while self._bytes > self.budget and len(self._kept) > 1:
            self._bytes -= _size(self._kept.popitem(last=False)[1])


def _size(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(
            sum(array.nbytes for array in vars(stats).values() if hasattr(array, "nbytes")) for stats in value.values()
        )
    return int(value.nbytes)
