"""A model called on tensors, for inference.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from pytest_cnnaudit.engine.errors import ModelError
from pytest_cnnaudit.engine.inputs import Inputs
from pytest_cnnaudit.engine.models.keras.backends.interface import Tensor
from pytest_cnnaudit.engine.models.keras.data_format import is_channels_first
from pytest_cnnaudit.engine.models.keras.heads import Squashing, squashings
from pytest_cnnaudit.engine.models.keras.inputs import Arguments


@dataclass(frozen=True)
class Forward:
    """Calls the model on the tensors of its inputs, the explained image's first; `output` is one of several."""

    model: keras.Model
    inputs: Inputs
    arguments: Arguments
    output: str | None

    def __call__(self, tensors: Sequence[Tensor]) -> tuple[Tensor, list[Squashing]]:
        """The chosen output, and every softmax and sigmoid on the way."""
        positional, named = self.arguments(self._in_order(tensors))
        with squashings() as found:
            return self._pick(self.model(*positional, **named, training=False)), found

    def _in_order(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The model's own order and data format."""
        first, (image, *others) = self.inputs.picture, tensors
        ordered = [*others[:first], image, *others[first:]]
        if not is_channels_first():
            return ordered
        pairs = zip(self.inputs.all, ordered, strict=True)
        return [keras.ops.transpose(tensor, (0, 3, 1, 2)) if one.is_picture else tensor for one, tensor in pairs]

    def _pick(self, output: Any) -> Any:
        """The chosen one of the model's outputs."""
        if isinstance(output, Mapping):
            names, values = list(output), list(output.values())
        elif isinstance(output, (list, tuple)):
            names, values = list(getattr(self.model, "output_names", [])), list(output)
        else:
            names, values = list(getattr(self.model, "output_names", [])) or [self.model.name], [output]
        if self.output is None and len(values) == 1:
            return values[0]
        if self.output not in names:
            problem = f"has no output {self.output!r}" if self.output else "has several outputs"
            raise ModelError(f"The model {self.model.name!r} {problem}; name one with output=: {', '.join(names)}")
        return values[names.index(self.output)]
