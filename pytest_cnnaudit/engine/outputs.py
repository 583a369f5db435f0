"""What a model's logits mean: probabilities, scores and predicted classes.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from pytest_cnnaudit.engine.errors import NonFiniteError

Activation: TypeAlias = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class Predictions:
    """`logits` and `probabilities`, each `(N, classes)` float32. A binary model with one output z has two
    classes with the logits (−z, z) and the probabilities (1 − σ(z), σ(z))."""

    logits: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    class_names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def classes(self) -> npt.NDArray[np.intp]:
        """The predicted class of each picture, `(N,)`."""
        return np.asarray(np.argmax(self.logits, axis=1), np.intp)

    def name(self, index: int) -> str:
        """A class's name, or its index as text where the engine has no class names."""
        return self.class_names[index] if self.class_names else str(index)

    def top(self, k: int = 5) -> list[list[tuple[str, float]]]:
        """For each picture the `k` most probable classes, `(name, probability)`, best first."""
        if k < 1:
            raise ValueError(f"k is {k}; it must be at least 1")
        order = np.argsort(-self.logits, axis=1, kind="stable")[:, :k]
        return [
            [(self.name(int(i)), float(p[i])) for i in row] for row, p in zip(order, self.probabilities, strict=True)
        ]


def predictions(
    logits: npt.NDArray[np.float32], activation: Activation, class_names: tuple[str, ...] | None
) -> Predictions:
    """From the logits of every class."""
    return Predictions(logits, class_scores(logits, activation, "probability"), class_names)


def class_scores(logits: npt.NDArray[np.float32], activation: Activation, score: str) -> npt.NDArray[np.float32]:
    """Score of each class, `(N, classes)`, from their logits; of two classes with (−z, z), σ of each."""
    if score == "logit":
        return logits
    if activation == "sigmoid":
        return np.asarray(expit(logits), np.float32)
    return np.asarray(softmax(logits.astype(np.float64), axis=1), np.float32)


def conventional(outputs: int) -> Activation:
    """How that many logits become probabilities where nobody says it."""
    return "sigmoid" if outputs == 1 else "softmax"


def check_finite(array: npt.NDArray[Any], what: str, name: Callable[[int], str]) -> npt.NDArray[Any]:
    """The array `(N, …)`; `NonFiniteError` that names the first image with NaN or infinity."""
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if bad.any():
        raise NonFiniteError(
            f"The {what} of {name(int(np.argmax(bad)))} hold NaN or infinity: look for them in "
            "the weights or in a method of your own, or for an overflow in half precision"
        )
    return array
