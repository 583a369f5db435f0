"""`Engine`: a model, and what it computes on pictures.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from os import PathLike
from typing import Any, TypeAlias, get_args

import keras
import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.cases import CaseError
from pytest_cnnaudit.engine import backends, heatmaps, outputs, statistics, tracing
from pytest_cnnaudit.engine.backends import Tensor
from pytest_cnnaudit.engine.heatmaps import Heatmaps, Method
from pytest_cnnaudit.engine.images import Batch, batches
from pytest_cnnaudit.engine.loading import ModelError, load_model, read_class_names
from pytest_cnnaudit.engine.outputs import Activation, NonFiniteError, Predictions
from pytest_cnnaudit.engine.statistics import LayerStats
from pytest_cnnaudit.engine.tracing import Call, Layer
from pytest_cnnaudit.preprocessing import Preprocessing

Target: TypeAlias = str | int | Sequence[str | int]
Layers: TypeAlias = str | Sequence[str] | None

_CONVOLUTION_OR_POOLING = ("Conv", "Pooling")
_SAME = 1e-3
"""Probabilities that differ by less are the same: half precision has three digits."""


@dataclass(frozen=True)
class _Structure:
    """What one recording of the model's calls tells."""

    layers: tuple[Layer, ...]
    default: int | None
    outputs: int
    squashing: int | None
    """Which of the softmaxes and sigmoids that the model computes makes its output."""
    activation: Activation | None


class Engine:
    """Computes predictions, activations and heatmaps of a built Keras model, on the backend Keras runs on.

    `model` is a `keras.Model` or the path of a `.keras` or `.h5` file (never executes code from it).
    `preprocessing` turns pictures into model input; the default stretches them to the model's input size.
    `class_names` are the outputs' names in their order (or a file of them, one a line), `output` names one
    of several outputs, `activation` (`"softmax"` or `"sigmoid"`) says how a linear head's logits become
    probabilities (default: softmax; sigmoid for a single output). `batch_size` defaults to one chosen by the
    size of the input. The model is left exactly as it was.

    `images` is everywhere an array `(N, H, W, C)`, which is model input and used as is; or one, a sequence
    or an iterator of `Case`, path, `PIL.Image` or `uint8` array `(H, W, C)`, which are preprocessed.
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
    ) -> None:
        self.model = load_model(model) if isinstance(model, (str, PathLike)) else model
        _check_model(self.model)
        if activation not in (None, *get_args(Activation)):
            raise ValueError(f"activation is {activation!r}; known: 'softmax', 'sigmoid'")
        if batch_size is not None and (isinstance(batch_size, bool) or int(batch_size) != batch_size or batch_size < 1):
            raise ValueError(f"batch_size is {batch_size!r}; a positive integer is expected")
        self.preprocessing = Preprocessing() if preprocessing is None else preprocessing
        self.class_names = None if class_names is None else read_class_names(class_names)
        self.output = output
        self.batch_size = batch_size
        self.seed = seed
        self._activation = activation
        self._backend = backends.current()
        self._compiled: dict[tuple[Any, ...], Callable[..., Any]] = {}
        self._structures: dict[tuple[int, ...], _Structure] = {}
        self._is_linear = False

    # What the model is made of

    @cached_property
    def input_shape(self) -> tuple[int | None, int | None, int | None]:
        """(height, width, channels) of the model's input; None where any size is taken."""
        shape = _input_shape(self.model)
        return (shape[1], shape[2], shape[0]) if self._channels_first else shape

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every call of a layer or bare operation, in execution order, nested models walked into."""
        return self._structure().layers

    @property
    def default_layer(self) -> str:
        """Path of the input of the last global pooling, else of the first flatten: the last spatial output.

        Raises `ModelError` for a model without any spatial output.
        """
        structure = self._structure()
        if structure.default is None:
            raise ModelError(
                f"The model {self.model.name!r} has no spatial layer (an output with four dimensions), so "
                "there is nothing to draw a heatmap on"
            )
        return structure.layers[structure.default].path

    @property
    def num_classes(self) -> int:
        """Number of classes; a single output counts as two."""
        return max(2, self._structure().outputs)

    @property
    def activation(self) -> Activation:
        """How logits become probabilities: as found in the model, else as given, else by the convention."""
        structure = self._structure()
        conventional: Activation = "sigmoid" if structure.outputs == 1 else "softmax"
        return structure.activation or self._activation or conventional

    def layer(self, name: str) -> Layer:
        """The layer with this path or unambiguous bare name; `ValueError` with the nearest names otherwise."""
        if not isinstance(name, str):
            raise TypeError(f"A layer is named by a str, not {name!r}")
        return tracing.find_layer(self.layers, name)

    # What it computes

    def predict(self, images: Any) -> Predictions:
        """Logits and probabilities of every picture."""
        logits = [self._run(batch)[: batch.count] for batch in self._batches(images)]
        return self.predictions(np.concatenate(logits))

    def predictions(self, logits: npt.NDArray[np.float32]) -> Predictions:
        """`Predictions` from logits `(N, classes)` computed before."""
        return outputs.predictions(logits, self.activation, self.class_names)

    def activations(self, images: Any, layers: Layers = None) -> dict[str, npt.NDArray[np.float32]]:
        """Outputs of the layers, by path: `(N, H, W, C)` or `(N, C)`, channels last, float32.

        By default those of every convolution and pooling layer. All are held in memory at once; use
        `activation_stats` for many pictures.
        """
        wanted = self._chosen(layers, lambda layer: any(word in layer.type for word in _CONVOLUTION_OR_POOLING))
        parts: list[list[npt.NDArray[np.float32]]] = []
        for batch in self._batches(images):
            function = self._function("activations", batch, wanted)
            parts.append([array[: batch.count] for array in function(batch.inputs)])
        return {
            layer.path: np.concatenate(arrays) for layer, arrays in zip(wanted, zip(*parts, strict=True), strict=True)
        }

    def activation_stats(self, images: Any, layers: Layers = None) -> dict[str, LayerStats]:
        """Statistics of the layers' outputs over all pictures, by path; memory does not grow with N.

        By default of every convolution and pooling layer.
        """
        wanted = self._chosen(layers, lambda layer: any(word in layer.type for word in _CONVOLUTION_OR_POOLING))
        total: dict[str, LayerStats] = {}
        for batch in self._batches(images):
            reduced = self._function("stats", batch, wanted)(batch.inputs)
            for layer, sums in zip(wanted, reduced, strict=True):
                rows = {name: values[: batch.count] for name, values in sums.items() if name != "positions"}
                stats = statistics.from_reductions(rows, int(sums["positions"]), is_relu_like=layer.is_relu_like)
                total[layer.path] = total[layer.path] + stats if layer.path in total else stats
        return total

    def heatmaps(
        self,
        images: Any,
        *,
        target: Target = "predicted",
        method: str | Method = "grad-cam",
        layer: str | None = None,
        score: str = "logit",
    ) -> Heatmaps:
        """Heatmaps that explain one class' score for each picture, on the layer's own grid.

        `target` is `"predicted"`, `"label"` (each case's own), a class name, an index, or a sequence of N of
        these. `layer` defaults to `default_layer`. `score` is `"logit"` or `"probability"`. `method` is one
        of `METHODS` or a callable `method(activations, gradients, scores)` that takes arrays `(N, h, w, K)`,
        `(N, h, w, K)`, `(N,)` and returns signed maps `(N, h, w)`.
        """
        name, compute = heatmaps.find_method(method)
        if score not in {"logit", "probability"}:
            raise ValueError(f"score is {score!r}; known: 'logit', 'probability'")
        explained = self.layer(self.default_layer if layer is None else layer)
        if not explained.is_spatial:
            raise ValueError(
                f"The layer {explained.path!r} has outputs of shape {explained.output_shape}; a heatmap needs "
                f"a spatial one, such as {self.default_layer!r}"
            )
        if isinstance(target, Iterable) and not isinstance(target, str):
            target = list(target)
        signed, targets, scores, logits, batched = [], [], [], [], []
        for batch in self._batches(images):
            wanted = self._targets(target, batch)
            function = self._function("gradients", batch, (explained,), score)
            padded = np.full(len(batch.inputs), wanted[-1], np.int32)
            padded[: batch.count] = wanted
            results = [array[: batch.count] for array in function(batch.inputs, padded)]
            logits.append(self._checked(results[0], batch))
            signed.append(_signed_maps(compute, name, results[3], results[4], results[2], batch))
            targets.append(results[1])
            scores.append(results[2])
            batched.append(batch)
        _check_all_used(target, sum(batch.count for batch in batched))
        cases = [case for batch in batched for case in batch.cases]
        return Heatmaps(
            signed=np.concatenate(signed),
            targets=np.concatenate(targets).astype(np.intp),
            scores=np.concatenate(scores),
            layer=explained.path,
            method=name,
            logits=np.concatenate(logits),
            geometries=tuple(geometry for batch in batched for geometry in batch.geometries),
            regions=tuple(() if case is None else case.regions for case in cases),
        )

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
        self._structure()
        if name not in self.class_names:
            near = difflib.get_close_matches(name, self.class_names, n=3, cutoff=0) or self.class_names[:3]
            raise ValueError(
                f"There is no class {name!r} among the {len(self.class_names)} classes; nearest: {', '.join(near)}"
            )
        return self.class_names.index(name)

    # How

    @property
    def _channels_first(self) -> bool:
        return bool(keras.config.image_data_format() == "channels_first")

    def _batches(self, images: Any) -> Iterator[Batch]:
        return batches(images, self.preprocessing, self.input_shape, self.batch_size)

    def _chosen(self, layers: Layers, by_default: Callable[[Layer], bool]) -> tuple[Layer, ...]:
        if layers is None:
            chosen = tuple(layer for layer in self.layers if by_default(layer))
        else:
            names = (layers,) if isinstance(layers, str) else tuple(layers)
            chosen = tuple(self.layer(name) for name in names)
        if not chosen:
            raise ValueError("No layer is chosen: name at least one of Engine.layers")
        return chosen

    def _targets(self, target: Target, batch: Batch) -> list[int]:
        """Class indices of a batch's pictures; −1 stands for the predicted class."""
        if isinstance(target, str) or not isinstance(target, Iterable):
            each: list[str | int] = [target] * batch.count
        else:
            each = list(target)[batch.start : batch.start + batch.count]
            if len(each) < batch.count:
                raise ValueError(f"target has {batch.start + len(each)} entries, but there are more images")
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

    def _pick(self, output: Any) -> Any:
        """The chosen one of the model's outputs."""
        if isinstance(output, Mapping):
            names, values = list(output), list(output.values())
        elif isinstance(output, list) or (isinstance(output, tuple) and not _is_shape(output)):
            names, values = list(getattr(self.model, "output_names", [])), list(output)
        else:
            names, values = list(getattr(self.model, "output_names", [])) or [self.model.name], [output]
        if self.output is None and len(values) == 1:
            return values[0]
        if self.output not in names:
            problem = f"has no output {self.output!r}" if self.output else "has several outputs"
            raise ModelError(f"The model {self.model.name!r} {problem}; name one with output=: {', '.join(names)}")
        return values[names.index(self.output)]

    def _call_model(self, inputs: Tensor) -> tuple[Tensor, list[outputs.Squashing]]:
        """The chosen output, and every softmax and sigmoid on the way."""
        if self._channels_first:
            inputs = keras.ops.transpose(inputs, (0, 3, 1, 2))
        with outputs.squashings() as found:
            return self._pick(self.model(inputs, training=False)), found

    def _logits(self, inputs: Tensor) -> Tensor:
        """Logits `(N, outputs)`."""
        squashing = self._structure().squashing
        output, found = self._call_model(inputs)
        logits = output if squashing is None else found[squashing][1]
        return keras.ops.reshape(logits, (logits.shape[0], -1))

    def _structure(self) -> _Structure:
        shape = self._probe_shape()
        if shape not in self._structures:
            self._structures[shape] = self._record(shape)
        return self._structures[shape]

    def _probe_shape(self) -> tuple[int, ...]:
        """A concrete input shape to record the model with; a free side gets the preprocessing's, or 224."""
        size = self.preprocessing.size if isinstance(self.preprocessing.size, tuple) else (224, 224)
        height, width, channels = self.input_shape
        return (height or size[0], width or size[1], channels or 3)

    def _record(self, shape: tuple[int, ...]) -> _Structure:
        found: list[tuple[Tensor, list[outputs.Squashing]]] = []
        calls: list[Call] = []
        layers: list[tuple[Layer, ...]] = []

        def run(inputs: Tensor) -> None:
            calls.extend(tracing.record_calls(self.model, lambda: found.append(self._call_model(inputs))))
            layers.append(tracing.layers_of(calls))

        self._backend.abstract(run, self.model, (1, *shape), "float32")
        output, squashings = found[0]
        squashing, certain = outputs.find_squashing(output, squashings)
        if squashing is not None and not certain and not self._is_made_by(squashing, shape):
            squashing = None
        activation = None if squashing is None else squashings[squashing][0]
        width = int(np.prod(output.shape[1:]))
        self._check_head(width, activation)
        return _Structure(layers[0], tracing.default_layer(calls, output), width, squashing, activation)

    def _is_made_by(self, squashing: int, shape: tuple[int, ...]) -> bool:
        """Whether the output has the values of this softmax or sigmoid, on a random picture."""

        def program(inputs: Tensor) -> Tensor:
            output, found = self._call_model(inputs)
            return outputs.deviation(output, found[squashing])

        picture = np.random.default_rng(0).uniform(0, 1, (1, *shape)).astype(np.float32)
        return bool(self._backend.compiled(program, self.model)(picture) < _SAME)

    def _check_head(self, outputs: int, activation: Activation | None) -> None:
        if "softmax" in (activation, self._activation) and outputs == 1:
            raise ModelError(
                f"The model {self.model.name!r} ends in a softmax over a single output, which is always 1; "
                "a binary model with one output needs a sigmoid"
            )
        if self.class_names is not None and len(self.class_names) != max(2, outputs):
            raise ValueError(
                f"There are {len(self.class_names)} class names, but the model has {max(2, outputs)} classes"
            )

    def _function(
        self, kind: str, batch: Batch, layers: tuple[Layer, ...] = (), score: str = "logit"
    ) -> Callable[..., Any]:
        """The compiled function of this kind for these layers and this batch shape: made once, kept."""
        key = (kind, tuple(layer.path for layer in layers), score, batch.inputs.shape)
        if key not in self._compiled:
            self._structure()  # a wrong head is found before anything is compiled for it
            programs: dict[str, Callable[..., Any]] = {
                "logits": self._logits_program,
                "activations": partial(self._activations_program, layers),
                "stats": partial(self._stats_program, layers),
                "gradients": partial(self._gradients_program, layers, score),
            }
            self._compiled[key] = self._backend.compiled(programs[kind], self.model)
        return self._compiled[key]

    def _run(self, batch: Batch) -> npt.NDArray[np.float32]:
        return self._checked(self._function("logits", batch)(batch.inputs), batch)

    def _checked(self, logits: npt.NDArray[np.float32], batch: Batch) -> npt.NDArray[np.float32]:
        """The logits, unless they are probabilities: from 0 to 1 for these inputs and for very different ones."""
        _finite(logits, "logits", batch)
        if self._is_linear or self._structure().activation is not None:
            return logits
        raw = logits[:, -self._structure().outputs :]
        if _are_probabilities(raw):
            function = self._function("logits", batch)
            others = [function(scale * (batch.inputs + 1))[:, -raw.shape[1] :] for scale in (0.5, 1e4, -1e4)]
            constant = all(np.array_equal(raw, other) for other in others)
            normalized = _are_normalized(raw, others[0])
            self._is_linear = constant or not (normalized or all(map(_are_probabilities, others)))
            if self._is_linear:
                return logits
            raise ModelError(
                f"The outputs of the model {self.model.name!r} look like probabilities, but no softmax or sigmoid of "
                "Keras makes them, so the logits can't be reached: end the model in one of these (an activation, a "
                "layer or keras.ops.softmax), or in the logits"
            )
        return logits

    def _scores(self, inputs: Tensor, score: str) -> tuple[Tensor, Tensor]:
        """The logits and the chosen score of every class, `(N, classes)` each."""
        scores = partial(outputs.class_scores, self._logits(inputs), self.activation)
        return scores("logit"), scores(score)

    def _logits_program(self, inputs: Tensor) -> Tensor:
        return self._scores(inputs, "logit")[0]

    def _activations_program(self, layers: tuple[Layer, ...], inputs: Tensor) -> list[Tensor]:
        seen: dict[str, Tensor] = {}
        with tracing.observed(layers, lambda layer, output: seen.setdefault(layer.path, output)):
            self._call_model(inputs)
        return [self._channels_last(seen[layer.path]) for layer in layers]

    def _stats_program(self, layers: tuple[Layer, ...], inputs: Tensor) -> list[dict[str, Tensor]]:
        reduced: dict[str, dict[str, Tensor]] = {}

        def observe(layer: Layer, output: Tensor) -> Tensor:
            values = keras.ops.cast(self._channels_last(output), "float32")
            rows, channels = values.shape[0], values.shape[-1]
            positions = int(np.prod(values.shape[1:-1]))
            flat = keras.ops.reshape(values, (rows, positions, channels))
            reduced[layer.path] = {**self._backend.reductions(flat), "positions": keras.ops.full((), positions)}
            return output

        with tracing.observed(layers, observe):
            self._call_model(inputs)
        return [reduced[layer.path] for layer in layers]

    def _gradients_program(
        self, layers: tuple[Layer, ...], score: str, inputs: Tensor, targets: Tensor
    ) -> tuple[Tensor, ...]:
        """(logits, targets, scores, activations, gradients) of one layer; the trunk before it is inference."""

        ops = keras.ops
        scale = 1.0

        def run(watch: backends.Watch) -> tuple[Tensor, Any]:
            def observe(_: Layer, output: Tensor) -> Tensor:
                nonlocal scale
                scale = _loss_scale(output)
                return watch(output)

            with tracing.observed(layers, observe):
                logits, scores = self._scores(inputs, score)
            classes = ops.where(targets < 0, ops.cast(ops.argmax(logits, axis=-1), "int32"), targets)
            chosen = ops.sum(scores * ops.one_hot(classes, scores.shape[-1], dtype="float32"), axis=-1)
            return ops.sum(chosen) * scale, (logits, classes, chosen)

        (logits, classes, chosen), watched, gradients = self._backend.gradients(run)
        if gradients[0] is None:
            raise ValueError(f"The score does not depend on the layer {layers[0].path!r}: its gradient is undefined")
        gradient = ops.cast(gradients[0], "float32") / scale
        return logits, classes, chosen, self._channels_last(watched[0]), self._channels_last(gradient)

    def _channels_last(self, tensor: Tensor) -> Tensor:
        if self._channels_first and len(tensor.shape) == 4:
            return keras.ops.transpose(tensor, (0, 2, 3, 1))
        return tensor


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a keras.Model or the path of a model file, not {type(model).__name__}")
    if not model.built:
        raise ModelError(
            f"The model {model.name!r} is not built: call it once on a batch, or give its first layer an input shape"
        )
    if not isinstance(model, (keras.Sequential, keras.Function)):
        unbuilt = next((layer for layer in model._flatten_layers() if not layer.built), None)
        if unbuilt is not None:
            raise ModelError(
                f"The layer {unbuilt.name!r} of the model {model.name!r} is not built: call the model once on a batch"
            )
    for variable in model.variables:
        # Looked for here and not in what comes out: TensorFlow's fused convolution and ReLU make NaN 0.
        if keras.backend.is_float_dtype(variable.dtype) and not keras.ops.all(keras.ops.isfinite(variable.value)):
            raise NonFiniteError(f"The weight {variable.path!r} of the model {model.name!r} holds NaN or infinity")


def _input_shape(model: keras.Model) -> tuple[int | None, int | None, int | None]:
    """The input shape of a model with one picture input, without the batch axis, in the model's own order."""
    try:
        flat = keras.tree.flatten(model.input)
        shapes = [tuple(tensor.shape) for tensor in flat]
    except (AttributeError, ValueError):
        shapes = [_built_shape(model)]
    if len(shapes) != 1:
        raise ModelError(f"The model {model.name!r} has {len(shapes)} inputs; one picture input is supported")
    if len(shapes[0]) != 4:
        raise ModelError(f"The model {model.name!r} takes input of shape {shapes[0]}; pictures have (N, H, W, C)")
    return (shapes[0][1], shapes[0][2], shapes[0][3])


def _built_shape(model: keras.Model) -> tuple[int | None, ...]:
    """A subclassed model remembers the shape it was built with."""
    config = model.get_build_config() or {}
    shape = config.get("input_shape") or next(iter((config.get("shapes_dict") or {}).values()), None)
    if shape is None or not _is_shape(tuple(shape)):
        raise ModelError(f"The input shape of the model {model.name!r} is not known: call model.build((None, H, W, C))")
    return tuple(shape)


def _is_shape(value: tuple[Any, ...]) -> bool:
    return all(size is None or isinstance(size, int) for size in value)


def _are_probabilities(values: npt.NDArray[np.float32]) -> bool:
    return bool((values >= 0).all() and (values <= 1).all())


def _are_normalized(*values: npt.NDArray[np.float32]) -> bool:
    return all(np.allclose(rows.sum(axis=1), 1, rtol=0, atol=_SAME) for rows in values)


def _loss_scale(activation: Tensor) -> float:
    """What keeps a gradient in half precision from vanishing: pooling divides it by the number of cells."""
    if keras.backend.standardize_dtype(activation.dtype) != "float16":
        return 1.0
    return float(2 ** (int(np.prod(activation.shape[1:3])) - 1).bit_length())


def _finite(array: npt.NDArray[np.float32], what: str, batch: Batch) -> npt.NDArray[np.float32]:
    bad = ~np.isfinite(array[: batch.count]).reshape(batch.count, -1).all(axis=1)
    if bad.any():
        raise NonFiniteError(
            f"The {what} of {batch.name(int(np.argmax(bad)))} hold NaN or infinity: look for them in "
            "the weights, or for an overflow in half precision"
        )
    return array


def _signed_maps(
    compute: Method, name: str, activations: Any, gradients: Any, scores: Any, batch: Batch
) -> npt.NDArray[np.float32]:
    maps = np.asarray(compute(activations, gradients, scores), np.float32)
    if maps.shape != activations.shape[:3]:
        raise ValueError(f"The method {name!r} gave maps of shape {maps.shape}; expected {activations.shape[:3]}")
    return _finite(maps, "heatmap", batch)


def _check_all_used(target: Target, count: int) -> None:
    if not isinstance(target, (str, int, np.integer)) and len(target) != count:
        raise ValueError(f"target has {len(target)} entries for {count} images")
