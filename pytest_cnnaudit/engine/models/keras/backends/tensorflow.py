"""TensorFlow: traced once into a graph, differentiated by a tape that starts at the watched tensor.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pytest_cnnaudit.engine.errors import ModelError
from pytest_cnnaudit.engine.models.keras.backends.interface import Array, Loop, Spec, State, Tensor, Watch, widened
from pytest_cnnaudit.engine.models.keras.private import frozen_graph, tensor_of_variable

_CACHE_BYTES = 2**22
_WITH_DATA_FORMAT = {"AvgPool", "Conv2D", "Conv2DBackpropInput", "DepthwiseConv2dNative", "MaxPool"}
"""The operations that TensorFlow computes channels first on the CPU only by oneDNN."""


def compiled(program: Callable[..., Any], model: keras.Model) -> Callable[..., Any]:  # noqa: ARG001 - the graph reads the variables by reference
    """See `Backend.compiled`."""
    concrete: Any = None

    def call(*arrays: Array) -> Any:
        nonlocal concrete
        tensors = [tf.constant(array) for array in arrays]
        concrete = concrete or _traced(program, tensors)
        return _to_numpy(concrete(*tensors))

    return call


def _traced(program: Callable[..., Any], tensors: Sequence[Any]) -> Any:
    """The program as a graph for tensors, or specifications, like these.

    Taken out of the tf.function: it would warn of retracing when many layers are asked for.
    """

    def stateless(*tensors: Tensor) -> Any:
        with keras.StatelessScope():
            return program(*tensors)

    return tf.function(stateless, autograph=False).get_concrete_function(*tensors)


def _to_numpy(tensors: Any) -> Any:
    return keras.tree.map_structure(lambda tensor: widened(np.asarray(tensor.numpy())), tensors)


class _ReadsHere(keras.StatelessScope):  # type: ignore[misc]
    """Reads each variable that is used in the graph in which the scope was opened, however deep inside it is used.

    Freezing does not find what a function inside reads, and Keras' convolutions with groups are such functions.
    """

    def __init__(self) -> None:
        super().__init__()
        self._graph = tf.compat.v1.get_default_graph()

    def get_current_value(self, variable: Any) -> Any:
        if id(variable) not in self.state_mapping:
            with self._graph.as_default():
                self.state_mapping[id(variable)] = tf.convert_to_tensor(tensor_of_variable(variable))
        return self.state_mapping[id(variable)]


def looped(loop: Loop, model: keras.Model) -> Callable[..., Any]:  # noqa: ARG001 - see `compiled`
    """See `Backend.looped`: one graph with a loop in it."""

    def program(count: Tensor, *tensors: Tensor) -> Any:
        with _ReadsHere():
            return run(count, *tensors)

    def run(count: Tensor, *tensors: Tensor) -> Any:
        state, fixed = loop.prepare(*tensors)

        def body(index: Tensor, state: State) -> tuple[Tensor, State]:
            return index + 1, loop.step(index, state, fixed)

        # One at a time: each needs the one before, and what runs ahead only keeps memory.
        _, state = tf.while_loop(lambda index, _: index < count, body, (tf.constant(0), state), parallel_iterations=1)
        return loop.finish(count, state, fixed)

    return _frozen(program)


def _frozen(program: Callable[..., Any]) -> Callable[..., Any]:
    """As `compiled`, for any number of rows, with the variables' values as constants, anew where one has changed.

    TensorFlow then folds normalisations into the convolutions before them: worth it where a call runs the graph
    many times.
    """
    concrete: Any = None
    frozen: Callable[..., Any] | None = None
    values: list[Array] = []

    def call(*arrays: Array) -> Any:
        nonlocal concrete, frozen, values
        concrete = concrete or _traced(program, [_of_any_length(array) for array in arrays])
        current = [variable.numpy() for variable in concrete.variables]
        if frozen is None or not all(map(np.array_equal, current, values)):
            frozen, values = frozen_graph(concrete), current
        outputs = keras.tree.flatten(frozen(*map(tf.constant, arrays)))
        return _to_numpy(keras.tree.pack_sequence_as(concrete.structured_outputs, outputs))

    return call


def _of_any_length(array: Array) -> tf.TensorSpec:
    return tf.TensorSpec((None, *array.shape[1:]) if array.ndim else (), array.dtype)


def abstract(run: Callable[..., Any], model: keras.Model, specs: Sequence[Spec]) -> None:
    """See `Backend.abstract`; `ModelError` for operations that TensorFlow could not compute in this process."""

    def program(*tensors: Tensor) -> None:
        with keras.StatelessScope():
            run(*tensors)

    traced = tf.function(program, autograph=False).get_concrete_function(*(tf.TensorSpec(*spec) for spec in specs))
    _check_channels_first(traced.graph, model)


def _check_channels_first(graph: Any, model: keras.Model) -> None:
    """`ModelError` for the first operation on channels first that has no kernel on the CPU.

    The graph tells, not the layers: Keras transposes for some of them, and custom ones may do anything.
    """
    if tf.config.get_visible_devices("GPU"):
        return
    for operation in graph.get_operations():
        if operation.type not in _WITH_DATA_FORMAT or operation.get_attr("data_format") != b"NCHW":
            continue
        dtype = operation.get_attr("T")
        if _computes_channels_first(dtype):
            continue
        where = f"The model {model.name!r} has {operation.name!r}, a channels-first {operation.type} in {dtype.name}"
        if _computes_channels_first(tf.float32):
            raise ModelError(
                f"{where}, which TensorFlow computes on this processor in float32 but not in {dtype.name}: use "
                "the dtype policy float32, or a channels_last model"
            )
        raise ModelError(
            f"{where}, which TensorFlow computes on the CPU only with oneDNN, and oneDNN is off, as it is by default "
            "on some processors: set the environment variable TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported, "
            "or use a channels_last model"
        )


@cache
def _computes_channels_first(dtype: tf.DType) -> bool:
    """Whether the CPU has channels-first kernels in this process: tried, since it depends on processor and settings."""
    with tf.init_scope(), tf.device("CPU:0"):
        try:
            tf.nn.conv2d(tf.zeros((1, 1, 2, 2), dtype), tf.zeros((1, 1, 1, 1), dtype), 1, "VALID", data_format="NCHW")
        except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError):
            return False
    return True


def gradients(
    run: Callable[[Watch], tuple[Tensor, Any]],
) -> tuple[Any, Sequence[Tensor], Sequence[Tensor | None]]:
    """See `Backend.gradients`."""
    watched: list[Tensor] = []

    def watch(tensor: Tensor) -> Tensor:
        tape.watch(tensor)
        watched.append(tensor)
        return tensor

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        objective, auxiliary = run(watch)
    return auxiliary, watched, tape.gradient(objective, watched)


def reductions(activation: Tensor) -> dict[str, Tensor]:
    """See `Backend.reductions`; picture by picture, so that a pass finds in the cache what the last one read."""
    count = activation.shape[0] if np.prod(activation.shape) * activation.dtype.size > _CACHE_BYTES else 1
    parts = tf.split(activation, count)
    reduced = [_reductions(part) for part in parts]
    joined = {name: tf.concat([one[name] for one in reduced], axis=0) for name in reduced[0]}
    absolute = tf.cond(
        tf.reduce_all(joined["min"] >= 0),
        lambda: joined["sum"],
        lambda: tf.concat([_over_positions(tf.reduce_sum, tf.abs(part)) for part in parts], axis=0),
    )
    return {**joined, "absolute": absolute}


def _reductions(activation: Tensor) -> dict[str, Tensor]:
    """All but `absolute`, one after the other: left to themselves they take turns with those of other pictures."""
    passes: dict[str, Callable[[], Tensor]] = {
        # x/x is 1, and 0 for 0: one kernel where a comparison and its cast to a number are two.
        "zeros": lambda: activation.shape[1] - tf.reduce_sum(tf.math.divide_no_nan(activation, activation), axis=1),
        "sum": lambda: _over_positions(tf.reduce_sum, activation),
        "norm": lambda: _over_positions(tf.math.reduce_euclidean_norm, activation),
        "min": lambda: tf.reduce_min(activation, axis=1),
        "max": lambda: tf.reduce_max(activation, axis=1),
    }
    reduced: dict[str, Tensor] = {}
    for name, compute in passes.items():
        with tf.control_dependencies(list(reduced.values())):
            reduced[name] = compute()
    return reduced


def _over_positions(reduce: Callable[..., Tensor], activation: Tensor) -> Tensor:
    """A sum or norm over axis 1, by rows and then over these: added up one by one, 10⁵ equal numbers lose 4 digits."""
    count, positions, channels = activation.shape
    row = max(length for length in range(1, math.isqrt(positions) + 1) if positions % length == 0)
    rows = tf.reshape(activation, (count, positions // row, row, channels))
    return reduce(reduce(rows, axis=2), axis=1)


def finite(rows: Tensor) -> Tensor:
    """See `Backend.finite`."""
    return tf.reduce_all(tf.math.is_finite(rows), axis=1)


def device() -> str:
    """See `Backend.device`."""
    return ", ".join(device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices())
