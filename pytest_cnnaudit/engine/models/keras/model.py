"""A built model of Keras 3, on the running backend, behind the protocol that the engine asks.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.engine.ascent import Ascent, Climber
from pytest_cnnaudit.engine.errors import ModelError
from pytest_cnnaudit.engine.kernels import Kernels
from pytest_cnnaudit.engine.layers import find_layer
from pytest_cnnaudit.engine.models.keras import ablation, backends, kernels, tracing
from pytest_cnnaudit.engine.models.keras.ascent import Climbers
from pytest_cnnaudit.engine.models.keras.backends.interface import Spec, Tensor
from pytest_cnnaudit.engine.models.keras.data_format import channels_last, is_channels_first
from pytest_cnnaudit.engine.models.keras.forward import Forward
from pytest_cnnaudit.engine.models.keras.fresh_weights import FreshWeights, fresh_weights
from pytest_cnnaudit.engine.models.keras.heads import Head
from pytest_cnnaudit.engine.models.keras.inputs import check_data_format, model_inputs, specs
from pytest_cnnaudit.engine.models.keras.loading import check_model
from pytest_cnnaudit.engine.models.keras.programs import Program
from pytest_cnnaudit.engine.models.keras.recording import SAME, Structure, record
from pytest_cnnaudit.engine.models.keras.tracing import TracedLayer, one_at_a_time
from pytest_cnnaudit.engine.outputs import Activation, conventional
from pytest_cnnaudit.engine.passes import INPUT, Array, Arrays, Computed, Pass
from pytest_cnnaudit.engine.ranges import Expectation

_MOST_COMPILED = 64


class KerasModel:
    """See `engine.models.Model`; what computes is compiled once for what is wanted and for its shapes, and kept.

    `output` names one of several outputs, `picture` one of several image inputs, `activation` says how
    logits become probabilities where the model doesn't. `probe_size` is (height, width) for recording a model
    that takes any size.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        output: str | None = None,
        picture: str | None = None,
        activation: Activation | None = None,
        probe_size: tuple[int, int] = (224, 224),
    ) -> None:
        check_model(model)
        check_data_format(model)
        self.model = model
        self.backend = backends.current()
        self.inputs, arguments = model_inputs(model, picture)
        self._given_activation = activation
        self._forward = Forward(model, self.inputs, arguments, output)
        self._probe_size = probe_size
        self._compiled: OrderedDict[tuple[Any, ...], tuple[Any, Callable[..., Any]]] = OrderedDict()
        self._is_linear = False
        self._depends: set[str] = set()
        self._fresh: FreshWeights | None = None
        self._climbers = Climbers()

    # What it is

    @property
    def name(self) -> str:
        """See `Model`."""
        return str(self.model.name)

    @cached_property
    def structure(self) -> Structure:
        """The layers in execution order and the head; recorded once."""
        return record(self._forward, self.backend, self.specs(), self._given_activation)

    @property
    def layers(self) -> tuple[TracedLayer, ...]:
        """See `Model`."""
        return self.structure.layers

    @property
    def default_layer(self) -> str | None:
        """See `Model`."""
        layer = self._default
        return None if layer is None else layer.path

    @property
    def outputs(self) -> int:
        """See `Model`."""
        return self.structure.outputs

    @property
    def activation(self) -> Activation | None:
        """See `Model`."""
        return self.structure.activation or self._given_activation

    @property
    def expects(self) -> Expectation:
        """See `Model`."""
        return self.structure.expects

    def identity(self) -> Mapping[str, Any]:
        """See `Model`; the model's file would not do, which holds its save date as well."""
        weights = hashlib.sha256()
        with warnings.catch_warnings():
            # Keras' own conversion of a TensorFlow tensor uses what NumPy 2 deprecates.
            warnings.simplefilter("ignore", DeprecationWarning)
            arrays = [np.ascontiguousarray(array) for array in self.model.get_weights()]
        for array in arrays:
            weights.update(f"{array.shape}{array.dtype}".encode())
            weights.update(array.tobytes())
        return {
            "weights_sha256": weights.hexdigest(),
            "architecture_sha256": self._architecture(),
            "parameters": int(self.model.count_params()),
        }

    def _architecture(self) -> str | None:
        """None for a subclassed model that says nothing of its layers."""
        try:
            return hashlib.sha256(self.model.to_json(sort_keys=True).encode()).hexdigest()
        except (NotImplementedError, TypeError, ValueError):
            return None

    # What it computes

    def compute(self, wanted: Pass, arrays: Arrays, targets: Array | None = None) -> Computed:
        """See `Model`."""
        computed = self._answer(wanted, arrays, targets)
        if computed.logits is not None:
            self._check_logits(computed.logits, arrays)
        return computed

    def _answer(self, wanted: Pass, arrays: Arrays, targets: Array | None = None) -> Computed:
        if INPUT in wanted.gradients:
            self.check_float_picture()
        given = arrays
        if wanted.gradients:
            given = (np.full(len(arrays[0]), -1, np.int32) if targets is None else targets, *arrays)
        program, function = self._function(wanted, partial(self._program, wanted), arrays)
        logits, layers, watched, gradients, reductions, finite = function(*given)
        rows = len(arrays[0])
        outputs = dict(zip((*program.plain, *program.differentiated), (*layers, *watched), strict=True))
        _check_rows({path: len(output) for path, output in outputs.items()}, rows)
        _check_rows(dict(zip(wanted.reductions, (one.shape[1] for one in reductions), strict=True)), rows)
        flags: dict[str, npt.NDArray[np.bool_]] = {}
        if wanted.finite:
            flags = dict(zip((*wanted.finite, self.name), finite[0], strict=True))
            if isinstance(self.model, (keras.Sequential, keras.Function)):  # its output is that of a layer
                del flags[self.name]
        return Computed(
            logits=np.asarray(logits[0]) if wanted.logits else None,
            layers=outputs,
            gradients=dict(zip(wanted.gradients, gradients, strict=True)),
            reductions={
                path: (found, program.positions[path])
                for path, found in zip(wanted.reductions, reductions, strict=True)
            },
            finite=flags,
        )

    def ablated(self, arrays: Arrays, layer: str, index: int, score: str) -> tuple[Array, Array]:
        """See `Ablates`."""
        chosen = self._by_path[layer]
        chunk = ablation.chunk_of(chosen, self.layers)

        def program() -> ablation.Ablation:
            return ablation.Ablation(self._forward, self._head, chosen, score, chunk)

        _, function = self._function(("ablation", layer, score, chunk), program, arrays)
        activations, scores = function(np.asarray([index], np.int32), *arrays)
        channels = activations.shape[-1]
        return activations, np.ravel(scores)[channels] - np.ravel(scores)[:channels]

    def check_dependence(self, layer: str) -> None:
        """See `ChecksDependence`; looked at once."""
        if layer not in self._depends:
            self.abstract(self._program(Pass(gradients=(layer,))), [((1,), "int32"), *self.specs()])
            self._depends.add(layer)

    def reinitialized(self, layer: str | None, seed: int, *, negated: bool) -> KerasModel:
        """See `Reinitializes`; the weights are arguments of what is computed, so the model is not touched."""
        other = copy.copy(self)
        other.use(fresh_weights(self.model, self.layers, layer, seed, negated=negated))
        return other

    def use(self, fresh: FreshWeights) -> None:
        """Computes with these weights from now on."""
        self._fresh = fresh
        self._climbers = Climbers()
        # What the head is was found with the trained weights; with random ones logits may look like probabilities.
        self._is_linear = True

    def kernels(self, layers: Sequence[str] | None) -> dict[str, Kernels]:
        """See `HasKernels`."""
        if layers is None:
            chosen = kernels.compared(self.layers)
        else:
            named = [self._by_path[path] for path in layers]
            chosen = list({id(one.operation): one for one in named}.values())
        return {layer.path: kernels.kernels(layer) for layer in chosen}

    def climber(self, ascent: Ascent) -> Climber:
        """See `Climbs`."""
        return self._climbers.of(self, ascent)

    def filter_count(self, layer: str) -> int:
        """See `Climbs`."""
        found = self.layer(layer)
        return int(found.output_shape[1 if found.is_spatial and is_channels_first() else -1] or 0)

    def filter_outputs(self, images: Array, layer: str, index: int) -> Array:
        """See `Climbs`; images of any size."""
        found = self.layer(layer)

        def program(tensors: Tensor, channel: Tensor) -> Tensor:
            return keras.ops.take(keras.ops.cast(self.output_of(found, tensors), "float32"), channel, axis=-1)

        arrays = (images, np.asarray(index, np.int32))
        _, function = self._function(("filter", layer), lambda: program, arrays)
        return np.asarray(function(*arrays))

    # What computes

    def _program(self, wanted: Pass) -> Program:
        return Program(wanted, self._forward, self._head, self.backend, self._by_path, self._default)

    @cached_property
    def _by_path(self) -> dict[str, TracedLayer]:
        return {layer.path: layer for layer in self.layers}

    @property
    def _default(self) -> TracedLayer | None:
        structure = self.structure
        return None if structure.default is None else structure.layers[structure.default]

    @property
    def _head(self) -> Head:
        return Head(self.activation or conventional(self.outputs), self.structure.squashing)

    def _function(
        self, what: Any, make: Callable[[], Callable[..., Any]], arrays: Arrays
    ) -> tuple[Any, Callable[..., Any]]:
        """What `make` makes, and it compiled for these shapes: made once, kept."""
        shapes = tuple((array.shape, array.dtype.str) for array in arrays)
        fresh = self._fresh
        key = (what, shapes, None if fresh is None else fresh.first)
        if key not in self._compiled:
            program = make()  # a wrong head is found before anything is compiled for it
            run = program if fresh is None else partial(self._with_fresh_weights, fresh, program)
            self._compiled[key] = program, one_at_a_time(self.backend.compiled(run, self.model))
            while len(self._compiled) > _MOST_COMPILED:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        program, function = self._compiled[key]
        return program, function if fresh is None else partial(function, *fresh.values)

    def _with_fresh_weights(self, fresh: FreshWeights, program: Callable[..., Any], *tensors: Tensor) -> Any:
        """The program, whose first tensors are the fresh weights: other ones need no other compilation."""
        count = len(fresh.variables)
        with fresh.used(self.model, tensors[:count]):
            return program(*tensors[count:])

    def _check_logits(self, logits: Array, arrays: Arrays) -> None:
        """`ModelError` where they are probabilities: in 0 to 1 whatever the input."""
        if self._is_linear or self.structure.activation is not None:
            return
        raw = logits[:, -self.outputs :]
        if not _are_probabilities(raw):
            return
        picture, *rest = arrays
        changed = ((scale * (picture + 1), *rest) for scale in (0.5, 1e4, -1e4))
        others = [np.asarray(self._answer(Pass(), one).logits)[:, -self.outputs :] for one in changed]
        constant = all(np.array_equal(raw, other) for other in others)
        normalized = _are_normalized(raw, others[0])
        self._is_linear = constant or not (normalized or all(map(_are_probabilities, others)))
        if not self._is_linear:
            raise ModelError(
                f"The outputs of the model {self.name!r} look like probabilities, but no softmax or sigmoid of "
                "Keras makes them, so the logits can't be reached: end the model in one of these (an activation, a "
                "layer or keras.ops.softmax), or in the logits"
            )

    def check_float_picture(self) -> None:
        """`ModelError` where the image is an input of integers, which has no gradient."""
        dtype = self.inputs.explained.dtype or "float32"
        if not keras.backend.is_float_dtype(dtype):
            raise ModelError(
                f"The model {self.name!r} takes its picture as {dtype}, and there is no gradient with respect to "
                "whole numbers: choose a method that explains a layer, or occlusion or rise, or give the model an "
                "input of floats"
            )

    # For programs of others

    def specs(self) -> list[Spec]:
        """Shapes and dtypes of the inputs to record the model with, the explained image's first."""
        return specs(self.inputs, self._probe_size)

    def layer(self, name: str) -> TracedLayer:
        """The layer with this path or unambiguous bare name."""
        return find_layer(self.layers, name)

    one_at_a_time = staticmethod(one_at_a_time)

    def own_weights(self) -> AbstractContextManager[None]:
        """While the model is called, the weights that it computes with, fresh ones as constants."""
        fresh = self._fresh
        if fresh is None:
            return nullcontext()
        return fresh.used(self.model, [keras.ops.convert_to_tensor(value) for value in fresh.values])

    def abstract(self, run: Callable[..., Any], specs: Sequence[Spec]) -> None:
        """See `Backend.abstract`."""
        one_at_a_time(self.backend.abstract)(run, self.model, specs)

    def output_of(self, layer: TracedLayer, pictures: Tensor) -> Tensor:
        """The layer's output for images of any size, channels last; nothing after it is computed."""
        return channels_last(self._left_early(pictures, partial(tracing.outputs_until, (layer,)))[0])

    def input_of(self, layer: TracedLayer, pictures: Tensor) -> Tensor:
        """What the layer takes for images of any size, as it takes it."""
        return self._left_early(pictures, partial(tracing.input_until, layer))

    def _left_early(self, pictures: Tensor, watch: Callable[[Callable[[], Any]], Any]) -> Any:
        """The model called by `watch`; other inputs are zeros, of no matter to layers before they come in."""
        rows = keras.ops.shape(pictures)[0]
        others = [keras.ops.zeros((rows, *shape[1:]), dtype) for shape, dtype in self.specs()[1:]]
        with tracing.any_input_size(self.model):
            return watch(lambda: self._forward((pictures, *others)))


def _check_rows(counts: Mapping[str, int], images: int) -> None:
    """`ValueError` for a layer that makes several rows of an image, such as windows: none of them is the image's."""
    for path, count in counts.items():
        if count != images:
            raise ValueError(
                f"The layer {path!r} gives {count} rows for a batch of {images}, as one that cuts pictures "
                "into windows: choose a layer before or after, where each picture has a row"
            )


def _are_probabilities(values: Array) -> bool:
    return bool((values >= 0).all() and (values <= 1).all())


def _are_normalized(*values: Array) -> bool:
    return all(np.allclose(rows.sum(axis=1), 1, rtol=0, atol=SAME) for rows in values)
