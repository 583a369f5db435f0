"""What a heatmap method may ask of a model about a batch of pictures: arrays in, arrays out.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from pytest_cnnaudit.engine.images import Batch, rows_that_fit
from pytest_cnnaudit.engine.layers import Layer
from pytest_cnnaudit.engine.models.keras.network import Explained, Network, finite

Floats: TypeAlias = npt.NDArray[np.float32]


class Probe:
    """One batch of N pictures, the classes to explain, and the model behind them.

    `layers` are those that will be asked for, `with_gradients` says whether their gradients will be: one pass
    then gives all. `classes` `(N,)` has −1 where the predicted class is meant; `chunk` is how many variants of
    a picture are computed at once (default: what fits).
    """

    def __init__(
        self,
        network: Network,
        batch: Batch,
        classes: Sequence[int],
        *,
        layers: Sequence[Layer] = (),
        with_gradients: bool = False,
        score: str = "logit",
        seed: int = 0,
        chunk: int | None = None,
        show_progress: bool = False,
        inside: tuple[Sequence[Layer], Sequence[Layer]] | None = None,
    ) -> None:
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(f"seed is {seed!r}; an integer of at least 0 is expected")
        self._network = network
        self._batch = batch
        self._wanted = np.full(len(batch.inputs), classes[-1], np.int32)
        self._wanted[: batch.count] = classes
        self._layers = {layer.path: layer for layer in layers}
        self._with_gradients = with_gradients
        self._score = score
        self._seed = seed
        self._chunk = rows_that_fit(batch.inputs.shape[1:]) if chunk is None else chunk
        self._show_progress = show_progress
        self._layers_inside = inside

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
        return np.random.default_rng(self._seed)

    @property
    def logits(self) -> Floats:
        """`(N, classes)`."""
        return np.asarray(self._explained.logits[: self._batch.count])

    @cached_property
    def classes(self) -> npt.NDArray[np.intp]:
        """The class each picture is explained for, `(N,)`."""
        wanted = self._wanted[: self._batch.count]
        return np.where(wanted < 0, np.argmax(self.logits, axis=1), wanted).astype(np.intp)

    @property
    def class_scores(self) -> Floats:
        """The explained class' score of each picture, `(N,)`."""
        return self._scores_of(self.logits)[np.arange(self._batch.count), self.classes]

    @property
    def inside(self) -> tuple[list[tuple[npt.NDArray[Any], int]], npt.NDArray[np.bool_]]:
        """What `Network.inside` gives of the layers that were named, from the same pass as the gradients."""
        assert self._explained.inside is not None, "no layers were named"
        return self._explained.inside

    def activations(self, layer: str) -> Floats:
        """The layer's output, `(N, h, w, K)`."""
        return _read_only(self._explained.activations[list(self._layers).index(layer)][: self._batch.count])

    def activation_gradients(self, layer: str) -> Floats:
        """Gradient of the class' score with respect to the layer's output, `(N, h, w, K)`."""
        return _read_only(self._explained.gradients[list(self._layers).index(layer)][: self._batch.count])

    def ablated(self, layer: str) -> tuple[Floats, Floats]:
        """The layer's output `(N, h, w, K)`, and the drop of the class' score without each channel, `(N, K)`."""
        found = []
        for index in self._counted(range(self._batch.count), "picture"):
            arrays = tuple(array[index : index + 1] for array in self._batch.arrays)
            found.append(self._network.ablated(arrays, self._layers[layer], int(self.classes[index]), self._score))
        return np.concatenate([one[0] for one in found]), np.stack([one[1] for one in found])

    def scores(self, index: int, count: int, variants: Callable[[slice], Floats]) -> Floats:
        """The class' score of `count` variants of a picture, `(count,)`.

        `variants(slice(a, b))` gives the a-th to b-th, `(b − a, H, W, C)`; they are computed in chunks.
        """
        scores, name = np.empty(count, np.float32), self._batch.name(index)
        parts = [slice(start, min(start + self._chunk, count)) for start in range(0, count, self._chunk)]
        for part in self._counted(parts, f"chunk of image {self._batch.start + index}"):
            arrays, filled = self._arrays(index, variants(part))
            logits = finite(self._network.logits(arrays)[:filled], "logits", lambda _: f"a variant of {name}")
            scores[part] = self._scores_of(logits)[:, self.classes[index]]
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

    def _input_gradients(self, arrays: tuple[Floats, ...], classes: npt.NDArray[np.intp]) -> Floats:
        rows = np.full(len(arrays[0]), classes[-1], np.int32)
        rows[: len(classes)] = classes
        return np.asarray(self._network.input_gradients(arrays, rows, self._score))

    def _arrays(self, index: int, variants: Floats) -> tuple[tuple[Floats, ...], int]:
        """What the model is called with for variants of one picture, filled up to a chunk; how many they are."""
        filling = np.repeat(variants[-1:], self._chunk - len(variants), axis=0)
        others = (np.repeat(array[index : index + 1], self._chunk, axis=0) for array in self._batch.others)
        return (np.concatenate([variants, filling]), *others), len(variants)

    def _scores_of(self, logits: Floats) -> Floats:
        if self._score == "logit":
            return logits
        if self._network.activation == "sigmoid":
            return np.asarray(expit(logits), np.float32)
        return np.asarray(softmax(logits.astype(np.float64), axis=1), np.float32)

    @cached_property
    def _explained(self) -> Explained:
        layers = tuple(self._layers.values())
        gradients = self._wanted if self._with_gradients else None
        explained = self._network.explained(
            self._batch.arrays, layers, gradients=gradients, score=self._score, inside=self._layers_inside
        )
        self._network.checked(explained.logits, self._batch.arrays, self._batch.name, self._batch.count)
        return explained

    def _counted(self, parts: Sequence[int] | Sequence[slice], unit: str) -> Iterator[Any]:
        """The parts, with a progress bar where a person watches."""
        if not self._show_progress or len(parts) < 2:
            yield from parts
            return
        bar = keras.utils.Progbar(len(parts), unit_name=unit)
        for part in parts:
            yield part
            bar.add(1)


def _read_only(array: Floats) -> Floats:
    """A view that a method can't change under another."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def is_watched() -> bool:
    """Whether the standard output is a terminal, where a person may be waiting."""
    return sys.stdout.isatty()
