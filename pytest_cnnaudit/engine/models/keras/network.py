"""A model as functions from arrays to arrays, each compiled once for its shapes and kept.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.engine import outputs
from pytest_cnnaudit.engine.errors import ModelError, NonFiniteError
from pytest_cnnaudit.engine.inputs import check_data_format, model_inputs
from pytest_cnnaudit.engine.layers import find_layer
from pytest_cnnaudit.engine.models.keras import backends, tracing
from pytest_cnnaudit.engine.models.keras.backends import Tensor
from pytest_cnnaudit.engine.models.keras.fresh_weights import FreshWeights, fresh_weights
from pytest_cnnaudit.engine.models.keras.tracing import Call, TracedLayer
from pytest_cnnaudit.engine.outputs import Activation
from pytest_cnnaudit.engine.ranges import Expectation, expectation

Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = tuple[Array, ...]
"""What the model is called with: the picture first, then its other inputs, in the model's order."""
_SAME = 1e-3
"""Probabilities that differ by less are the same: half precision has three digits."""
_MOST_COMPILED = 64
_HEAD_BYTES = 64 * 2**20
"""What the head may make of a chunk of ablated activations."""


@dataclass(frozen=True)
class Structure:
    """What one recording of the model's calls tells."""

    layers: tuple[TracedLayer, ...]
    default: int | None
    outputs: int
    squashing: int | None
    """Which of the softmaxes and sigmoids that the model computes makes its output, counted from the end."""
    activation: Activation | None
    expects: Expectation


class Network:
    """A built Keras model on the running backend.

    `output` names one of several outputs, `picture` one of several picture inputs, `activation` says how
    logits become probabilities where the model doesn't. `probe_size` is (height, width) for recording a model
    that takes any size.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        output: str | None,
        picture: str | None,
        activation: Activation | None,
        probe_size: tuple[int, int],
    ) -> None:
        self.model = model
        check_data_format(model)
        self.inputs = model_inputs(model, picture)
        self._output = output
        self._given_activation = activation
        self._probe_size = probe_size
        self.backend = backends.current()
        self._compiled: OrderedDict[tuple[Any, ...], Callable[..., Any]] = OrderedDict()
        self._is_linear = False
        self._depends: set[str] = set()
        self._fresh: FreshWeights | None = None

    @cached_property
    def structure(self) -> Structure:
        """The layers in execution order and the head; recorded once."""
        found: list[tuple[Tensor, list[outputs.Squashing]]] = []
        calls: list[Call] = []
        layers: list[tuple[TracedLayer, ...]] = []
        pictures: list[Tensor] = []

        def run(*tensors: Tensor) -> None:
            calls.extend(tracing.record_calls(self.model, lambda: found.append(self.call(tensors))))
            layers.append(tracing.layers_of(calls))
            pictures.append(tensors[0])

        specs = self._specs()
        self.abstract(run, specs)
        output, squashings = found[0]
        squashing, certain = outputs.find_squashing(output, squashings)
        if squashing is not None and not certain and not self._is_made_by(squashing, specs):
            squashing = None
        activation = None if squashing is None else squashings[squashing][0]
        width = int(np.prod(output.shape[1:]))
        self._check_head(width, activation)
        default = tracing.default_layer(calls, output, is_one_of_several=self._output is not None)
        several = sum(one.is_picture for one in self.inputs.all) > 1
        expects = expectation(calls, pictures[0] if several else None)
        return Structure(layers[0], default, width, squashing, activation, expects)

    def layer(self, name: str) -> TracedLayer:
        """The layer with this path or unambiguous bare name; `ValueError` with the nearest names otherwise."""
        return find_layer(self.structure.layers, name)

    @property
    def num_classes(self) -> int:
        """Number of classes; a single output counts as two."""
        return max(2, self.structure.outputs)

    @property
    def activation(self) -> Activation:
        """How logits become probabilities: as found in the model, else as given, else by the convention."""
        conventional: Activation = "sigmoid" if self.structure.outputs == 1 else "softmax"
        return self.structure.activation or self._given_activation or conventional

    def reinitialized(self, path: str | None, seed: int, *, negated: bool) -> Network:
        """The same model with fresh weights from the output down to a layer, or in all; see `fresh_weights`."""
        other = copy.copy(self)
        other._fresh = fresh_weights(self.model, self.structure.layers, path, seed, negated=negated)
        # What the head is was found with the trained weights; with random ones logits may look like probabilities.
        other._is_linear = True
        return other

    # Functions from arrays to arrays

    def logits(self, arrays: Arrays) -> Array:
        """`(N, classes)` float32; (−z, z) for a model with a single output z."""
        return np.asarray(self._function("logits", self._logits_program, arrays)(*arrays))

    def activations(self, arrays: Arrays, layers: Sequence[TracedLayer]) -> list[Array]:
        """The layers' outputs, channels last."""
        program = partial(self._activations_program, layers)
        found = list(self._function("activations", program, arrays, layers)(*arrays))
        _check_rows(layers, [len(array) for array in found], len(arrays[0]))
        return found

    def explained(
        self,
        arrays: Arrays,
        layers: Sequence[TracedLayer],
        *,
        gradients: Array | None,
        score: str,
        inside: tuple[Sequence[TracedLayer], Sequence[TracedLayer]] | None = None,
    ) -> Explained:
        """Logits and activations, and the gradients of a class' score where `gradients` names the classes.

        `gradients` `(N,)` int32 has the class whose score is differentiated with respect to each layer, −1 for
        the predicted one; None for no gradients at all. With gradients, what `Network.inside` gives of the layers
        in `inside` comes from the same pass.
        """
        if gradients is None:
            plain = self._function("plain", partial(self._plain_program, layers), arrays, layers)
            logits, activations = plain(*arrays)
            return Explained(logits, activations, [])
        if inside is None:
            program = partial(self._gradients_program, layers, score)
            return Explained(*self._function("gradients", program, arrays, layers, score)(gradients, *arrays))
        every = partial(self._gradients_and_inside_program, layers, score, *inside)
        named = (*layers, *inside[0], *inside[1])
        function = self._function("all", every, arrays, named, f"{score} {len(layers)} {len(inside[0])}")
        logits, activations, found, looked = function(gradients, *arrays)
        return Explained(logits, activations, found, _looked(looked, inside[0], len(arrays[0])))

    def check_dependence(self, layer: TracedLayer) -> None:
        """`ValueError` where no class' score depends on the layer; looked at once, without computing anything."""
        if layer.path not in self._depends:
            program = partial(self._gradients_program, (layer,), "logit")
            self.abstract(program, [((1,), "int32"), *self._specs()])
            self._depends.add(layer.path)

    def input_gradients(self, arrays: Arrays, classes: Array, score: str) -> Array:
        """Gradient of the classes' scores with respect to the picture, `(N, H, W, C)`."""
        self.check_float_picture()
        program = partial(self._input_gradients_program, score)
        return np.asarray(self._function("input", program, arrays, (), score)(classes, *arrays))

    def ablated(self, arrays: Arrays, layer: TracedLayer, index: int, score: str) -> tuple[Array, Array]:
        """Activations `(1, h, w, K)` of one picture, and the drop of a class' score without each channel, `(K,)`.

        Only what comes after the layer is computed again.
        """
        chunk = self._head_chunk(layer)
        program = partial(self._ablation_program, layer, score, chunk)
        function = self._function("ablation", program, arrays, (layer,), f"{score} {chunk}")
        activations, scores = function(np.asarray([index], np.int32), *arrays)
        channels = activations.shape[-1]
        return activations, np.ravel(scores)[channels] - np.ravel(scores)[:channels]

    def filter_outputs(self, pictures: Array, layer: TracedLayer, index: int) -> Array:
        """One channel of the layer's output for pictures `(N, H, W, C)` of any size, `(N, h, w)` or `(N,)`, float32."""

        def program(tensors: Tensor, channel: Tensor) -> Tensor:
            return keras.ops.take(keras.ops.cast(self.output_of(layer, tensors), "float32"), channel, axis=-1)

        arrays = (pictures, np.asarray(index, np.int32))
        return np.asarray(self._function("filter", program, arrays, (layer,))(*arrays))

    def inside(
        self, arrays: Arrays, reduced: Sequence[TracedLayer], finite: Sequence[TracedLayer]
    ) -> tuple[list[tuple[Array, int]], Array]:
        """Of one pass: the reductions of some layers' outputs, and which values of some layers are finite.

        By layer the `backends.REDUCTIONS` over its positions, `(6, N, K)`, and how many these are; and whether a
        picture's values in each layer, and last in the output, are neither NaN nor infinity, `(layers + 1, N)` bool.
        There those count as well that a layer hands to its own activation.
        """
        program = partial(self._inside_program, reduced, finite)
        function = self._function("inside", program, arrays, (*reduced, *finite), str(len(reduced)))
        return _looked(function(*arrays), reduced, len(arrays[0]))

    def checked(self, logits: Array, arrays: Arrays, names: Callable[[int], str], count: int) -> Array:
        """The logits, unless they are not finite, or are probabilities: in 0 to 1 whatever the input."""
        finite(logits[:count], "logits", names)
        if self._is_linear or self.structure.activation is not None:
            return logits
        raw = logits[:, -self.structure.outputs :]
        if not _are_probabilities(raw):
            return logits
        picture, *rest = arrays
        others = [self.logits((scale * (picture + 1), *rest))[:, -raw.shape[1] :] for scale in (0.5, 1e4, -1e4)]
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

    def _function(
        self,
        kind: str,
        program: Callable[..., Any],
        arrays: Arrays,
        layers: Sequence[TracedLayer] = (),
        score: str = "",
    ) -> Callable[..., Any]:
        """The compiled function of this kind for these layers and shapes: made once, kept."""
        shapes = tuple((array.shape, array.dtype.str) for array in arrays)
        fresh = self._fresh
        key = (kind, tuple(layer.path for layer in layers), score, shapes, None if fresh is None else fresh.first)
        if key not in self._compiled:
            _ = self.structure  # a wrong head is found before anything is compiled for it
            program = program if fresh is None else partial(self._with_fresh_weights, fresh, program)
            self._compiled[key] = self.one_at_a_time(self.backend.compiled(program, self.model))
            while len(self._compiled) > _MOST_COMPILED:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        return self._compiled[key] if fresh is None else partial(self._compiled[key], *fresh.values)

    @staticmethod
    def one_at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which waits while another thread calls a model: what watches a model is seen by all threads."""

        def call(*arrays: Array) -> Any:
            with tracing.TRACING:
                return function(*arrays)

        return call

    def abstract(self, run: Callable[..., Any], specs: Sequence[backends.Spec]) -> None:
        """See `Backend.abstract`."""
        with tracing.TRACING:
            self.backend.abstract(run, self.model, specs)

    def check_float_picture(self) -> None:
        """`ModelError` where the picture is an input of whole numbers, which has no gradient."""
        dtype = self.inputs.explained.dtype or "float32"
        if not keras.backend.is_float_dtype(dtype):
            raise ModelError(
                f"The model {self.model.name!r} takes its picture as {dtype}, and there is no gradient with respect to "
                "whole numbers: choose a method that explains a layer, or occlusion or rise, or give the model an "
                "input of floats"
            )

    # The model, called

    def call(self, tensors: Sequence[Tensor]) -> tuple[Tensor, list[outputs.Squashing]]:
        """The chosen output, and every softmax and sigmoid on the way."""
        picture, *others = tensors
        positional, named = self.inputs.arguments(picture, others)
        with outputs.squashings() as found:
            return self._pick(self.model(*positional, **named, training=False)), found

    def output_of(self, layer: TracedLayer, pictures: Tensor) -> Tensor:
        """The layer's output for pictures of any size, channels last; nothing after it is computed."""
        return channels_last(self._left_early(pictures, partial(tracing.outputs_until, (layer,)))[0])

    def input_of(self, layer: TracedLayer, pictures: Tensor) -> Tensor:
        """What the layer takes for pictures of any size, as it takes it."""
        return self._left_early(pictures, partial(tracing.input_until, layer))

    def _left_early(self, pictures: Tensor, watch: Callable[[Callable[[], Any]], Any]) -> Any:
        """The model called by `watch`; other inputs are zeros, of no matter to layers before they come in."""
        rows = keras.ops.shape(pictures)[0]
        others = [keras.ops.zeros((rows, *shape[1:]), dtype) for shape, dtype in self._specs()[1:]]
        with tracing.any_input_size(self.model):
            return watch(lambda: self.call((pictures, *others)))

    def _pick(self, output: Any) -> Any:
        """The chosen one of the model's outputs."""
        if isinstance(output, Mapping):
            names, values = list(output), list(output.values())
        elif isinstance(output, (list, tuple)):
            names, values = list(getattr(self.model, "output_names", [])), list(output)
        else:
            names, values = list(getattr(self.model, "output_names", [])) or [self.model.name], [output]
        if self._output is None and len(values) == 1:
            return values[0]
        if self._output not in names:
            problem = f"has no output {self._output!r}" if self._output else "has several outputs"
            raise ModelError(f"The model {self.model.name!r} {problem}; name one with output=: {', '.join(names)}")
        return values[names.index(self._output)]

    def _raw_logits(self, tensors: Sequence[Tensor]) -> Tensor:
        """`(N, outputs)`, before a single output counts as two."""
        squashing = self.structure.squashing
        output, found = self.call(tensors)
        logits = output if squashing is None else found[squashing][1]
        return keras.ops.reshape(logits, (logits.shape[0], -1))

    def _scores(self, tensors: Sequence[Tensor], score: str) -> tuple[Tensor, Tensor]:
        """The logits and the chosen score of every class, `(N, classes)` each."""
        scores = partial(outputs.class_scores, self._raw_logits(tensors), self.activation)
        return scores("logit"), scores(score)

    # Programs: from tensors to tensors, run by the backend

    def _with_fresh_weights(self, fresh: FreshWeights, program: Callable[..., Any], *tensors: Tensor) -> Any:
        """The program, whose first tensors are the fresh weights: other ones need no other compilation."""
        count = len(fresh.variables)
        with fresh.used(self.model, tensors[:count]):
            return program(*tensors[count:])

    def _logits_program(self, *tensors: Tensor) -> Tensor:
        return self._scores(tensors, "logit")[0]

    def _activations_program(self, layers: Sequence[TracedLayer], *tensors: Tensor) -> list[Tensor]:
        return [channels_last(output) for output in tracing.outputs_until(layers, lambda: self.call(tensors))]

    def _plain_program(self, layers: Sequence[TracedLayer], *tensors: Tensor) -> tuple[Tensor, list[Tensor]]:
        seen: dict[str, Tensor] = {}
        with tracing.observed(layers, lambda layer, output: seen.setdefault(layer.path, output)):
            logits = self._logits_program(*tensors)
        return logits, [channels_last(seen[layer.path]) for layer in layers]

    def _inside_program(
        self, reduced: Sequence[TracedLayer], finite: Sequence[TracedLayer], *tensors: Tensor
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        with self._looking_inside(reduced, finite, tensors[0].shape[0]) as looked:
            output, _ = self.call(tensors)
        return looked(output)

    @contextmanager
    def _looking_inside(
        self, reduced: Sequence[TracedLayer], finite: Sequence[TracedLayer], rows: int
    ) -> Iterator[Callable[[Tensor], tuple[list[Tensor], Tensor, Tensor]]]:
        """While the model is called, the layers are looked at; what it gives, called with the output, is what was seen.

        The reductions `(6, N, K)` of each layer, in one tensor since each costs its way to NumPy; the positions; and
        whether each picture's values are finite in each layer and in the output, `(layers + 1, N)`.
        """
        reductions: dict[str, Tensor] = {}
        positions: dict[str, int] = {}
        are_finite: dict[str, Tensor] = {}

        def reduce(layer: TracedLayer, output: Tensor) -> Tensor:
            reductions[layer.path], positions[layer.path] = self._reductions(output)
            return output

        def look(layer: TracedLayer, values: Tensor) -> None:
            found, path = self._are_finite(values, rows), layer.path
            are_finite[path] = keras.ops.logical_and(are_finite[path], found) if path in are_finite else found

        def looked(output: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
            # Where nobody asked, what comes after the layers need not be computed.
            flags = [*(are_finite[layer.path] for layer in finite), self._are_finite(output, rows)] if finite else []
            return (
                [reductions[layer.path] for layer in reduced],
                keras.ops.convert_to_tensor(np.asarray([positions[layer.path] for layer in reduced], np.int32)),
                keras.ops.stack(flags) if finite else keras.ops.zeros((1, rows), "bool"),
            )

        with tracing.observed(reduced, reduce), tracing.observed_with_inputs_of_activations(finite, look):
            yield looked

    def _reductions(self, output: Tensor) -> tuple[Tensor, int]:
        """`(6, N, K)`, and the number of positions."""
        values = keras.ops.cast(channels_last(output), "float32")
        count, channels = values.shape[0], values.shape[-1]
        positions = int(np.prod(values.shape[1:-1]))
        found = self.backend.reductions(keras.ops.reshape(values, (count, positions, channels)))
        return keras.ops.stack([found[name] for name in backends.REDUCTIONS]), positions

    def _are_finite(self, values: Tensor, rows: int) -> Tensor:
        """`(rows,)` bool; windows of a picture lie together, and what is of no picture is of all."""
        if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(values.dtype)):
            return keras.ops.ones((rows,), "bool")
        own = bool(values.shape) and values.shape[0] % rows == 0
        found = self.backend.finite(keras.ops.reshape(values, (rows if own else 1, -1)))
        return found if own else keras.ops.broadcast_to(found, (rows,))

    def _gradients_program(
        self, layers: Sequence[TracedLayer], score: str, targets: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """(logits, activations, gradients) of the layers; what comes before the first of them is inference."""
        return self._gradients_and_inside_program(layers, score, (), (), targets, *tensors)[:3]

    def _gradients_and_inside_program(
        self,
        layers: Sequence[TracedLayer],
        score: str,
        reduced: Sequence[TracedLayer],
        finite: Sequence[TracedLayer],
        targets: Tensor,
        *tensors: Tensor,
    ) -> tuple[Tensor, list[Tensor], list[Tensor], Any]:
        scale, order = 1.0, []

        def run(watch: backends.Watch) -> tuple[Tensor, Any]:
            def observe(layer: TracedLayer, output: Tensor) -> Tensor:
                nonlocal scale
                scale = max(scale, _loss_scale(output))
                order.append(layer.path)
                return watch(output)

            order.clear()
            inside = self._looking_inside(reduced, finite, tensors[0].shape[0])
            with inside as looked, tracing.observed(layers, observe):
                logits, scores = self._scores(tensors, score)
            return _sum_of_chosen(logits, scores, targets) * scale, (logits, looked(logits))

        (logits, seen), watched, gradients = self.backend.gradients(run)
        for path, gradient in zip(order, gradients, strict=True):
            if gradient is None:
                raise ValueError(f"The score does not depend on the layer {path!r}: its gradient is undefined")
        by_path = {
            path: (channels_last(activation), channels_last(keras.ops.cast(gradient, "float32") / scale))
            for path, activation, gradient in zip(order, watched, gradients, strict=True)
        }
        pairs = [by_path[layer.path] for layer in layers]
        return logits, [pair[0] for pair in pairs], [pair[1] for pair in pairs], seen

    def _input_gradients_program(self, score: str, targets: Tensor, picture: Tensor, *others: Tensor) -> Tensor:
        # Half precision: the same scale as for the layer that is pooled.
        default = self.structure.default
        scale = 1.0
        if default is not None and keras.backend.standardize_dtype(self.model.compute_dtype) == "float16":
            scale = _power_above(_cells(self.structure.layers[default].output_shape))

        def run(watch: backends.Watch) -> tuple[Tensor, None]:
            logits, scores = self._scores((watch(picture), *others), score)
            return _sum_of_chosen(logits, scores, targets) * scale, None

        _, _, (gradient,) = self.backend.gradients(run)
        if gradient is None:
            raise ValueError(
                f"The score does not depend on the input {self.inputs.explained.name!r}: its gradient is undefined"
            )
        return keras.ops.cast(gradient, "float32") / scale

    def _ablation_program(
        self, layer: TracedLayer, score: str, chunk: int, index: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Activations of one picture, and the score without each channel and with all, `(chunks, chunk)`."""
        ops = keras.ops
        with tracing.remembered(self.model, layer) as before:
            self.call(tensors)
        activation = before.target
        axis = 1 if _is_channels_first() else 3
        channels = activation.shape[axis]
        chunks = -(-(channels + 1) // chunk)

        def score_without(dropped: Tensor) -> Tensor:
            numbers = ops.arange(channels, dtype="int32")
            keep = ops.cast(ops.not_equal(ops.expand_dims(dropped, 1), numbers), activation.dtype)
            shape = [chunk, 1, 1, 1]
            shape[axis] = channels
            variants = activation * ops.reshape(keep, shape)
            rows = [ops.broadcast_to(tensor, (chunk, *tensor.shape[1:])) for tensor in tensors]
            with tracing.replayed(self.model, layer, before, variants):
                _, scores = self._scores(rows, score)
            return ops.sum(scores * ops.one_hot(index, scores.shape[-1], dtype="float32"), axis=-1)

        # No channel has the number `channels`, so there all are kept.
        dropped = np.minimum(np.arange(chunks * chunk), channels).reshape(chunks, chunk).astype(np.int32)
        return channels_last(activation), ops.map(score_without, ops.convert_to_tensor(dropped))

    def _head_chunk(self, layer: TracedLayer) -> int:
        """How many variants of a layer's output fit the budget with what the head makes of them."""
        layers = self.structure.layers
        start = next(index for index, one in enumerate(layers) if one.path == layer.path)
        sizes = [int(np.prod([side or 1 for side in one.output_shape])) * 4 for one in layers[start:]]
        channels = layer.output_shape[1 if _is_channels_first() else -1] or 1
        return int(np.clip(_HEAD_BYTES // max(1, sum(sizes)), 1, channels + 1))

    # The recording

    def _specs(self) -> list[tuple[tuple[int, ...], str]]:
        """Shapes and dtypes to record the model with."""
        ordered = (self.inputs.explained, *self.inputs.others)
        return [(self._probe_shape(one.shape), one.dtype or "float32") for one in ordered]

    def _probe_shape(self, shape: tuple[int | None, ...]) -> tuple[int, ...]:
        """A concrete shape to record the model with; a free side gets the preprocessing's, or 224."""
        free = (*self._probe_size, 3) if len(shape) == 3 else (1,) * len(shape)
        return (1, *(side or other for side, other in zip(shape, free, strict=True)))

    def _is_made_by(self, squashing: int, specs: Sequence[tuple[tuple[int, ...], str]]) -> bool:
        """Whether the output has the values of this softmax or sigmoid, on a random picture."""

        def program(*tensors: Tensor) -> Tensor:
            output, found = self.call(tensors)
            return outputs.deviation(output, found[squashing])

        generator = np.random.default_rng(0)
        arrays = [generator.uniform(0, 1, shape).astype(dtype) for shape, dtype in specs]
        return bool(self.one_at_a_time(self.backend.compiled(program, self.model))(*arrays) < _SAME)

    def _check_head(self, outputs: int, activation: Activation | None) -> None:
        if "softmax" in (activation, self._given_activation) and outputs == 1:
            raise ModelError(
                f"The model {self.model.name!r} ends in a softmax over a single output, which is always 1; "
                "a binary model with one output needs a sigmoid"
            )


@dataclass(frozen=True)
class Explained:
    """`logits` `(N, classes)`; by layer, `activations` and `gradients` `(N, h, w, K)`, channels last.

    `inside` is what `Network.inside` gives, where it was asked for.
    """

    logits: Array
    activations: Sequence[Array]
    gradients: Sequence[Array]
    inside: tuple[list[tuple[Array, int]], Array] | None = None


def _looked(
    found: tuple[Sequence[Array], Array, Array], reduced: Sequence[TracedLayer], pictures: int
) -> tuple[list[tuple[Array, int]], Array]:
    reductions, positions, are_finite = found
    _check_rows(reduced, [one.shape[1] for one in reductions], pictures)
    return list(zip(reductions, positions.tolist(), strict=True)), are_finite


def _check_rows(layers: Sequence[TracedLayer], rows: Sequence[int], pictures: int) -> None:
    """`ValueError` for a layer that makes several rows of a picture, such as windows: none of them is the picture's."""
    for layer, count in zip(layers, rows, strict=True):
        if count != pictures:
            raise ValueError(
                f"The layer {layer.path!r} gives {count} rows for a batch of {pictures}, as one that cuts pictures "
                "into windows: choose a layer before or after, where each picture has a row"
            )


def finite(array: Array, what: str, name: Callable[[int], str]) -> Array:
    """The array `(N, …)`; `NonFiniteError` that names the first picture with NaN or infinity."""
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if bad.any():
        raise NonFiniteError(
            f"The {what} of {name(int(np.argmax(bad)))} hold NaN or infinity: look for them in "
            "the weights or in a method of your own, or for an overflow in half precision"
        )
    return array


def channels_last(tensor: Tensor) -> Tensor:
    """A layer's output with its channels in the last axis, whatever the model's data format."""
    if _is_channels_first() and len(tensor.shape) == 4:
        return keras.ops.transpose(tensor, (0, 2, 3, 1))
    return tensor


def _is_channels_first() -> bool:
    return bool(keras.config.image_data_format() == "channels_first")


def _sum_of_chosen(logits: Tensor, scores: Tensor, targets: Tensor) -> Tensor:
    """Sum over the pictures of the target class' score; −1 stands for the predicted class."""
    ops = keras.ops
    classes = ops.where(targets < 0, ops.cast(ops.argmax(logits, axis=-1), "int32"), targets)
    return ops.sum(scores * ops.one_hot(classes, scores.shape[-1], dtype="float32"))


def _loss_scale(activation: Tensor) -> float:
    """What keeps a gradient in half precision from vanishing: pooling divides it by the number of cells."""
    if keras.backend.standardize_dtype(activation.dtype) != "float16":
        return 1.0
    return _power_above(_cells(activation.shape))


def _cells(shape: Sequence[int | None]) -> int:
    first = 2 if _is_channels_first() else 1
    return int(np.prod([side or 1 for side in shape[first : first + 2]]))


def _power_above(count: int) -> float:
    return float(2 ** (count - 1).bit_length())


def _are_probabilities(values: Array) -> bool:
    return bool((values >= 0).all() and (values <= 1).all())


def _are_normalized(*values: Array) -> bool:
    return all(np.allclose(rows.sum(axis=1), 1, rtol=0, atol=_SAME) for rows in values)
