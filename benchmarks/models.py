"""The models that are measured, and the backend's own forward pass of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

SMALL_MODEL = Path(__file__).resolve().parents[1] / "fixtures" / "honest.keras"


def random_model(name: str, **options: Any) -> Any:
    """A model of `keras.applications` with random weights."""
    keras.utils.set_random_seed(0)
    return getattr(keras.applications, name)(weights=None, **options)


def small_model() -> Any:
    """The fixtures' classifier: 22 layers, 96 × 96."""
    return keras.models.load_model(SMALL_MODEL)


def noise(count: int, height: int, width: int) -> Any:
    """Model input, `(count, height, width, 3)` between −1 and 1."""
    return np.random.default_rng(0).uniform(-1, 1, (count, height, width, 3)).astype(np.float32)


def compiled_forward(model: Any) -> Callable[[Any], Any]:
    """The backend's own compiled forward pass, NumPy to NumPy."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        graph = tf.function(lambda x: model(x, training=False))
        return lambda batch: graph(tf.constant(batch)).numpy()
    if keras.backend.backend() == "torch":
        import torch

        def eager(batch: Any) -> Any:
            with torch.no_grad():
                return model(torch.from_numpy(batch), training=False).numpy()

        return eager
    import jax

    @jax.jit
    def pure(trainable: Any, non_trainable: Any, x: Any) -> Any:
        return model.stateless_call(trainable, non_trainable, x, training=False)[0]

    def call(batch: Any) -> Any:
        values = [
            [variable.value for variable in group]
            for group in (model.trainable_variables, model.non_trainable_variables)
        ]
        return np.asarray(pure(*values, batch))

    return call
