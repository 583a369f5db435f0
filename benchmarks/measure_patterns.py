"""Filter patterns against bare passes over the truncated network, and against the chapter's loop."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import keras
from models import random_model
from timing import Row, interleaved, ratio

from pytest_cnnaudit import Engine

LAYER, SIDE = "block3_sepconv1", 200
BATCHES = (1, 2, 4, 8, 16)


def measure_patterns(options: argparse.Namespace) -> list[Row]:
    """Xception: filter patterns against bare passes over the truncated network and against the chapter's loop."""
    seconds = interleaved(rivals(options.filters, options.steps), options.patterns_rounds, options.clock)
    what = f"{options.filters} patterns of {LAYER}"
    loop_limit = 1.4 if keras.backend.backend() == "tensorflow" else 1.0
    return [
        ratio(f"{what} / bare passes", seconds["ours"], seconds["passes"], "at most", 1.15),
        ratio(f"chapter's loop / {what}", seconds["loop"], seconds["ours, new"], "at least", loop_limit),
    ]


def rivals(filters: int, steps: int) -> dict[str, Callable[[], Any]]:
    """`ours`, `passes` at their best batch size, `ours, new` and `loop`: each the work for so many filters and steps.

    The last two start from a model and compile what they need, as somebody who wants the pictures does.
    """
    model = random_model("Xception", include_top=False)
    trunk = keras.Model(model.input, model.get_layer(LAYER).output)
    engine = Engine(model)

    def ours(engine: Engine) -> Any:
        return engine.filter_patterns(LAYER, range(filters), steps=steps, size=(SIDE, SIDE))

    return {
        "ours": lambda: ours(engine),
        "passes": bare_passes(trunk, filters, steps),
        "ours, new": lambda: ours(Engine(model)),
        "loop": chapters_loop(trunk, filters, steps),
    }


def bare_passes(trunk: Any, filters: int, steps: int) -> Callable[[], Any]:
    """Compiled passes forward and backward, gradient of each picture's mean activation; no step is taken."""
    import numpy as np

    gradient = compiled_gradient(trunk)
    generator = np.random.default_rng(0)
    seconds = {}
    for batch in (size for size in BATCHES if size <= filters):
        pictures = generator.uniform(0.4, 0.6, (batch, SIDE, SIDE, 3)).astype(np.float32)
        gradient(pictures)
        seconds[batch] = min(timed(gradient, pictures) for _ in range(3)) / batch
    best = min(seconds, key=lambda size: seconds[size])
    pictures = generator.uniform(0.4, 0.6, (best, SIDE, SIDE, 3)).astype(np.float32)

    def passes() -> None:
        for _ in range(steps * filters // best):
            gradient(pictures)

    return passes


def timed(run: Callable[[Any], Any], pictures: Any) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    run(pictures)
    return time.perf_counter() - start


def compiled_gradient(trunk: Any) -> Callable[[Any], Any]:
    """Mean activation of filter 0 and its gradient with respect to the pictures, as the backend compiles it.

    The value as well: without it the compilers leave out the last layer's forward pass.
    """

    def loss(pictures: Any) -> Any:
        return keras.ops.sum(keras.ops.mean(trunk(pictures, training=False)[:, 2:-2, 2:-2, 0], axis=(1, 2)))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        @tf.function
        def graph(pictures: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(pictures)
                value = loss(pictures)
            return value, tape.gradient(value, pictures)

        return lambda pictures: graph(tf.constant(pictures))[1].numpy()
    if keras.backend.backend() == "torch":
        import torch

        def eager(pictures: Any) -> Any:
            tensor = torch.from_numpy(pictures).requires_grad_()
            return torch.autograd.grad(loss(tensor), tensor)[0].numpy()

        return eager
    import jax

    jitted = jax.jit(jax.value_and_grad(loss))
    return lambda pictures: jitted(pictures)[1].block_until_ready()


def chapters_loop(trunk: Any, filters: int, steps: int) -> Callable[[], Any]:
    """One filter at a time, step by step, as the chapter does it on each backend."""
    import numpy as np

    generator = np.random.default_rng(0)

    def loop() -> None:
        step = chapters_step(trunk)
        for index in range(filters):
            image = keras.ops.convert_to_tensor(generator.uniform(0.4, 0.6, (1, SIDE, SIDE, 3)).astype(np.float32))
            for _ in range(steps):
                image = step(image, index)
            keras.ops.convert_to_numpy(image)

    return loop


def chapters_step(trunk: Any) -> Callable[[Any, int], Any]:
    """`image += 10 · normalised gradient`; the index is a Python int: TensorFlow traces each filter anew."""

    def loss(image: Any, index: Any) -> Any:
        return keras.ops.mean(trunk(image, training=False)[:, 2:-2, 2:-2, index])

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        @tf.function
        def graph(image: Any, index: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(image)
                value = loss(image, index)
            return image + 10.0 * keras.ops.normalize(tape.gradient(value, image))

        return graph
    if keras.backend.backend() == "torch":

        def eager(image: Any, index: int) -> Any:
            image = image.clone().detach().requires_grad_(True)
            trunk.zero_grad()
            loss(image, index).backward()
            return image.detach() + 10.0 * keras.ops.normalize(image.grad)

        return eager
    import jax

    return jax.jit(lambda image, index: image + 10.0 * keras.ops.normalize(jax.grad(loss)(image, index)))
