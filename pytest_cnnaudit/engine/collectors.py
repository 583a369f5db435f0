"""What passes over batches add up to.

A collector says which `Pass` it needs, adds what comes back of one batch after the other, takes in what another
collected of the batches after its own, and gives its result.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.engine import statistics
from pytest_cnnaudit.engine.heatmaps import Heatmaps
from pytest_cnnaudit.engine.images import Batch, ModelInputs
from pytest_cnnaudit.engine.layers import Layer
from pytest_cnnaudit.engine.methods import Method
from pytest_cnnaudit.engine.outputs import check_finite
from pytest_cnnaudit.engine.passes import NOTHING, Computed, Pass
from pytest_cnnaudit.engine.probing import Probe, Probing
from pytest_cnnaudit.engine.statistics import LayerStats

Floats: TypeAlias = npt.NDArray[np.float32]


class Collector(Protocol):
    """What is collected of a call's batches."""

    @property
    def wanted(self) -> Pass:
        """What it needs of each batch; more may come."""

    def add(self, batch: Batch, computed: Computed) -> None:
        """Adds what came back of the next batch, padding included."""

    def merge(self, other: Self) -> None:
        """Adds what another like this collected of the batches after these."""

    def result(self) -> Any:
        """What it comes to, of one batch at least."""


class Logits:
    """The logits of every image, `(N, classes)`."""

    wanted = Pass()

    def __init__(self) -> None:
        self.parts: list[Floats] = []

    def add(self, batch: Batch, computed: Computed) -> None:
        """See `Collector`."""
        self.parts.append(np.asarray(computed.logits)[: batch.count])

    def merge(self, other: Self) -> None:
        """See `Collector`."""
        self.parts += other.parts

    def result(self) -> Floats:
        """See the class."""
        return np.concatenate(self.parts)


class Activations:
    """Outputs of some layers, by path: `(N, …)` each."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.wanted = Pass(layers=tuple(paths), logits=False)
        self.parts: dict[str, list[Floats]] = {path: [] for path in paths}

    def add(self, batch: Batch, computed: Computed) -> None:
        """See `Collector`."""
        for path, parts in self.parts.items():
            parts.append(computed.layers[path][: batch.count])

    def merge(self, other: Self) -> None:
        """See `Collector`."""
        for path, parts in self.parts.items():
            parts += other.parts[path]

    def result(self) -> dict[str, Floats]:
        """See the class."""
        return {path: np.concatenate(parts) for path, parts in self.parts.items()}


class Statistics:
    """`LayerStats` of some layers, by path; what is kept does not grow with the images but for what is of each."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.wanted = Pass(reductions=tuple(layer.path for layer in layers), logits=False)
        self.by_path = {layer.path: statistics.Collected(is_relu_like=layer.is_relu_like) for layer in layers}

    def add(self, batch: Batch, computed: Computed) -> None:
        """See `Collector`."""
        for path, collected in self.by_path.items():
            reduced, positions = computed.reductions[path]
            collected.add(reduced[:, : batch.count], positions)

    def merge(self, other: Self) -> None:
        """See `Collector`."""
        for path, collected in self.by_path.items():
            collected.merge(other.by_path[path])

    def result(self) -> dict[str, LayerStats]:
        """See the class."""
        return {path: collected.stats() for path, collected in self.by_path.items()}


class Finite:
    """Whether each image's values in some layers are neither NaN nor infinity, by path: `(N,)` bool.

    And in the output, by the model's name `output`, where that is not the output of a layer.
    """

    def __init__(self, paths: Sequence[str], output: str) -> None:
        self.wanted = Pass(finite=tuple(paths), logits=False)
        self._kept = {*paths, output}
        self.parts: dict[str, list[npt.NDArray[np.bool_]]] = {}

    def add(self, batch: Batch, computed: Computed) -> None:
        """See `Collector`."""
        for path, flags in computed.finite.items():
            if path in self._kept:
                self.parts.setdefault(path, []).append(flags[: batch.count])

    def merge(self, other: Self) -> None:
        """See `Collector`."""
        for path, parts in other.parts.items():
            self.parts.setdefault(path, []).extend(parts)

    def result(self) -> dict[str, npt.NDArray[np.bool_]]:
        """See the class."""
        return {path: np.concatenate(parts) for path, parts in self.parts.items()}


class Maps:
    """The heatmaps of one method at one layer."""

    def __init__(self, path: str, method: Method, probing: Probing) -> None:
        self.path = path
        self.method = method
        self._probing = probing
        self.rows: list[tuple[Any, ...]] = []

    @property
    def wanted(self) -> Pass:
        """See `Collector`."""
        if self.method.kind == "cam":
            return Pass(gradients=(self.path,), score=self._probing.score)
        return Pass(layers=(self.path,)) if self.method.kind == "layer" else Pass()

    def add(self, batch: Batch, computed: Computed) -> None:
        """See `Collector`."""
        probe = Probe(self._probing, batch, computed)
        made = self._compute(probe)
        try:
            maps = np.asarray(made, np.float32)
        except (TypeError, ValueError) as error:
            raise TypeError(f"The method {self.method.name!r} gave {type(made).__name__}: {error}") from error
        grid = probe.pictures.shape[:3] if self.method.kind == "picture" else probe.activations(self.path).shape[:3]
        if maps.shape != grid:
            raise ValueError(f"The method {self.method.name!r} gave maps of shape {maps.shape}; expected {grid}")
        check_finite(maps, "heatmap", batch.name)
        regions = [() if case is None else case.regions for case in batch.cases]
        self.rows.append((maps, probe.classes, probe.class_scores, probe.logits, batch.geometries, regions))

    def _compute(self, probe: Probe) -> npt.NDArray[Any]:
        if self.method.kind == "picture":
            return self.method.function(probe)
        if self.method.kind == "layer":
            return self.method.function(probe, self.path)
        activations, gradients = probe.activations(self.path), probe.activation_gradients(self.path)
        return self.method.function(activations, gradients, probe.class_scores)

    def merge(self, other: Self) -> None:
        """See `Collector`."""
        self.rows += other.rows

    def result(self) -> Heatmaps:
        """See the class."""
        maps, classes, scores, logits, geometries, regions = zip(*self.rows, strict=True)
        return Heatmaps(
            signed=np.concatenate(maps),
            targets=np.concatenate(classes),
            scores=np.concatenate(scores),
            layer=self.path,
            method=self.method.name,
            logits=np.concatenate(logits),
            geometries=tuple(itertools.chain.from_iterable(geometries)),
            regions=tuple(itertools.chain.from_iterable(regions)),
        )


class InputArrays:
    """What the model is called with, by the inputs' names; nothing is computed for it."""

    wanted = NOTHING

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self.parts: list[list[npt.NDArray[Any]]] = []
        self.first: Batch | None = None

    def add(self, batch: Batch, computed: Computed) -> None:  # noqa: ARG002 - nothing was wanted
        """See `Collector`."""
        self.first = self.first or batch
        self.parts.append([array[: batch.count] for array in batch.arrays])

    def merge(self, other: Self) -> None:
        """See `Collector`."""
        self.first = self.first or other.first
        self.parts += other.parts

    def result(self) -> ModelInputs:
        """See the class."""
        inputs = ModelInputs(zip(self._names, map(np.concatenate, zip(*self.parts, strict=True)), strict=True))
        inputs.preprocessing = None if self.first is None else self.first.preprocessing
        return inputs
