"""What a built model of Keras takes, and how it is called.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras

from pytest_cnnaudit.engine.errors import ModelError
from pytest_cnnaudit.engine.inputs import Inputs, ModelInput
from pytest_cnnaudit.engine.models.keras.backends.interface import Spec, Tensor
from pytest_cnnaudit.engine.models.keras.data_format import is_channels_first
from pytest_cnnaudit.engine.models.keras.private import operation_of
from pytest_cnnaudit.engine.models.keras.tracing import operations_of

Arguments: TypeAlias = Callable[[Sequence[Tensor]], tuple[tuple[Any, ...], dict[str, Any]]]
"""From the tensors of all inputs in their order to the positional and keyword arguments of the model."""


def model_inputs(model: keras.Model, picture: str | None = None) -> tuple[Inputs, Arguments]:
    """The inputs of a built model, and how it is called.

    `picture` names the one that is explained where several are pictures.
    Raises `ModelError` where no input is a picture, where their shapes are not known, and where several could
    be the one.
    """
    names, shapes, dtypes, call = _functional(model) if _has_symbolic_input(model) else _subclassed(model)
    found = tuple(ModelInput(*one) for one in zip(names, map(_channels_last, shapes), dtypes, strict=True))
    pictures = [index for index, one in enumerate(found) if one.is_picture]
    described = ", ".join(f"{one.name!r} {(None, *shape)}" for one, shape in zip(found, shapes, strict=True))
    if not pictures:
        raise ModelError(f"The model {model.name!r} takes {described}; a picture has four dimensions (N, H, W, C)")
    if picture is not None:
        if picture not in [found[index].name for index in pictures]:
            raise ModelError(f"The model {model.name!r} has no picture input {picture!r}; it takes {described}")
        return Inputs(found, [one.name for one in found].index(picture)), call
    if len(pictures) > 1:
        raise ModelError(
            f"The model {model.name!r} takes several pictures: {described}; name the one to explain with picture="
        )
    return Inputs(found, pictures[0]), call


def check_data_format(model: keras.Model) -> None:
    """`ModelError` for convolutions and poolings of another data format than Keras is set to.

    A model file does not hold the setting, and which axis the channels are in is read by it everywhere.
    """
    setting = keras.config.image_data_format()
    for operation in operations_of(model):
        kinds = {base.__name__ for base in type(operation).__mro__}
        given = getattr(operation, "data_format", None)
        if any("Conv2D" in kind or "Pooling2D" in kind for kind in kinds) and given not in (None, setting):
            raise ModelError(
                f"The layer {operation.name!r} of the model {model.name!r} is {given}, but Keras is set to {setting}: "
                f"call keras.config.set_image_data_format({given!r}) before the engine is made, as in conftest.py"
            )


def _has_symbolic_input(model: keras.Model) -> bool:
    try:
        return bool(keras.tree.flatten(model.input))
    except (AttributeError, ValueError):
        return False


def _functional(model: keras.Model) -> tuple[list[str], list[tuple[int | None, ...]], list[str], Any]:
    symbolic = keras.tree.flatten(model.input)
    single = len(symbolic) == 1

    def call(tensors: Sequence[Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (tensors[0] if single else keras.tree.pack_sequence_as(model.input, list(tensors)),), {}

    # The key of a mapping; else the input layer's name, since an unnamed tensor's changes with every process.
    paths = [path for path, _ in keras.tree.flatten_with_path(model.input)]
    layers = [operation_of(tensor).name for tensor in symbolic]
    names = [path[-1] if path and isinstance(path[-1], str) else name for path, name in zip(paths, layers, strict=True)]
    return names, [tuple(tensor.shape[1:]) for tensor in symbolic], [str(tensor.dtype) for tensor in symbolic], call


def _subclassed(model: keras.Model) -> tuple[list[str], list[tuple[int | None, ...]], list[None], Any]:
    """A subclassed model remembers the shapes it was built with: one, or several as it takes them."""
    required = [
        one.name
        for one in inspect.signature(type(model).call).parameters.values()
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    ]
    config = model.get_build_config() or {}
    shapes, by_argument = config.get("input_shape"), config.get("shapes_dict")
    if by_argument:
        shapes = {name.removesuffix("_shape"): shape for name, shape in by_argument.items()}
    if isinstance(shapes, Mapping):
        names = list(shapes)
        if by_argument:
            call: Any = lambda tensors: ((), dict(zip(names, tensors, strict=True)))  # noqa: E731
        else:
            call = lambda tensors: ((dict(zip(names, tensors, strict=True)),), {})  # noqa: E731
        flat = [shapes[name] for name in names]
    elif isinstance(shapes, (list, tuple)) and shapes and not _is_shape(shapes):
        names, flat = [f"input_{index}" for index in range(len(shapes))], list(shapes)
        call = lambda tensors: ((type(shapes)(tensors),), {})  # noqa: E731
    elif len(required) > 2:
        raise ModelError(
            f"The model {model.name!r} takes several arguments ({', '.join(required[1:])}), of which Keras remembers "
            "only the first one's shape: let its call take one mapping or list of them"
        )
    else:
        names, flat, call = ["input"], [shapes], lambda tensors: ((tensors[0],), {})
    if not all(shape and _is_shape(shape) for shape in flat):
        raise ModelError(f"The input shape of the model {model.name!r} is not known: call model.build((None, H, W, C))")
    return names, [tuple(shape[1:]) for shape in flat], [None] * len(names), call


def _is_shape(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(size is None or isinstance(size, int) for size in value)


def _channels_last(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    first = is_channels_first() and len(shape) == 3
    return (shape[1], shape[2], shape[0]) if first else shape


def specs(inputs: Inputs, size: tuple[int, int]) -> list[Spec]:
    """Shapes and dtypes to record a model with, the explained image's first; a free side gets the `size`'s."""

    def concrete(shape: tuple[int | None, ...]) -> tuple[int, ...]:
        free = (*size, 3) if len(shape) == 3 else (1,) * len(shape)
        return (1, *(side or other for side, other in zip(shape, free, strict=True)))

    return [(concrete(one.shape), one.dtype or "float32") for one in (inputs.explained, *inputs.others)]
