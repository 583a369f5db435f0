"""Grad-CAM, and several layers and methods of one pass, against a forward pass; small calls; growth."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from models import compiled_forward, noise, random_model, small_model
from timing import Row, difference, interleaved, ratio

from pytest_cnnaudit import Engine
from pytest_cnnaudit.engine.models.keras.forward import Forward

BATCH = 8
METHODS = ["grad-cam", "grad-cam++", "layer-cam", "hires-cam"]
SMALL_ROUNDS = 40
WARM_UP, CALLS = 200, 2000


def measure_heatmaps(options: argparse.Namespace) -> list[Row]:
    """Xception, 8 pictures: one Grad-CAM, and twelve maps a picture, against a forward pass."""
    model = random_model("Xception")
    batch = noise(BATCH, 299, 299)
    engine, forward = Engine(model, batch_size=BATCH), compiled_forward(model)
    # 19 × 19 × 728, 10 × 10 × 1024 and 10 × 10 × 2048: what the last three stages end in.
    additions = [layer.path for layer in engine.layers if layer.type == "Add"]
    stages = [*additions[-2:], engine.default_layer]
    rivals: dict[str, Callable[[], Any]] = {
        "one": lambda: engine.heatmaps(batch),
        "forward": lambda: forward(batch),
        "several": lambda: engine.heatmaps(batch, layer=stages, method=METHODS),
    }
    seconds = interleaved(rivals, options.rounds, options.clock)
    several = f"{len(stages)} layers × {len(METHODS)} methods / forward pass"
    return [
        ratio("Grad-CAM / forward pass", seconds["one"], seconds["forward"], "at most", 1.10),
        ratio(several, seconds["several"], seconds["forward"], "at most", 1.3),
    ]


def measure_small(options: argparse.Namespace) -> list[Row]:
    """The fixtures' model, one picture: what a warm call costs above the forward pass, in milliseconds."""
    model = small_model()
    engine, forward = Engine(model), compiled_forward(model)
    picture = noise(1, *model.input_shape[1:3])
    repeat = range(10)
    rivals: dict[str, Callable[[], Any]] = {
        "ours": lambda: [engine.heatmaps(picture) for _ in repeat],
        "forward": lambda: [forward(picture) for _ in repeat],
    }
    seconds = interleaved(rivals, SMALL_ROUNDS, options.clock)
    ours, forward_only = (1000 * seconds[name] / len(repeat) for name in ("ours", "forward"))
    name = "one picture, small model: Grad-CAM − forward pass (ms)"
    return [difference(name, ours, forward_only, "at most", 2.0)]


def measure_growth(options: argparse.Namespace) -> list[Row]:  # noqa: ARG001 - as the others
    """2,000 calls after 200: resident memory, compiled functions, and how often the model was traced again."""
    engine = Engine(small_model())
    picture = noise(1, *engine.model.input_shape[1:3])
    traced = 0
    forward = Forward.__call__

    def counted(self: Forward, tensors: Any) -> Any:
        nonlocal traced
        traced += 1
        return forward(self, tensors)

    Forward.__call__ = counted  # type: ignore[method-assign]

    def state(calls: int) -> tuple[float, int, int]:
        for _ in range(calls):
            engine.heatmaps(picture)
        return resident_mebibytes(), len(engine._model._compiled), traced

    before, after = state(WARM_UP), state(CALLS)
    rows = [
        ratio(f"resident memory (MiB), {CALLS} calls more", after[0], before[0], "at most", 1.05),
        difference(f"functions compiled in {CALLS} calls more", after[1], before[1], "at most", 0),
    ]
    if keras.backend.backend() != "torch":  # PyTorch is eager: the model is called in every call
        rows.append(difference(f"traced anew in {CALLS} calls more", after[2], before[2], "at most", 0))
    return rows


def resident_mebibytes() -> float:
    """Resident memory of this process (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
