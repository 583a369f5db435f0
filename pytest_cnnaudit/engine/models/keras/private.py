"""Every private name of Keras and of its backends that is used here, and nowhere else.

Each was seen in Keras 3.14.1 and 3.15.1, that of TensorFlow in 2.21.0. Where a later version has one no
longer, this is the file to change.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.backend import nn
from keras.src.saving.serialization_lib import SafeModeScope

__all__ = [
    "INPUT_CHECK",
    "SafeModeScope",
    "all_layers",
    "direct_layers",
    "frozen_graph",
    "operation_of",
    "own_trainable_variables",
    "replaced_functions",
    "spatial_inputs_as_views",
    "tensor_of_variable",
]

INPUT_CHECK = "_assert_input_compatibility"
"""The method of a model or layer that refuses inputs of other shapes than it was built with."""


def direct_layers(layer: keras.Layer) -> list[keras.Layer]:
    """The layers that are attributes of this one, tracked by Keras, without those inside them."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def all_layers(layer: keras.Layer) -> list[keras.Layer]:
    """This layer and all inside, at any depth."""
    return list(layer._flatten_layers())


def own_trainable_variables(operation: keras.Operation) -> list[keras.Variable]:
    """What training changes in a layer itself, frozen or not, without the layers inside."""
    return list(getattr(operation, "_trainable_variables", ()))


def operation_of(tensor: keras.KerasTensor) -> keras.Operation:
    """What made a symbolic tensor: of a model's input, the input layer."""
    return tensor._keras_history.operation


@contextmanager
def replaced_functions(wrap: Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]]) -> Iterator[None]:
    """Functions of the backend's `nn`, by name, are replaced by what `wrap` makes of them.

    All ways to write a softmax or a sigmoid in Keras end there.
    """
    originals = {name: getattr(nn, name) for name in wrap}
    try:
        for name, original in originals.items():
            setattr(nn, name, wrap[name](original))
        yield
    finally:
        for name, original in originals.items():
            setattr(nn, name, original)


# TensorFlow


def tensor_of_variable(variable: keras.Variable) -> Any:
    """TensorFlow's own variable behind one of Keras, without the reading through Keras' scopes."""
    return variable._value


def frozen_graph(concrete: Any) -> Any:
    """A concrete function of TensorFlow with the variables' values as constants."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(concrete)


# PyTorch


@contextmanager
def spatial_inputs_as_views(view: Callable[[Any], Any]) -> Iterator[None]:
    """Convolutions and poolings of Keras on PyTorch get `view(tensor)` where they would copy it to channels first."""
    original = getattr(nn, "_transpose_spatial_inputs", None)
    if original is None:
        yield
        return
    nn._transpose_spatial_inputs = view
    try:
        yield
    finally:
        nn._transpose_spatial_inputs = original
