"""What a model takes: its picture, and its other inputs with what they get.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.cases import Case, Sample
from pytest_cnnaudit.engine.errors import ModelError
from pytest_cnnaudit.engine.models.keras.backends import Tensor
from pytest_cnnaudit.engine.models.keras.private import operation_of
from pytest_cnnaudit.engine.models.keras.tracing import operations_of

Array: TypeAlias = npt.NDArray[Any]
OtherInput: TypeAlias = npt.ArrayLike | Callable[[Case], npt.ArrayLike]


@dataclass(frozen=True)
class ModelInput:
    """One input: `shape` without the batch axis, a picture's always (H, W, C); `dtype` None where it is not known."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str | None

    @property
    def is_picture(self) -> bool:
        """Whether it has the axes of a picture."""
        return len(self.shape) == 3


@dataclass(frozen=True)
class Inputs:
    """The inputs of a model in a fixed order, the `picture` that is explained, and how the model is called."""

    all: tuple[ModelInput, ...]
    picture: int
    _call: Callable[[Sequence[Tensor]], tuple[tuple[Any, ...], dict[str, Any]]]

    @property
    def explained(self) -> ModelInput:
        """The picture input that is explained."""
        return self.all[self.picture]

    @property
    def others(self) -> tuple[ModelInput, ...]:
        """All but the one that is explained."""
        return self.all[: self.picture] + self.all[self.picture + 1 :]

    def arguments(self, picture: Tensor, others: Sequence[Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What the model is called with: positional and keyword arguments."""
        tensors = [*others[: self.picture], picture, *others[self.picture :]]
        if keras.config.image_data_format() == "channels_first":
            pairs = zip(self.all, tensors, strict=True)
            tensors = [keras.ops.transpose(x, (0, 3, 1, 2)) if one.is_picture else x for one, x in pairs]
        return self._call(tensors)

    def find(self, name: str) -> ModelInput:
        """The input with this name; `ValueError` with the known ones otherwise."""
        for one in self.all:
            if one.name == name:
                return one
        raise ValueError(f"The model has no input {name!r}; its inputs are {', '.join(repr(i.name) for i in self.all)}")


def model_inputs(model: keras.Model, picture: str | None = None) -> Inputs:
    """The inputs of a built model; `picture` names the one that is explained where several are pictures.

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
        return Inputs(found, [one.name for one in found].index(picture), call)
    if len(pictures) > 1:
        raise ModelError(
            f"The model {model.name!r} takes several pictures: {described}; name the one to explain with picture="
        )
    return Inputs(found, pictures[0], call)


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
    first = keras.config.image_data_format() == "channels_first" and len(shape) == 3
    return (shape[1], shape[2], shape[0]) if first else shape


class Others:
    """What the inputs beside the explained picture get, picture by picture.

    `given` are the arrays of this call by name, `(N, …)` each; `always` what was given once for all calls: an
    array without the batch axis, or a function of the `Case`.
    """

    def __init__(
        self, inputs: Inputs, always: Mapping[str, OtherInput], given: Mapping[str, Array] | None = None
    ) -> None:
        self._inputs = inputs
        self._always = always
        self._given = {} if given is None else given
        missing = [one for one in inputs.others if one.name not in always and one.name not in self._given]
        if missing:
            raise ValueError(
                f"The model's input {missing[0].name!r} of shape {missing[0].shape} gets nothing: give the engine "
                f"other_inputs={{{missing[0].name!r}: …}}, or hand over a mapping of input names to arrays as images"
            )

    def row(self, index: int, case: Sample | None) -> tuple[Array, ...]:
        """One picture's values of all other inputs, in the model's order."""
        return tuple(self._value(one, index, case) for one in self._inputs.others)

    def check_length(self, count: int) -> None:
        """`ValueError` unless the arrays of this call have as many rows as there are pictures."""
        for name, array in self._given.items():
            if len(array) != count:
                raise ValueError(f"The input {name!r} has {len(array)} rows for {count} pictures")

    def _value(self, one: ModelInput, index: int, case: Sample | None) -> Array:
        if one.name in self._given:
            given = self._given[one.name]
            if index >= len(given):
                raise ValueError(f"The input {one.name!r} has {len(given)} rows, but there are more pictures")
            value: Any = given[index]
        else:
            value = self._always[one.name]
            if callable(value):
                if not isinstance(case, Case):
                    raise ValueError(
                        f"other_inputs[{one.name!r}] is a function of the Case, but image {index} is no Case: hand "
                        f"over Cases, or a mapping with {one.name!r} as images"
                    )
                value = value(case)
        return checked_input(one, value, "of image " + str(index))


def checked_input(one: ModelInput, value: Any, whose: str = "") -> Array:
    """A value without the batch axis, in the input's dtype; `ValueError` where shape or numbers are wrong."""
    array = np.asarray(value)
    what = f"The value {whose} for the input {one.name!r}".replace("  ", " ")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{what} has the dtype {array.dtype}; numbers are expected")
    fits = array.ndim == len(one.shape) and all(
        want is None or want == got for want, got in zip(one.shape, array.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{what} has the shape {array.shape}; the model takes {one.shape} for each picture")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{what} holds NaN or infinity")
    wanted = one.dtype or ("float32" if array.dtype.kind == "f" else str(array.dtype))
    cast = array.astype("float32" if wanted in {"float16", "bfloat16"} else wanted)
    if cast.dtype.kind in "iub" and not np.array_equal(cast, array):
        raise ValueError(f"{what} is {array.tolist()}, which {wanted}, what the model takes, can't hold")
    return cast
