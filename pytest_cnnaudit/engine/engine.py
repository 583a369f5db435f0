"""`Engine`: a model, and what it computes on pictures.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, TypeAlias, cast, get_args, overload

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.cases import Case, Sample
from pytest_cnnaudit.checks import choice, integer
from pytest_cnnaudit.engine import outputs, patterns
from pytest_cnnaudit.engine.ascent import Normalization, Parametrization
from pytest_cnnaudit.engine.class_names import read_class_names
from pytest_cnnaudit.engine.collectors import Activations, Collector, Finite, InputArrays, Logits, Maps, Statistics
from pytest_cnnaudit.engine.description import EngineDescription
from pytest_cnnaudit.engine.errors import ModelError
from pytest_cnnaudit.engine.executors import serial
from pytest_cnnaudit.engine.heatmaps import Heatmaps
from pytest_cnnaudit.engine.images import Batch, ModelInputs, as_model_input, batches
from pytest_cnnaudit.engine.inputs import OtherInput, Others
from pytest_cnnaudit.engine.kernels import Kernels
from pytest_cnnaudit.engine.layers import Layer, find_layer
from pytest_cnnaudit.engine.methods import Method, MethodFunction, find_method, lists_methods
from pytest_cnnaudit.engine.models import ChecksDependence, HasKernels, Model, Reinitializes, as_model, opened
from pytest_cnnaudit.engine.outputs import Activation, Predictions
from pytest_cnnaudit.engine.passes import Pass, Score, Wanted
from pytest_cnnaudit.engine.patterns import FilterPatterns
from pytest_cnnaudit.engine.probing import Probing, is_watched
from pytest_cnnaudit.engine.ranges import RangeWatch
from pytest_cnnaudit.engine.statistics import LayerStats
from pytest_cnnaudit.engine.targets import Classes, Target, Targets
from pytest_cnnaudit.preprocessing import Preprocessing, ReadPicture, preprocessing_of

AnyModel: TypeAlias = Any
"""A `keras.Model`, or anything with the attributes and methods of `engine.models.Model`."""
Layers: TypeAlias = str | Sequence[str] | None
SeveralLayers: TypeAlias = list[str] | tuple[str, ...]
SeveralMethods: TypeAlias = list[str | MethodFunction] | list[str] | tuple[str | MethodFunction, ...]

_CONVOLUTION_OR_POOLING = ("Conv", "Pooling")


class Engine:
    """Computes predictions, activations and heatmaps of a built Keras model, on the backend Keras runs on.

    `model` is a `keras.Model` or the path of a `.keras` or `.h5` file (never executes code from it); or
    `"MODULE:CALLABLE"`, which gives one, or anything with the few methods of `engine.models.Model`.
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
        model: AnyModel | str | PathLike[str],
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
        self.model = opened(model)
        if activation is not None:
            choice(activation, "activation", get_args(Activation))
        if batch_size is not None:
            batch_size = integer(batch_size, "batch_size", 1)
        self.preprocessing = preprocessing_of(self.model) if preprocessing is None else preprocessing
        self.class_names = None if class_names is None else read_class_names(class_names)
        self.output = output
        self.batch_size = batch_size
        self.seed = seed
        self._show_progress = progress
        size = self.preprocessing.size if isinstance(self.preprocessing.size, tuple) else (224, 224)
        self._model = as_model(
            self.model, output=output, picture=picture, activation=activation, probe_size=(size[0], size[1])
        )
        self._description = None
        if isinstance(model, (str, PathLike)):
            self._description = EngineDescription(
                model,
                preprocessing=preprocessing,
                class_names=class_names,
                output=output,
                activation=activation,
                batch_size=batch_size,
                seed=seed,
                picture=picture,
                other_inputs=other_inputs,
                progress=progress,
            )
        self._other_inputs = {} if other_inputs is None else dict(other_inputs)
        for name in self._other_inputs:
            if self._model.inputs.find(name) is self._model.inputs.explained:
                raise ValueError(f"other_inputs has {name!r}, the picture that is explained: hand it over as images")
        self._ranges = RangeWatch(self._model.name, lambda: self._checked.expects)

    @classmethod
    def from_description(cls, description: EngineDescription) -> Engine:
        """The engine that `description` describes, in whatever process."""
        for module in description.imports:
            importlib.import_module(module)
        engine = cls(opened(description.source, description.custom_objects), **description.arguments)
        engine._description = description
        return engine

    @property
    def description(self) -> EngineDescription:
        """What another process can build this engine from, with `from_description`.

        Raises `ValueError` for a model that was handed over as an object.
        """
        if self._description is None:
            raise ValueError(
                f"The engine of the model {self._model.name!r} has no description, as its model was handed over as an "
                "object: give the path of a model file or MODULE:CALLABLE, from which another process can build it"
            )
        return self._description

    # What the model is made of

    @property
    def input_shape(self) -> tuple[int | None, int | None, int | None]:
        """(height, width, channels) of the model's picture; None where any size is taken."""
        height, width, channels = self._model.inputs.explained.shape
        return (height, width, channels)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every call of a layer or bare operation, in execution order, nested models walked into."""
        return self._checked.layers

    @property
    def default_layer(self) -> str:
        """Path of the input of the last global pooling, else of the first flatten: the last spatial output.

        With `output`, one of several, only what that output is computed from counts. Raises `ModelError` for a
        model without any spatial output.
        """
        default = self._checked.default_layer
        if default is None:
            raise ModelError(
                f"The model {self._model.name!r} has no spatial layer (an output with four dimensions), so "
                "there is nothing to draw a heatmap on"
            )
        return default

    @property
    def num_classes(self) -> int:
        """Number of classes; a single output counts as two."""
        return self.classes.count

    @property
    def classes(self) -> Classes:
        """The classes, by index and name."""
        return Classes(max(2, self._checked.outputs), self.class_names)

    @property
    def activation(self) -> Activation:
        """How logits become probabilities: as found in the model, else as given, else by the convention."""
        return self._model.activation or outputs.conventional(self._model.outputs)

    def layer(self, name: str) -> Layer:
        """The layer with this path or unambiguous bare name; `ValueError` with the nearest names otherwise."""
        return find_layer(self._model.layers, name)

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
            return self._model.inputs.explained.name
        explained = self.layer(self.default_layer if layer is None else layer)
        if not explained.is_spatial:
            raise ValueError(
                f"The layer {explained.path!r} has outputs of shape {explained.output_shape}; a heatmap needs "
                f"a spatial one, such as {self.default_layer!r}"
            )
        return explained.path

    def identity(self) -> dict[str, Any]:
        """What tells this model from others: `weights_sha256`, `architecture_sha256` and `parameters`."""
        return dict(self._model.identity())

    # What it computes

    def predict(self, images: Any) -> Predictions:
        """Logits and probabilities of every picture."""
        logits = Logits()
        self.collect(images, [logits])
        return self.predictions(logits.result())

    def predictions(self, logits: npt.NDArray[np.float32]) -> Predictions:
        """`Predictions` from logits `(N, classes)` computed before."""
        return outputs.predictions(logits, self.activation, self.class_names)

    def activations(self, images: Any, layers: Layers = None) -> dict[str, npt.NDArray[np.float32]]:
        """Outputs of the layers, by path: `(N, H, W, C)` or `(N, C)`, channels last, float32.

        By default those of every convolution and pooling layer. All are held in memory at once; use
        `activation_stats` for many pictures.
        """
        found = Activations(_paths(self._chosen(layers, _is_convolution_or_pooling)))
        self.collect(images, [found])
        return found.result()

    def activation_stats(self, images: Any, layers: Layers = None) -> dict[str, LayerStats]:
        """Statistics of the layers' outputs over all pictures, by path; memory does not grow with N.

        By default of every convolution and pooling layer.
        """
        found = Statistics(self._chosen(layers, _is_convolution_or_pooling))
        self.collect(images, [found])
        return found.result()

    def finite(self, images: Any, layers: Layers = None) -> dict[str, npt.NDArray[np.bool_]]:
        """Whether each picture's values in a layer are neither NaN nor infinity, by path: `(N,)`.

        By default of every layer, in the order of execution, and of a subclassed model's output, by its name.
        Nothing is raised for those that are not, other than elsewhere. What a layer with an activation of its own
        hands to that counts as well: a ReLU hides −∞.
        """
        wanted = self._chosen(layers, lambda _: True)
        collected = Finite(_paths(wanted), self._model.name)
        self.collect(images, [collected])
        found = collected.result()
        return found if layers is None else {layer.path: found[layer.path] for layer in wanted}

    def collect(self, images: Any, collectors: Sequence[Collector], *, target: Target | None = None) -> None:
        """Hands the collectors what they want, from one pass over each batch of the images.

        `target` is what the gradients and heatmaps among them are of, as in `heatmaps`.
        """
        if any(collector.wanted.logits for collector in collectors):
            _ = self._checked
        if target is None and any(isinstance(collector, Maps) for collector in collectors):
            raise ValueError("Heatmaps are collected, but there is no target: say whose score they are of")
        targets = None if target is None else Targets(target, self.classes)
        count = serial.run(self._model, self._batches(images), collectors, targets)
        if targets is not None:
            targets.check_used(count)

    def passes(self, wanted: Iterable[Wanted]) -> list[Pass]:
        """What each wants of this engine's model."""
        return [one(self._checked) for one in wanted]

    def maps(
        self,
        method: Method,
        layer: str | None = None,
        *,
        score: Score = "logit",
        seed: int | None = None,
    ) -> Maps:
        """Collects the heatmaps of one method at one layer, for `collect`."""
        path = self.explained_layer(method.function, layer)
        if method.kind == "layer" and method.is_of_class and isinstance(self._model, ChecksDependence):
            self._model.check_dependence(path)
        show = is_watched() if self._show_progress is None else self._show_progress
        chosen = self.seed if seed is None else seed
        return Maps(path, method, Probing(self._model, score, chosen, self.batch_size, show))

    def kernels(self, layers: Layers = None) -> dict[str, Kernels]:
        """The weights of the layers' filters with their biases, by path, a filter a row; a shared layer once.

        By default of every convolution; of a depthwise one there are none, of a separable one the pointwise kernels.
        Dense layers have to be named. Raises `ValueError` for a layer without kernels.
        """
        if not isinstance(self._model, HasKernels):
            raise ValueError(f"The model {self._model.name!r} can't tell the kernels of its layers")
        found = self._model.kernels(None if layers is None else _paths(self._chosen(layers, lambda _: True)))
        if not found:
            raise ValueError(f"The model {self._model.name!r} has no convolution whose kernels can be compared")
        return found

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

    @lists_methods
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
        choice(score, "score", get_args(Score))
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
        collected = [self.maps(one, name, score=cast(Score, score), seed=seed) for name in names for one in methods]
        self.collect(images, collected, target=target)
        maps = {(one.path, one.method.name): one.result() for one in collected}
        by_layer, by_method = isinstance(layer, (list, tuple)), isinstance(method, (list, tuple))
        if by_layer and by_method:
            return maps
        if by_layer or by_method:
            return {key[0 if by_layer else 1]: one for key, one in maps.items()}
        return next(iter(maps.values()))

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
            self._model,
            layer,
            filters,
            size=size,
            input_range=input_range,
            init=init,
            seed=self.seed if seed is None else seed,
            batch_size=self.batch_size,
            steps=steps,
            step_size=step_size,
            normalize=normalize,
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
        return patterns.pattern_start(self._model, size, input_range, self.seed if seed is None else seed)

    def filter_activations(self, layer: str, index: int, pictures: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """One filter's activations for pictures `(N, H, W, C)` of model input in the places P that an ascent maximises.

        `(N, P)`: without a border of 2 cells, as in `filter_patterns`. Pictures are of any size that the layers up
        to there take. Raises `NonFiniteError` for NaN or infinity.
        """
        return patterns.filter_activations(self._model, layer, index, pictures)

    def inputs(self, images: Any) -> ModelInputs:
        """What the model is called with for these images: the picture `(N, H, W, C)` first, then its other inputs.

        By the inputs' names; such a mapping, changed or not, is taken as images and used as it is.
        """
        names = [one.name for one in (self._model.inputs.explained, *self._model.inputs.others)]
        collected = InputArrays(names)
        self.collect(images, [collected])
        return collected.result()

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
        if not isinstance(self._model, Reinitializes):
            raise ValueError(f"The model {self._model.name!r} can't be computed with fresh weights")
        path = None if layer is None else self.layer(layer).path
        return self._with(self._model.reinitialized(path, seed, negated=negated))

    def _with(self, model: Model) -> Engine:
        """The same engine with another model, of which there is no description."""
        other = copy.copy(self)
        other._model, other._description = model, None
        return other

    def other_inputs_key(self, case: Sample) -> Hashable:
        """What tells apart the values that two cases give the model's other inputs; the same for all where fixed."""
        if not any(callable(value) for value in self._other_inputs.values()):
            return None
        row = Others(self._model.inputs, self._other_inputs).row(0, case)
        return tuple((array.shape, array.tobytes()) for array in row)

    def class_index(self, name: str | int) -> int:
        """The index of a class given by name or index; `ValueError` for one the model does not have."""
        return self.classes.index(name)

    # How

    @property
    def _checked(self) -> Model:
        """The model, of which there are as many classes as names."""
        classes = max(2, self._model.outputs)
        if self.class_names is not None and len(self.class_names) != classes:
            raise ValueError(f"There are {len(self.class_names)} class names, but the model has {classes} classes")
        return self._model

    def _batches(self, images: Any) -> Iterator[Batch]:
        inputs, given = self._model.inputs, {}
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


def _is_convolution_or_pooling(layer: Layer) -> bool:
    return any(word in layer.type for word in _CONVOLUTION_OR_POOLING)


def _paths(layers: Iterable[Layer]) -> list[str]:
    return [layer.path for layer in layers]
