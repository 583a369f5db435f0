"""Activation statistics against a forward pass, and their memory."""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from models import compiled_forward, random_model
from timing import Row, interleaved, ratio

from pytest_cnnaudit import Engine, Preprocessing

BATCH = 8
AS_IT_IS = Preprocessing(scale=lambda pixels: pixels)
"""Nothing is scaled, and that is meant: the weights are random."""


def measure_statistics(options: argparse.Namespace) -> list[Row]:
    """MobileNetV2: statistics of all ReLU outputs against a forward pass over the same pictures."""
    model = random_model("MobileNetV2")
    engine, forward = Engine(model, preprocessing=AS_IT_IS, batch_size=BATCH), compiled_forward(model)
    layers = relu_layers(engine)

    def passes() -> None:
        pictures = stream(options.pictures)
        while batch := [np.asarray(picture, np.float32) for _, picture in zip(range(BATCH), pictures, strict=False)]:
            forward(np.stack(batch))

    seconds = interleaved(
        {"ours": lambda: engine.activation_stats(stream(options.pictures), layers), "forward": passes},
        options.statistics_rounds,
        options.clock,
    )
    name = f"statistics of {len(layers)} layers / forward pass, {options.pictures} pictures"
    return [ratio(name, seconds["ours"], seconds["forward"], "at most", 1.5)]


def measure_peak(options: argparse.Namespace) -> list[Row]:
    """Peak memory of this process after statistics over `--count` pictures, in MiB."""
    engine = Engine(random_model("MobileNetV2"), preprocessing=AS_IT_IS, batch_size=BATCH)
    engine.activation_stats(stream(options.count), relu_layers(engine))
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return [{"mebibytes": kibibytes / (1024 if sys.platform != "darwin" else 1024**2)}]


def relu_layers(engine: Any) -> list[str]:
    """Paths of all outputs of a ReLU."""
    return [layer.path for layer in engine.layers if layer.is_relu_like]


def stream(count: int) -> Iterator[Any]:
    """Pictures made one at a time, so that their number costs no memory."""
    generator = np.random.default_rng(0)
    for _ in range(count):
        yield generator.integers(0, 256, (224, 224, 3), np.uint8)
