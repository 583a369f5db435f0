"""From a model's output tensor to its logits and to the scores of its classes.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import keras

from pytest_cnnaudit.engine.models.keras.backends.interface import Tensor
from pytest_cnnaudit.engine.models.keras.private import replaced_functions
from pytest_cnnaudit.engine.outputs import Activation

Squashing: TypeAlias = tuple[Activation, Tensor, Tensor]
"""Which one, its input and its output."""
_SQUASHING: dict[str, Activation] = {"softmax": "softmax", "log_softmax": "softmax", "sigmoid": "sigmoid"}


@contextmanager
def squashings() -> Iterator[list[Squashing]]:
    """Collects `(activation, input, output)` of every softmax and sigmoid that the model computes.

    All ways to write one in Keras (an activation argument, a layer, an operation, `keras.ops` in a
    subclassed model's `call`) end in the same two backend functions, so the logit is found wherever it is.
    """
    found: list[Squashing] = []

    def noting(kind: Activation, original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def squash(x: Tensor, *args: object, **kwargs: object) -> Tensor:
            y = original(x, *args, **kwargs)
            found.append((kind, x, y))
            return y

        return squash

    with replaced_functions({name: partial(noting, kind) for name, kind in _SQUASHING.items()}):
        yield found


def find_squashing(output: Tensor, found: Sequence[Squashing]) -> tuple[int | None, bool]:
    """Position, from the end, of the softmax or sigmoid that made `output`, and whether that is certain.

    It is counted from the end, since what comes before an explained layer may be left out. It is where the
    tensors are the same one. Where something came between, such as a reshape or a cast, the last one with as
    many values is a candidate, to be held against the output's values.
    """
    outputs = [after for _, _, after in reversed(found)]
    for position, after in enumerate(outputs, 1):
        if after is output:
            return -position, True
    size = _size(output)
    return next((-position for position, after in enumerate(outputs, 1) if _size(after) == size), None), False


def _size(tensor: Tensor) -> int:
    return math.prod(int(side) for side in tensor.shape)


def deviation(output: Tensor, squashing: Squashing) -> Tensor:
    """Largest difference between the output and what the softmax or sigmoid gave."""
    after = keras.ops.reshape(keras.ops.cast(squashing[2], "float32"), output.shape)
    return keras.ops.max(keras.ops.abs(after - keras.ops.cast(output, "float32")))


def class_scores(logits: Tensor, activation: Activation, score: str) -> Tensor:
    """Score of each class, `(N, classes)`, in float32; a single output z becomes the logits (−z, z)."""
    ops = keras.ops
    logits = ops.cast(logits, "float32")
    if score == "logit":
        return two_classes(logits)
    if activation == "softmax":
        return ops.softmax(logits)
    if logits.shape[-1] == 1:
        return ops.sigmoid(two_classes(logits))
    return ops.sigmoid(logits)


def two_classes(logits: Tensor) -> Tensor:
    """(−z, z) for a single output z, anything else as it is."""
    return keras.ops.concatenate([-logits, logits], axis=-1) if logits.shape[-1] == 1 else logits


@dataclass(frozen=True)
class Head:
    """How the scores of a model's classes come out of it.

    `squashing` is which of the softmaxes and sigmoids that the model computes makes its output, counted from the
    end; None for linear outputs.
    """

    activation: Activation
    squashing: int | None

    def raw_logits(self, output: Tensor, found: Sequence[Squashing]) -> Tensor:
        """`(N, outputs)`, before a single output counts as two."""
        logits = output if self.squashing is None else found[self.squashing][1]
        return keras.ops.reshape(logits, (logits.shape[0], -1))

    def scores(self, output: Tensor, found: Sequence[Squashing], score: str) -> tuple[Tensor, Tensor]:
        """The logits and the chosen score of every class, `(N, classes)` each."""
        scores = partial(class_scores, self.raw_logits(output, found), self.activation)
        logits = scores("logit")
        return logits, logits if score == "logit" else scores(score)
