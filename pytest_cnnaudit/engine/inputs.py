"""What a model takes: its picture, and its other inputs with what they get.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.cases import Case, Sample

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
    """The inputs of a model in a fixed order, and the `picture` that is explained."""

    all: tuple[ModelInput, ...]
    picture: int = 0

    @property
    def explained(self) -> ModelInput:
        """The picture input that is explained."""
        return self.all[self.picture]

    @property
    def others(self) -> tuple[ModelInput, ...]:
        """All but the one that is explained."""
        return self.all[: self.picture] + self.all[self.picture + 1 :]

    def find(self, name: str) -> ModelInput:
        """The input with this name; `ValueError` with the known ones otherwise."""
        for one in self.all:
            if one.name == name:
                return one
        raise ValueError(f"The model has no input {name!r}; its inputs are {', '.join(repr(i.name) for i in self.all)}")


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
