"""`Engine`: a model, and what it computes on pictures.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import copy
import difflib
import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, TypeAlias, get_args, overload

import keras
import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.cases import Case, CaseError, Sample, check_labels
from pytest_cnnaudit.engine import outputs, patterns, statistics
from pytest_cnnaudit.engine.class_names import read_class_names
from pytest_cnnaudit.engine.errors import ModelError
from pytest_cnnaudit.engine.heatmaps import Heatmaps
from pytest_cnnaudit.engine.images import Batch, ModelInputs, ReadPicture, as_model_input, batches
from pytest_cnnaudit.engine.inputs import OtherInput, Others
from pytest_cnnaudit.engine.kernels import Kernels
from pytest_cnnaudit.engine.layers import Layer
from pytest_cnnaudit.engine.methods import Method, MethodFunction, find_method
from pytest_cnnaudit.engine.models.keras import kernels
from pytest_cnnaudit.engine.models.keras.loading import check_model, load_model
from pytest_cnnaudit.engine.models.keras.network import Network, Structure, finite
from pytest_cnnaudit.engine.outputs import Activation, Predictions
from pytest_cnnaudit.engine.patterns import FilterPatterns, Normalization, Parametrization
from pytest_cnnaudit.engine.probing import Probe, is_watched
from pytest_cnnaudit.engine.ranges import RangeWatch
from pytest_cnnaudit.engine.statistics import LayerStats
from pytest_cnnaudit.preprocessing import Preprocessing, preprocessing_of

Target: TypeAlias = str | int | Sequence[str | int]
Layers: TypeAlias = str | Sequence[str] | None
SeveralLayers: TypeAlias = list[str] | tuple[str, ...]
SeveralMethods: TypeAlias = list[str | MethodFunction] | list[str] | tuple[str | MethodFunction, ...]

_CONVOLUTION_OR_POOLING = ("Conv", "Pooling")


class Engine:
    """Computes predictions, activations and heatmaps of a built Keras model, on the backend Keras runs on.

    `model` is a `keras.Model` or the path of a `.keras` or `.h5` file (never executes code from it).
    `preprocessing` turns pictures into model input; the default is what the `ImageConverter` of a keras_hub
    model does, and for any other model stretches them to the model's input size.
    `class_names` are the outputs' names in their order (or a file of them, one a line), `output` names one
    of several outputs, `activation` (`"softmax"` or `"sigmoid"`) says how a linear head's logits become
    probabilities (default: softmax; sigmoid for a single output). `batch_size` defaults to one chosen by the
    size of the input. `seed` is where the random numbers of the methods that draw some begin. The model is
    left exactly as it was.

    A model with several inputs: `picture` names the one that is explained where several are pictures, and
    `other_inputs` says by name what the others get: an array without the batch axis for every picture, or a
    function of the `Case`. What differs in every call is handed over as images: a mapping of input names to
    the pictures and arrays `(N, …)`.

    `images` is everywhere an array `(N, H, W, C)`, which is model input and used as is; or one, a sequence
    or an iterator of `Case`, path, `PIL.Image` or `uint8` array `(H, W, C)`, which are preprocessed; or such a
    mapping. `progress` shows a bar while a slow method works (default: where the output is a terminal).
    """

    def __init__(
        self,
        model: keras.Model | str | PathLike[str],
        *,
        preprocessing: Preprocessing | None = None,
        class_names: Sequence[str] | str | PathLike[str] | None = None,
        output: str | None = None,
        activation: Activation | None = None,
        batch_size: int | None = None,
        seed: int = 0,
        picture: str | None = None,
        other_inputs: Mapping[str, OtherInput] | None = None,
        progress: bool | None = None,
    ) -> None:
        self.model = load_model(model) if isinstance(model, (str, PathLike)) else model
        check_model(self.model)
        if activation not in (None, *get_args(Activation)):
            raise ValueError(f"activation is {activation!r}; known: 'softmax', 'sigmoid'")
        whole = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool)
        if batch_size is not None and not (whole and batch_size >= 1):
            raise ValueError(f"batch_size is {batch_size!r}; a positive integer is expected")
        self.preprocessing = preprocessing_of(self.model) if preprocessing is None else preprocessing
        self.class_names = None if class_names is None else read_class_names(class_names)
        self.output = output
        self.batch_size = batch_size
        self.seed = seed
        self._show_progress = progress
        size = self.preprocessing.size if isinstance(self.preprocessing.size, tuple) else (224, 224)
        self._network = Network(self.model, output=output, picture=picture, activation=activation, probe_size=size)
        self._other_inputs = {} if other_inputs is None else dict(other_inputs)
        for name in self._other_inputs:
            if self._network.inputs.find(name) is self._network.inputs.explained:
                raise ValueError(f"other_inputs has {name!r}, the picture that is explained: hand it over as images")
        self._paces: dict[patterns.Ascent, patterns.Pace] = {}
        self._ranges = RangeWatch(self.model.name, lambda: self._structure.expects)

    # What the model is made of

    @property
    def input_shape(self) -> tuple[int | None, int | None, int | None]:
        """(height, width, channels) of the model's picture; None where any size is taken."""
        height, width, channels = self._network.inputs.explained.shape
        return (height, width, channels)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every call of a layer or bare operation, in execution order, nested models walked into."""
        return self._structure.layers

    @property
    def default_layer(self) -> str:
        """Path of the input of the last global pooling, else of the first flatten: the last spatial output.

        With `output`, one of several, only what that output is computed from counts. Raises `ModelError` for a
        model without any spatial output.
        """
        structure = self._structure
        if structure.default is None:
            raise ModelError(
                f"The model {self.model.name!r} has no spatial layer (an output with four dimensions), so "
                "there is nothing to draw a heatmap on"
            )
        return structure.layers[structure.default].path

    @property
    def num_classes(self) -> int:
        """Number of classes; a single output counts as two."""
        _ = self._structure
        return self._network.num_classes

    @property
    def activation(self) -> Activation:
        """How logits become probabilities: as found in the model, else as given, else by the convention."""
        return self._network.activation

    def layer(self, name: str) -> Layer:
        """The layer with this path or unambiguous bare name; `ValueError` with the nearest names otherwise."""
        return self._network.layer(name)

    def explained_layer(self, method: str | MethodFunction, layer: str | None = None) -> str:
        """Path of the layer on whose grid a method's maps are; the input's name for a method on the picture itself.

        Raises `ValueError` for a layer that has no grid, and for a layer given to a method that takes none.
        """
        found = find_method(method)
        if found.kind == "picture":
            if layer is not None:
                raise ValueError(
                    f"{found.name!r} explains the picture itself and takes no layer, but layer is {layer!r}: "
                    "leave it out, or choose one of the methods that explain a layer, such as 'grad-cam'"
                )
            return self._network.inputs.explained.name
        explained = self.layer(self.default_layer if layer is None else layer)
        if not explained.is_spatial:
            raise ValueError(
                f"The layer {explained.path!r} has outputs of shape {explained.output_shape}; a heatmap needs "
                f"a spatial one, such as {self.default_layer!r}"
            )
        return explained.path

    # What it computes

    def predict(self, images: Any) -> Predictions:
        """Logits and probabilities of every picture."""
        logits = [self._logits(batch)[: batch.count] for batch in self._batches(images)]
        return self.predictions(np.concatenate(logits))

    def predictions(self, logits: npt.NDArray[np.float32]) -> Predictions:
        """`Predictions` from logits `(N, classes)` computed before."""
        return outputs.predictions(logits, self.activation, self.class_names)

    def activations(self, images: Any, layers: Layers = None) -> dict[str, npt.NDArray[np.float32]]:
        """Outputs of the layers, by path: `(N, H, W, C)` or `(N, C)`, channels last, float32.

        By default those of every convolution and pooling layer. All are held in memory at once; use
        `activation_stats` for many pictures.
        """
        wanted = self._chosen(layers, _is_convolution_or_pooling)
        parts = [
            [array[: batch.count] for array in self._network.activations(batch.arrays, wanted)]
            for batch in self._batches(images)
        ]
        return {
            layer.path: np.concatenate(arrays) for layer, arrays in zip(wanted, zip(*parts, strict=True), strict=True)
        }

    def activation_stats(self, images: Any, layers: Layers = None) -> dict[str, LayerStats]:
        """Statistics of the layers' outputs over all pictures, by path; memory does not grow with N.

        By default of every convolution and pooling layer.
        """
        return self.look_inside(images, stats=self._chosen(layers, _is_convolution_or_pooling))[0]

    def finite(self, images: Any, layers: Layers = None) -> dict[str, npt.NDArray[np.bool_]]:
        """Whether each picture's values in a layer are neither NaN nor infinity, by path: `(N,)`.

        By default of every layer, in the order of execution, and of a subclassed model's output, by its name.
        Nothing is raised for those that are not, other than elsewhere. What a layer with an activation of its own
        hands to that counts as well: a ReLU hides −∞.
        """
        wanted = self._chosen(layers, lambda _: True)
        found = self.look_inside(images, finite=wanted)[1]
        return found if layers is None else {layer.path: found[layer.path] for layer in wanted}

    def look_inside(
        self, images: Any, *, stats: Sequence[Layer] = (), finite: Sequence[Layer] = ()
    ) -> tuple[dict[str, LayerStats], dict[str, npt.NDArray[np.bool_]]]:
        """`activation_stats` of some layers and `finite` of some, from one pass of each batch.

        What a subclassed model computes outside of its layers shows in its output only, which is looked at as well.
        """
        looked = _Looked(stats, finite)
        for batch in self._batches(images):
            looked.add(self._network.inside(batch.arrays, stats, finite), batch)
        return looked.stats(), looked.finite(self.model)

    def examine(
        self, images: Any, *, target: Target, stats: Sequence[Layer] = (), finite: Sequence[Layer] = ()
    ) -> tuple[Heatmaps, dict[str, LayerStats], dict[str, npt.NDArray[np.bool_]]]:
        """Grad-CAM at the default layer, logits in it, and what `look_inside` gives, from one pass of each batch."""
        target, method = _as_targets(target), find_method("grad-cam")
        path, looked = self.explained_layer("grad-cam"), _Looked(stats, finite)
        maps = _Collected(path, method)
        for probe, batch in self._probes(images, target, [(path, method)], "logit", self.seed, (stats, finite)):
            maps.add(probe, batch)
            looked.add(probe.inside, batch)
        return maps.heatmaps(), looked.stats(), looked.finite(self.model)

    def kernels(self, layers: Layers = None) -> dict[str, Kernels]:
        """The weights of the layers' filters with their biases, by path, a filter a row; a shared layer once.

        By default of every convolution; of a depthwise one there are none, of a separable one the pointwise kernels.
        Dense layers have to be named. Raises `ValueError` for a layer without kernels.
        """
        chosen = self._chosen(layers, lambda _: True)
        wanted = kernels.compared(chosen) if layers is None else {id(one.operation): one for one in chosen}.values()
        if not wanted:
            raise ValueError(f"The model {self.model.name!r} has no convolution whose kernels can be compared")
        return {layer.path: kernels.kernels(layer) for layer in wanted}

    @overload
    def heatmaps(
        self,
        images: Any,
        *,
        target: Target = ...,
        method: str | MethodFunction = ...,
        layer: str | None = ...,
        score: str = ...,
        seed: int | None = ...,
    ) -> Heatmaps: ...

    @overload
    def heatmaps(
        self,
        images: Any,
        *,
        target: Target = ...,
        method: str | MethodFunction = ...,
        layer: SeveralLayers,
        score: str = ...,
        seed: int | None = ...,
    ) -> dict[str, Heatmaps]: ...

    @overload
    def heatmaps(
        self,
        images: Any,
        *,
        target: Target = ...,
        method: SeveralMethods,
        layer: str | SeveralLayers | None = ...,
        score: str = ...,
        seed: int | None = ...,
    ) -> dict[Any, Heatmaps]: ...

    def heatmaps(
        self,
        images: Any,
        *,
        target: Target = "predicted",
        method: str | MethodFunction | SeveralMethods = "grad-cam",
        layer: str | SeveralLayers | None = None,
        score: str = "logit",
        seed: int | None = None,
    ) -> Heatmaps | dict[Any, Heatmaps]:
        """Heatmaps that explain one class' score for each picture, on the layer's own grid.

        `target` is `"predicted"`, `"label"` (each case's own), a class name, an index, or a sequence of N of
        these. `layer` defaults to `default_layer`. `score` is `"logit"` or `"probability"`. `method` is one
        of `METHODS` (with other parameters: a `functools.partial` of its function) or a callable
        `method(activations, gradients, scores)` that takes arrays `(N, h, w, K)`, `(N, h, w, K)`, `(N,)` and
        returns signed maps `(N, h, w)`. `seed` (default: the engine's) is for the methods that draw random
        numbers.

        A list of layers gives `{path: Heatmaps}`, a list of methods `{name: Heatmaps}`, both together
        `{(path, name): Heatmaps}`, all from one pass of each batch.
        """
        if score not in ("logit", "probability"):
            raise ValueError(f"score is {score!r}; known: 'logit', 'probability'")
        methods = [find_method(one) for one in (method if isinstance(method, (list, tuple)) else [method])]
        names = list(layer) if isinstance(layer, (list, tuple)) else [layer]
        if not methods or not names:
            raise ValueError("An empty list was given as " + ("layer" if methods else "method"))
        wanted = [(self.explained_layer(one.function, name), one) for name in names for one in methods]
        pairs = [(path, one.name) for path, one in wanted]
        twice = next((pair for pair in pairs if pairs.count(pair) > 1), None)
        if twice is not None:
            raise ValueError(
                f"The method {twice[1]!r} at {twice[0]!r} is asked for twice: leave one out, or call heatmaps for each "
                "where two methods have the same name"
            )
        target = _as_targets(target)
        collected = [_Collected(path, one) for path, one in wanted]
        total = 0
        for probe, batch in self._probes(images, target, wanted, score, self.seed if seed is None else seed):
            for one in collected:
                one.add(probe, batch)
            total += batch.count
        _check_all_used(target, total)
        maps = {(one.path, one.method.name): one.heatmaps() for one in collected}
        by_layer, by_method = isinstance(layer, (list, tuple)), isinstance(method, (list, tuple))
        if by_layer and by_method:
            return maps
        if by_layer or by_method:
            return {key[0 if by_layer else 1]: one for key, one in maps.items()}
        return next(iter(maps.values()))

    def _probes(
        self,
        images: Any,
        target: Target,
        wanted: Sequence[tuple[str, Method]],
        score: str,
        seed: int,
        inside: tuple[Sequence[Layer], Sequence[Layer]] | None = None,
    ) -> Iterator[tuple[Probe, Batch]]:
        paths = dict.fromkeys(path for path, method in wanted if method.kind != "picture")
        layers = tuple(self.layer(path) for path in paths)
        for path, method in wanted:
            if method.kind == "layer" and method.is_of_class:
                self._network.check_dependence(self.layer(path))
        with_gradients = any(method.kind == "cam" for _, method in wanted)
        for batch in self._batches(images):
            yield (
                Probe(
                    self._network,
                    batch,
                    self._targets(target, batch),
                    layers=layers,
                    with_gradients=with_gradients,
                    score=score,
                    seed=seed,
                    chunk=self.batch_size,
                    show_progress=is_watched() if self._show_progress is None else self._show_progress,
                    inside=inside,
                ),
                batch,
            )

    def filter_patterns(
        self,
        layer: str,
        filters: int | Sequence[int] | None = None,
        *,
        steps: int = 30,
        step_size: float = 10.0,
        size: tuple[int, int] = (200, 200),
        normalize: Normalization = "global",
        input_range: tuple[float, float] | None = None,
        init: npt.ArrayLike | None = None,
        seed: int | None = None,
        jitter: int = 0,
        total_variation: float = 0.0,
        l2: float = 0.0,
        parametrization: Parametrization = "pixels",
    ) -> FilterPatterns:
        """Pictures that excite filters (channels) of a layer the most, by gradient ascent from noise.

        Maximised is the filter's mean activation without a border of 2 cells (on a side of fewer than 5, the
        middle one or two), by `steps` times `picture += step_size · gradient`, the gradient normalised over the
        whole picture (`"global"`) or each pixel's colours (`"pixel"`). `filters` are indices, by default all.
        `size` is (height, width), any that the layers up to there take, whatever the model was built for.

        `input_range` scales start and step: by default (0, 255) where the model starts by rescaling such values
        (a Rescaling or Normalization layer), else (0, 1). The start is uniform in 0.4…0.6 of it, or `init`, an
        array `(H, W, C)` or `(F, H, W, C)` of model input. `seed` is by default the engine's; each filter has
        random numbers of its own, so it does not matter which others are asked for.

        For pictures people like to look at: `jitter` moves the picture by up to so many pixels before each step;
        `total_variation` and `l2` are weights of penalties on differences of neighbours and on the square of the
        distance from the middle of the range; `parametrization="fourier"` climbs in decorrelated colours and
        waves, as strong as in natural pictures, instead of pixels (Olah et al. 2017,
        doi:10.23915/distill.00007), and starts from faint noise of these.

        Several filters climb at once; how many is measured, unless the engine's `batch_size` says it. Another
        number rounds otherwise in the last digits, nothing else. A filter that never responds is marked in
        `FilterPatterns.responds`. Raises `ValueError` for what it can't do and
        `NonFiniteError` where the ascent runs into NaN or infinity.
        """
        return patterns.filter_patterns(
            self,
            layer,
            filters,
            steps=steps,
            step_size=step_size,
            size=size,
            normalize=normalize,
            input_range=input_range,
            init=init,
            seed=seed,
            jitter=jitter,
            total_variation=total_variation,
            l2=l2,
            parametrization=parametrization,
        )

    def read(self, case: Case) -> ReadPicture:
        """The case with its model input, which all methods take as well: what is read once need not be again."""
        return ReadPicture(case, *self.preprocessing.bound(self.input_shape)(case))

    def pattern_start(
        self, size: tuple[int, int], *, input_range: tuple[float, float] | None = None, seed: int | None = None
    ) -> npt.NDArray[np.float32]:
        """Noise `(H, W, C)` in units of the model's input, as `filter_patterns` starts from: one start for all filters.

        With it as `init`, patterns differ by their filters alone.
        """
        return patterns.pattern_start(self, size, input_range, seed)

    def filter_activations(self, layer: str, index: int, pictures: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """One filter's activations for pictures `(N, H, W, C)` of model input in the places P that an ascent maximises.

        `(N, P)`: without a border of 2 cells, as in `filter_patterns`. Pictures are of any size that the layers up
        to there take. Raises `NonFiniteError` for NaN or infinity.
        """
        return patterns.filter_activations(self, layer, index, pictures)

    def inputs(self, images: Any) -> ModelInputs:
        """What the model is called with for these images: the picture `(N, H, W, C)` first, then its other inputs.

        By the inputs' names; such a mapping, changed or not, is taken as images and used as it is.
        """
        made = list(self._batches(images))
        rows = zip(*([array[: batch.count] for array in batch.arrays] for batch in made), strict=True)
        names = [one.name for one in (self._network.inputs.explained, *self._network.inputs.others)]
        inputs = ModelInputs(zip(names, map(np.concatenate, rows), strict=True))
        inputs.preprocessing = made[0].preprocessing
        return inputs

    def reinitialized(self, layer: str | None = None, *, seed: int = 0, negated: bool = False) -> Engine:
        """An engine whose model has random weights in every layer from the output down to `layer`, included.

        None is for all layers. Where `layer` has no weights, such as an activation, those before it that make it
        are included down to the nearest with a kernel. Kernels are drawn from N(0, 2 / fan-in) by NumPy, alike on
        all backends; biases are 0, scales 1, and batch normalizations use each picture's own statistics. `negated`
        turns the sign of the last kernel: of all logits, where the head is linear.

        The model is not touched: the weights are handed to each computation, and stand for its own there. So it
        need not be copied either, which not every model can be. Raises `ValueError` where nothing from the output
        down to the layer has weights.
        """
        path = None if layer is None else self.layer(layer).path
        other = copy.copy(self)
        other._network = self._network.reinitialized(path, seed, negated=negated)
        return other

    def other_inputs_key(self, case: Sample) -> Hashable:
        """What tells apart the values that two cases give the model's other inputs; the same for all where fixed."""
        if not any(callable(value) for value in self._other_inputs.values()):
            return None
        row = Others(self._network.inputs, self._other_inputs).row(0, case)
        return tuple((array.shape, array.tobytes()) for array in row)

    def class_index(self, name: str | int) -> int:
        """The index of a class given by name or index; `ValueError` for one the model does not have."""
        if isinstance(name, bool) or not isinstance(name, (str, int, np.integer)):
            raise TypeError(f"A class is a str (its name) or an int (its index), not {name!r}")
        if isinstance(name, str):
            return self._named_class(name)
        if not 0 <= name < self.num_classes:
            raise ValueError(f"The class index {name} is out of range: the model has {self.num_classes} classes")
        return int(name)

    def _named_class(self, name: str) -> int:
        if self.class_names is None:
            raise ValueError(
                f"The class {name!r} is given by name, but the engine has no class names: hand them over as "
                "class_names (--cnnaudit-class-names), or give the class as an index"
            )
        _ = self._structure
        if name not in self.class_names:
            near = difflib.get_close_matches(name, self.class_names, n=3, cutoff=0) or self.class_names[:3]
            raise ValueError(
                f"There is no class {name!r} among the {len(self.class_names)} classes; nearest: {', '.join(near)}"
            )
        return self.class_names.index(name)

    # How

    @property
    def _structure(self) -> Structure:
        structure = self._network.structure
        if self.class_names is not None and len(self.class_names) != self._network.num_classes:
            raise ValueError(
                f"There are {len(self.class_names)} class names, but the model has {self._network.num_classes} classes"
            )
        return structure

    def _batches(self, images: Any) -> Iterator[Batch]:
        inputs, given = self._network.inputs, {}
        made_by = images.preprocessing if isinstance(images, ModelInputs) else None
        if isinstance(images, Mapping):
            given = {name: value for name, value in images.items() if inputs.find(name) is not inputs.explained}
            if inputs.explained.name not in images:
                raise ValueError(
                    f"The mapping of inputs has no {inputs.explained.name!r}, the picture that is explained"
                )
            images = images[inputs.explained.name]
        given = {name: as_model_input(value, inputs.find(name), self.preprocessing) for name, value in given.items()}
        others = Others(inputs, self._other_inputs, given) if inputs.others else None
        made = batches(images, self.preprocessing, self.input_shape, self.batch_size, others, made_by)
        return self._ranges.watched(made)

    def _logits(self, batch: Batch) -> npt.NDArray[np.float32]:
        _ = self._structure
        logits = self._network.logits(batch.arrays)
        return self._network.checked(logits, batch.arrays, batch.name, batch.count)

    def _chosen(self, layers: Layers, by_default: Callable[[Layer], bool]) -> tuple[Layer, ...]:
        if layers is None:
            chosen = tuple(layer for layer in self.layers if by_default(layer))
        else:
            if isinstance(layers, bytes) or not isinstance(layers, Iterable):
                raise TypeError(f"layers must be a layer's name or a list of them, not {layers!r}")
            names = (layers,) if isinstance(layers, str) else tuple(layers)
            chosen = tuple(self.layer(name) for name in names)
        if not chosen:
            raise ValueError("No layer is chosen: name at least one of Engine.layers")
        return chosen

    def _targets(self, target: Target, batch: Batch) -> list[int]:
        """Class indices of a batch's pictures; −1 stands for the predicted class."""
        if not isinstance(target, list):
            each: list[Any] = [target] * batch.count
        else:
            each = target[batch.start : batch.start + batch.count]
            if len(each) < batch.count:
                raise ValueError(f"target has {batch.start + len(each)} entries, but there are more images")
        explained = [case for case, one in zip(batch.cases, each, strict=True) if case is not None and one == "label"]
        check_labels(explained, self.class_names, self.num_classes)
        return [
            self._target(one, case, batch.start + row)
            for row, (one, case) in enumerate(zip(each, batch.cases, strict=True))
        ]

    def _target(self, target: str | int, case: Any, index: int) -> int:
        if target == "predicted":
            return -1
        if target != "label":
            return self.class_index(target)
        label = None if case is None else case.label
        if label is None or isinstance(label, tuple):
            problem = "has no label" if label is None else f"has several labels {label}"
            raise CaseError(f"target='label', but image {index} {problem}; name the target class")
        return self.class_index(label)


def _is_convolution_or_pooling(layer: Layer) -> bool:
    return any(word in layer.type for word in _CONVOLUTION_OR_POOLING)


class _Looked:
    """Statistics of some layers and finiteness of some, batch by batch."""

    def __init__(self, stats: Sequence[Layer], finite: Sequence[Layer]) -> None:
        self._stats = {layer.path: statistics.Collected(is_relu_like=layer.is_relu_like) for layer in stats}
        self._paths = [layer.path for layer in finite]
        self._flags: list[npt.NDArray[np.bool_]] = []

    def add(self, inside: tuple[list[tuple[npt.NDArray[Any], int]], npt.NDArray[np.bool_]], batch: Batch) -> None:
        """Adds what `Network.inside` gives of a batch."""
        reductions, are_finite = inside
        for one, (reduced, positions) in zip(self._stats.values(), reductions, strict=True):
            one.add(reduced[:, : batch.count], positions)
        self._flags.append(are_finite[:, : batch.count])

    def stats(self) -> dict[str, LayerStats]:
        """By path."""
        return {path: one.stats() for path, one in self._stats.items()}

    def finite(self, model: keras.Model) -> dict[str, npt.NDArray[np.bool_]]:
        """By path, and of the output by the name of a model whose output is not that of a layer."""
        names = [*self._paths, model.name]
        found = dict(zip(names, np.concatenate(self._flags, axis=1), strict=True))
        if not self._paths or isinstance(model, (keras.Sequential, keras.Function)):
            del found[model.name]
        return found


class _Collected:
    """The maps of one method at one layer, batch by batch."""

    def __init__(self, path: str, method: Method) -> None:
        self.path = path
        self.method = method
        self._rows: list[tuple[Any, ...]] = []

    def add(self, probe: Probe, batch: Batch) -> None:
        """Computes the maps of one batch."""
        computed = self._compute(probe)
        try:
            maps = np.asarray(computed, np.float32)
        except (TypeError, ValueError) as error:
            raise TypeError(f"The method {self.method.name!r} gave {type(computed).__name__}: {error}") from error
        grid = probe.pictures.shape[:3] if self.method.kind == "picture" else probe.activations(self.path).shape[:3]
        if maps.shape != grid:
            raise ValueError(f"The method {self.method.name!r} gave maps of shape {maps.shape}; expected {grid}")
        finite(maps, "heatmap", batch.name)
        regions = [() if case is None else case.regions for case in batch.cases]
        self._rows.append((maps, probe.classes, probe.class_scores, probe.logits, batch.geometries, regions))

    def _compute(self, probe: Probe) -> npt.NDArray[Any]:
        if self.method.kind == "picture":
            return self.method.function(probe)
        if self.method.kind == "layer":
            return self.method.function(probe, self.path)
        activations, gradients = probe.activations(self.path), probe.activation_gradients(self.path)
        return self.method.function(activations, gradients, probe.class_scores)

    def heatmaps(self) -> Heatmaps:
        """All of them."""
        maps, classes, scores, logits, geometries, regions = zip(*self._rows, strict=True)
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


def _as_targets(target: Any) -> Any:
    """A sequence or iterator of targets as a list, a single one as it is."""
    if isinstance(target, np.ndarray):
        return target.tolist()
    is_single = isinstance(target, (str, bytes)) or not isinstance(target, Iterable)
    return target if is_single else list(target)


def _check_all_used(target: Target, count: int) -> None:
    if not isinstance(target, (str, int, np.integer)) and len(target) != count:
        raise ValueError(f"target has {len(target)} entries for {count} images")
