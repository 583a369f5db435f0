"""What a heatmap method may ask of a model about a batch of pictures: arrays in, arrays out.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.checks import integer
from pytest_cnnaudit.engine.images import Batch, rows_that_fit
from pytest_cnnaudit.engine.models import Ablates, Model
from pytest_cnnaudit.engine.outputs import check_finite, class_scores, conventional
from pytest_cnnaudit.engine.passes import INPUT, Arrays, Computed, Pass, Score

Floats: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Probing:
    """How a model is asked: for which score, with random numbers from which seed.

    `chunk` is how many variants of a picture are computed at once (default: what fits).
    """

    model: Model
    score: Score = "logit"
    seed: int = 0
    chunk: int | None = None
    show_progress: bool = False

    def __post_init__(self) -> None:
        integer(self.seed, "seed", 0)


class Probe:
    """One batch of N pictures with their target classes, what was computed of them, and the model behind it."""

    def __init__(self, probing: Probing, batch: Batch, computed: Computed) -> None:
        self._probing = probing
        self._model = probing.model
        self._batch = batch
        self._computed = computed
        self._chunk = rows_that_fit(batch.inputs.shape[1:]) if probing.chunk is None else probing.chunk

    @property
    def pictures(self) -> Floats:
        """The model's input, `(N, H, W, C)`."""
        return self._batch.inputs[: self._batch.count]

    @cached_property
    def black(self) -> Floats:
        """The model's input for a black picture, `(H, W, C)`; zeros where the pictures are model input already."""
        return self._batch.black

    def generator(self) -> np.random.Generator:
        """Random numbers: the same from the beginning at each call, so that a picture's map is its own."""
        return np.random.default_rng(self._probing.seed)

    @property
    def logits(self) -> Floats:
        """`(N, classes)`."""
        return np.asarray(self._computed.logits)[: self._batch.count]

    @cached_property
    def classes(self) -> npt.NDArray[np.intp]:
        """The class each picture is explained for, `(N,)`."""
        wanted = np.asarray(self._batch.targets)
        return np.where(wanted < 0, np.argmax(self.logits, axis=1), wanted).astype(np.intp)

    @property
    def class_scores(self) -> Floats:
        """The explained class' score of each picture, `(N,)`."""
        return self._scores_of(self.logits)[np.arange(self._batch.count), self.classes]

    def activations(self, layer: str) -> Floats:
        """The layer's output, `(N, h, w, K)`."""
        return _read_only(self._computed.layers[layer][: self._batch.count])

    def activation_gradients(self, layer: str) -> Floats:
        """Gradient of the class' score with respect to the layer's output, `(N, h, w, K)`."""
        return _read_only(self._computed.gradients[layer][: self._batch.count])

    def ablated(self, layer: str) -> tuple[Floats, Floats]:
        """The layer's output `(N, h, w, K)`, and the drop of the class' score without each channel, `(N, K)`."""
        model, found = self._model, []
        if not isinstance(model, Ablates):
            raise ValueError(
                f"The model {model.name!r} can't be computed without a channel of a layer, as 'ablation-cam' needs: "
                "choose another method"
            )
        for index in self._counted(range(self._batch.count), "picture"):
            arrays = tuple(array[index : index + 1] for array in self._batch.arrays)
            found.append(model.ablated(arrays, layer, int(self.classes[index]), self._probing.score))
        return np.concatenate([one[0] for one in found]), np.stack([one[1] for one in found])

    def scores(self, index: int, count: int, variants: Callable[[slice], Floats]) -> Floats:
        """The class' score of `count` variants of a picture, `(count,)`.

        `variants(slice(a, b))` gives the a-th to b-th, `(b − a, H, W, C)`; they are computed in chunks.
        """
        scores, name = np.empty(count, np.float32), self._batch.name(index)
        parts = [slice(start, min(start + self._chunk, count)) for start in range(0, count, self._chunk)]
        for part in self._counted(parts, f"chunk of image {self._batch.start + index}"):
            arrays, filled = self._arrays(index, variants(part))
            logits = self._model.compute(Pass(), arrays).logits
            check_finite(np.asarray(logits)[:filled], "logits", lambda _: f"a variant of {name}")
            scores[part] = self._scores_of(np.asarray(logits)[:filled])[:, self.classes[index]]
        return scores

    def gradients(self) -> Floats:
        """Gradient of the class' score with respect to each picture, `(N, H, W, C)`."""
        return self._input_gradients(self._batch.arrays, self.classes)[: self._batch.count]

    def summed_gradients(
        self, variants: Callable[[Floats], Callable[[slice], Floats]], weights: npt.NDArray[np.float64]
    ) -> Floats:
        """Weighted sum of the gradients at variants of each picture, `(N, H, W, C)`.

        There are as many variants as weights, computed in chunks: `variants(picture)` gives a function that is
        asked for `slice(a, b)`, the a-th to b-th `(b − a, H, W, C)`, one after the other.
        """
        sums = []
        for index in self._counted(range(self._batch.count), "picture"):
            copies = variants(self.pictures[index])
            total = np.zeros(self.pictures.shape[1:])
            for start in range(0, len(weights), self._chunk):
                part = slice(start, min(start + self._chunk, len(weights)))
                arrays, filled = self._arrays(index, copies(part))
                found = self._input_gradients(arrays, self.classes[index : index + 1])[:filled]
                total += np.tensordot(weights[part], found, axes=1)
            sums.append(total)
        return np.asarray(sums, np.float32)

    def _input_gradients(self, arrays: Arrays, classes: npt.NDArray[np.intp]) -> Floats:
        rows = np.full(len(arrays[0]), classes[-1], np.int32)
        rows[: len(classes)] = classes
        wanted = Pass(gradients=(INPUT,), score=self._probing.score, logits=False)
        return np.asarray(self._model.compute(wanted, arrays, rows).gradients[INPUT])

    def _arrays(self, index: int, variants: Floats) -> tuple[Arrays, int]:
        """What the model is called with for variants of one picture, filled up to a chunk; how many they are."""
        filling = np.repeat(variants[-1:], self._chunk - len(variants), axis=0)
        others = (np.repeat(array[index : index + 1], self._chunk, axis=0) for array in self._batch.others)
        return (np.concatenate([variants, filling]), *others), len(variants)

    def _scores_of(self, logits: Floats) -> Floats:
        activation = self._model.activation or conventional(self._model.outputs)
        return class_scores(logits, activation, self._probing.score)

    def _counted(self, parts: Sequence[int] | Sequence[slice], unit: str) -> Iterator[Any]:
        """The parts, with a progress bar where a person watches."""
        if not self._probing.show_progress or len(parts) < 2:
            yield from parts
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(), transient=False) as progress:
            yield from progress.track(parts, description=unit)


def _read_only(array: Floats) -> Floats:
    """A view that a method can't change under another."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def is_watched() -> bool:
    """Whether the standard output is a terminal, where a person may be waiting."""
    return sys.stdout.isatty()
