"""What the engine computed in a session, kept within a byte budget and shared by all of its tests.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.cases import Case, InputRow, Sample, check_regions, picture_key
from pytest_cnnaudit.engine.collectors import Finite, Logits, Statistics
from pytest_cnnaudit.engine.engine import Engine
from pytest_cnnaudit.engine.heatmaps import Heatmaps
from pytest_cnnaudit.engine.methods import Method, MethodFunction, find_method
from pytest_cnnaudit.engine.outputs import Predictions
from pytest_cnnaudit.engine.passes import INPUT, Pass, Wanted, finiteness, sparsity, united
from pytest_cnnaudit.engine.patterns import FilterPatterns
from pytest_cnnaudit.engine.statistics import LayerStats
from pytest_cnnaudit.preprocessing import Geometry, ReadPicture

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


@dataclass(frozen=True)
class _Question:
    """What heatmaps are asked for; `seed` is None where no random numbers are drawn: maps are the same for all."""

    method: Method
    layer: str | None
    path: str
    score: str
    seed: int | None

    @property
    def key(self) -> tuple[Hashable, ...]:
        return (self.path, self.method.function, self.score, self.seed)


class Cache:
    """An engine that computes the same thing once: same picture, layer, target, method and score.

    Assertions over the same cases share passes over the model: one gives predictions and Grad-CAM, one activation
    statistics and whether activations are finite. `foreseen` says what will be wanted of a population: where that is
    several things, one pass gives all. What the model takes is kept as well, as long as there is room: a picture is
    read once.
    """

    def __init__(self, engine: Engine, budget: int = BUDGET, foreseen: Collection[Wanted] = ()) -> None:
        self.engine = engine
        self.budget = budget
        self._foreseen = tuple(dict.fromkeys(foreseen))
        self._passed: set[Hashable] = set()
        self.warned_of_chance = False
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._inputs: dict[Hashable, ReadPicture] = {}
        self._bytes = 0

    def predictions(self, cases: Sequence[Sample]) -> Predictions:
        """Predictions of every case, in their order."""
        pictures = [self._case_key(case) for case in cases]
        self._look_ahead(cases, pictures)
        rows = [self._get(("logits", picture)) for picture in pictures]
        missing = [index for index, row in enumerate(rows) if row is None]
        if missing:
            computed = self._logits([cases[index] for index in missing], [pictures[index] for index in missing])
            for index, logits in zip(missing, computed, strict=True):
                rows[index] = logits
        return self.engine.predictions(np.stack([row for row in rows if row is not None]))

    def heatmaps(
        self,
        cases: Sequence[Sample],
        *,
        targets: Sequence[int | None],
        method: str | MethodFunction = "grad-cam",
        layer: str | None = None,
        score: str = "logit",
        seed: int | None = None,
    ) -> Heatmaps:
        """Heatmaps of every case; a target of None is the predicted class."""
        question = self._question(method, layer, score, seed)
        pictures = [self._case_key(case) for case in cases]
        self._look_ahead(cases, pictures)
        rows: list[_Map | None] = [
            self._map((picture, *question.key), target) for picture, target in zip(pictures, targets, strict=True)
        ]
        missing = [index for index, row in enumerate(rows) if row is None]
        if missing:
            asked = [cases[index] for index in missing], [pictures[index] for index in missing]
            maps, _ = self._explained(question, *asked, [targets[index] for index in missing])
            for index, one in zip(missing, maps, strict=True):
                rows[index] = one
        found = [row for row in rows if row is not None]
        for case, one in zip(cases, found, strict=True):
            if isinstance(case, Case):
                check_regions(case, one.geometry.source_width, one.geometry.source_height)
        return Heatmaps(
            signed=np.stack([one.signed for one in found]),
            targets=np.array([one.target for one in found], np.intp),
            scores=np.array([one.score for one in found], np.float32),
            layer=question.path,
            method=question.method.name,
            logits=self.predictions(cases).logits,
            geometries=tuple(one.geometry for one in found),
            regions=tuple(case.regions for case in cases),
        )

    def stats(self, images: Any, layers: Sequence[str]) -> Mapping[str, LayerStats]:
        """Activation statistics; those of a sequence of cases are kept."""
        if not _are_cases(images):
            return self.engine.activation_stats(images, layers)
        found: Mapping[str, LayerStats] = self._inside("stats", images, layers)
        return found

    def finite(self, images: Any, layers: Sequence[str] | None) -> Mapping[str, npt.NDArray[np.bool_]]:
        """See `Engine.finite`; that of a sequence of cases is kept."""
        if not _are_cases(images):
            return self.engine.finite(images, layers)
        found: Mapping[str, npt.NDArray[np.bool_]] = self._inside("finite", images, layers)
        return found if layers is None else {path: found[path] for path in layers}

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

    # Passes over the model

    def _look_ahead(self, cases: Sequence[Sample], pictures: Sequence[Hashable]) -> None:
        """All that is foreseen of cases that were never asked for, from one pass, if it is more than one would give."""
        population = hash(tuple(pictures))
        if len(self._foreseen) < 2 or len(cases) < 2 or population in self._passed:
            return
        self._passed.add(population)
        passes = {wanted for wanted in self.engine.passes(self._foreseen) if wanted}
        if len(passes) < 2 or any(("logits", picture) in self._kept for picture in pictures):
            return
        # What is wrong is for the one to say who asks for it, and gets it by a pass of its own.
        with suppress(ValueError):
            self._answered(cases, tuple(pictures), united(passes))

    def _answered(self, cases: Sequence[Sample], pictures: tuple[Hashable, ...], wanted: Pass) -> dict[str, Any]:
        """What is wanted of the cases, from one pass and kept; statistics and finiteness are given back as well."""
        layers = {layer.path: layer for layer in self.engine.layers}
        method = find_method("grad-cam")
        maps = [self.engine.maps(method, path, score=wanted.score) for path in wanted.gradients if path != INPUT]
        inside: dict[str, Statistics | Finite] = {}
        if wanted.reductions:
            inside["stats"] = Statistics([layers[path] for path in wanted.reductions])
        if wanted.finite:
            inside["finite"] = Finite(wanted.finite, str(self.engine.model.name))
        logits = [Logits()] if wanted.logits and not maps else []
        targets = ["predicted" if target is None else target for target in self._usual_targets(cases)] if maps else None
        self.engine.collect(self._read(cases, pictures), [*maps, *logits, *inside.values()], target=targets)
        for one in maps:
            self._keep_maps(one.result(), pictures, self._question("grad-cam", one.path, wanted.score, None))
        for collected in logits:
            self._keep_logits(collected.result(), pictures)
        found = {what: collector.result() for what, collector in inside.items()}
        for what, paths in (("stats", wanted.reductions), ("finite", wanted.finite)):
            if what in found:
                self._keep((what, pictures, paths), found[what])
        return found

    def _usual_targets(self, cases: Sequence[Sample]) -> list[int | None]:
        """The label, which is what assertions explain unless they are told otherwise; None is the predicted class."""
        return [self.engine.class_index(case.labels[0]) if len(case.labels) == 1 else None for case in cases]

    def _logits(self, cases: Sequence[Sample], pictures: Sequence[Hashable]) -> Floats:
        """Logits of cases of which nothing is kept.

        Cases with a region are there to be asked where the model looks: their Grad-CAM costs little beside the
        pass, and another pass if it is asked for later.
        """
        if all(case.regions or case.forbidden_regions for case in cases):
            # A model that predicts may have nothing to explain; what else is wrong comes up again below.
            with suppress(ValueError):
                question = self._question("grad-cam", None, "logit", None)
                return self._explained(question, cases, pictures, self._usual_targets(cases))[1]
        return self._keep_logits(self.engine.predict(self._read(cases, pictures)).logits, pictures)

    def _keep_logits(self, logits: Floats, pictures: Sequence[Hashable]) -> Floats:
        for picture, row in zip(pictures, logits, strict=True):
            self._keep(("logits", picture), row)
        return logits

    def _explained(
        self,
        question: _Question,
        cases: Sequence[Sample],
        pictures: Sequence[Hashable],
        targets: Sequence[int | None],
    ) -> tuple[list[_Map], Floats]:
        """Maps and logits of cases, computed and kept."""
        computed = self.engine.heatmaps(
            self._read(cases, pictures),
            target=["predicted" if target is None else int(target) for target in targets],
            method=question.method.function,
            layer=question.layer,
            score=question.score,
            seed=question.seed,
        )
        return self._keep_maps(computed, pictures, question), computed.logits

    def _keep_maps(self, computed: Heatmaps, pictures: Sequence[Hashable], question: _Question) -> list[_Map]:
        maps = []
        for row, picture in enumerate(pictures):
            one = _Map(
                computed.signed[row], float(computed.scores[row]), int(computed.targets[row]), computed.geometries[row]
            )
            maps.append(one)
            self._keep(("map", picture, *question.key, one.target), one)
            self._keep(("logits", picture), computed.logits[row])
        return maps

    def _inside(self, what: str, cases: Sequence[Sample], names: Sequence[str] | None) -> Any:
        """Statistics or finiteness of some layers; where it is that of the usual layers, both from one pass."""
        pictures = tuple(self._case_key(case) for case in cases)
        self._look_ahead(cases, pictures)
        every = self.engine.layers if names is None else [self.engine.layer(name) for name in names]
        paths = tuple(layer.path for layer in every)
        kept = self._get((what, pictures, paths))
        if kept is not None:
            return kept
        usual = dict(zip(("stats", "finite"), self.engine.passes([sparsity, finiteness]), strict=True))
        asked = Pass(reductions=paths, logits=False) if what == "stats" else Pass(finite=paths, logits=False)
        if asked == usual[what]:
            # There may be layers of which there is the one but not the other; then only what was asked for.
            with suppress(ValueError):
                return self._answered(cases, pictures, united(usual.values())).get(what, {})
        return self._answered(cases, pictures, asked).get(what, {})

    def _read(self, cases: Sequence[Sample], pictures: Sequence[Hashable]) -> Iterator[InputRow | ReadPicture]:
        """The cases with their model input, each read when its turn comes unless it is kept."""
        for case, key in zip(cases, pictures, strict=True):
            if isinstance(case, InputRow):  # there is nothing to read
                yield case
                continue
            kept = self._inputs.get(key)
            one = self.engine.read(case) if kept is None else replace(kept, case=case)
            # It takes the room of nothing else: it is what costs least to have again.
            if kept is None and self._bytes + one.inputs.nbytes <= self.budget:
                self._inputs[key] = one
                self._bytes += one.inputs.nbytes
            yield one

    def _question(self, method: str | MethodFunction, layer: str | None, score: str, seed: int | None) -> _Question:
        path, found = self.engine.explained_layer(method, layer), find_method(method)
        drawn = (self.engine.seed if seed is None else seed) if found.is_random else None
        return _Question(found, layer, path, score, drawn)

    def _case_key(self, case: Sample) -> Hashable:
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
        while self._bytes > self.budget and self._inputs:
            self._bytes -= self._inputs.popitem()[1].inputs.nbytes
        while self._bytes > self.budget and len(self._kept) > 1:
            self._bytes -= _size(self._kept.popitem(last=False)[1])


def _are_cases(images: Any) -> bool:
    return isinstance(images, Sequence) and all(isinstance(image, Sample) for image in images)


def _size(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    if isinstance(value, LayerStats):
        return sum(array.nbytes for array in vars(value).values() if hasattr(array, "nbytes"))
    return int(value.nbytes)
