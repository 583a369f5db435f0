"""Speed and memory as ratios of measurements made side by side in one run: `python benchmarks/run.py`.

Each backend runs in a process of its own. Rivals take turns (A B A B …) and the ratio is that of their medians, so
that what else the machine does falls on both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

BACKENDS = ("tensorflow", "torch", "jax")
PICTURES, FEW_PICTURES, BATCH = 512, 64, 8
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def interleaved(rivals: dict[str, Callable[[], Any]], rounds: int, clock: str) -> dict[str, float]:
    """Median seconds of each rival; one warm-up each, then all take turns."""
    now = CLOCKS[clock]
    for run in rivals.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, run in rivals.items():
            start = now()
            run()
            seconds[name].append(now() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def random_model(name: str) -> Any:
    """A model of `keras.applications` with random weights."""
    import keras

    keras.utils.set_random_seed(0)
    return getattr(keras.applications, name)(weights=None)


def compiled_forward(model: Any) -> Callable[[Any], Any]:
    """The backend's own compiled forward pass, NumPy to NumPy."""
    import keras
    import numpy as np

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


def textbook_loop(model: Any) -> Callable[[Any], Any]:
    """One eager picture at a time through a two-output model, as tutorials do it (TensorFlow)."""
    import keras
    import numpy as np
    import tensorflow as tf

    layer = model.get_layer("block14_sepconv2_act")
    both = keras.Model(model.input, [layer.output, model.output])

    def one(picture: Any) -> Any:
        with tf.GradientTape() as tape:
            activations, predictions = both(picture[None])
            score = predictions[:, int(tf.argmax(predictions[0]))]
        gradients = tape.gradient(score, activations)
        weights = tf.reduce_mean(gradients, axis=(0, 1, 2))
        return tf.nn.relu(tf.reduce_sum(activations[0] * weights, axis=-1)).numpy()

    return lambda batch: np.stack([one(picture) for picture in batch])


def measure_heatmaps(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Xception: the engine's Grad-CAM against a forward pass and against the textbook loop."""
    import keras
    import numpy as np

    from pytest_cnnaudit import Engine

    model = random_model("Xception")
    batch = np.random.default_rng(0).uniform(-1, 1, (BATCH, 299, 299, 3)).astype(np.float32)
    engine, forward = Engine(model, batch_size=BATCH), compiled_forward(model)
    rivals = {"ours": lambda: engine.heatmaps(batch), "forward": lambda: forward(batch)}
    seconds = interleaved(rivals, options.rounds, options.clock)
    rows = [row("Grad-CAM / forward pass", seconds["ours"], seconds["forward"], "at most", 1.15)]
    if keras.backend.backend() == "tensorflow":
        loop = textbook_loop(model)
        rivals = {"loop": lambda: loop(batch), "ours": lambda: engine.heatmaps(batch)}
        seconds = interleaved(rivals, options.loop_rounds, options.clock)
        rows.append(row("textbook loop / Grad-CAM", seconds["loop"], seconds["ours"], "at least", 3.0))
    return rows


def relu_layers(engine: Any) -> list[str]:
    """Paths of all outputs of a ReLU."""
    return [layer.path for layer in engine.layers if layer.is_relu_like]


def stream(count: int) -> Iterator[Any]:
    """Pictures made one at a time, so that their number costs no memory."""
    import numpy as np

    generator = np.random.default_rng(0)
    for _ in range(count):
        yield generator.integers(0, 256, (224, 224, 3), np.uint8)


def measure_statistics(options: argparse.Namespace) -> list[dict[str, Any]]:
    """MobileNetV2: statistics of all ReLU outputs against a forward pass over the same pictures."""
    import numpy as np

    from pytest_cnnaudit import Engine

    model = random_model("MobileNetV2")
    engine, forward = Engine(model, batch_size=BATCH), compiled_forward(model)
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
    return [row(name, seconds["ours"], seconds["forward"], "at most", 1.6)]


def measure_peak(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Peak memory of this process after statistics over `--count` pictures, in MiB."""
    from pytest_cnnaudit import Engine

    engine = Engine(random_model("MobileNetV2"), batch_size=BATCH)
    engine.activation_stats(stream(options.count), relu_layers(engine))
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return [{"mebibytes": kibibytes / (1024 if sys.platform != "darwin" else 1024**2)}]


def measure_patterns(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Xception: filter patterns against bare passes over the truncated network and against the chapter's loop."""
    import keras
    from patterns import LAYER, rivals

    seconds = interleaved(rivals(options.filters, options.steps), options.patterns_rounds, options.clock)
    what = f"{options.filters} patterns of {LAYER}"
    is_graph = keras.backend.backend() == "tensorflow"
    return [
        row(f"{what} / bare passes", seconds["ours"], seconds["passes"], "at most", 1.15),
        row(f"chapter's loop / {what}", seconds["loop"], seconds["ours, new"], "at least", 1.4 if is_graph else 1.0),
    ]


MEASUREMENTS = {
    "heatmaps": measure_heatmaps,
    "statistics": measure_statistics,
    "patterns": measure_patterns,
    "peak": measure_peak,
}


def row(name: str, ours: float, reference: float, direction: str, limit: float) -> dict[str, Any]:
    """One line of the table."""
    return {"name": name, "ours": ours, "reference": reference, "direction": direction, "limit": limit}


def in_a_process(backend: str, measurement: str, arguments: list[str]) -> list[dict[str, Any]]:
    """Runs one measurement with `KERAS_BACKEND` set and reads its rows from the last line it prints."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, "--measure", measurement, *arguments]
    finished = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    rows: list[dict[str, Any]] = json.loads(finished.stdout.splitlines()[-1])
    return rows


def peak_row(backend: str, options: argparse.Namespace, arguments: list[str]) -> dict[str, Any]:
    """Peak memory of many pictures against few, each in a fresh process."""
    many, few = (
        in_a_process(backend, "peak", [*arguments, "--count", str(count)])[0]["mebibytes"]
        for count in (options.pictures, FEW_PICTURES)
    )
    name = f"peak memory (MiB), {options.pictures} / {FEW_PICTURES} pictures"
    return row(name, many, few, "at most", 1.10)


def report(backend: str, rows: list[dict[str, Any]]) -> bool:
    """Prints the rows and says whether all limits hold."""
    held = True
    for one in rows:
        ratio = one["ours"] / one["reference"]
        holds = ratio <= one["limit"] if one["direction"] == "at most" else ratio >= one["limit"]
        held &= holds
        print(
            f"{backend:<11} {one['name']:<58} {one['ours']:>9.3f} {one['reference']:>9.3f} {ratio:>7.2f}  "
            f"{one['direction']} {one['limit']:.2f}  {'ok' if holds else 'MISSED'}",
            flush=True,
        )
    return held


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The options; fewer rounds and pictures make a quick, rougher run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", choices=BACKENDS, action="append", help="only this one; may be repeated")
    parser.add_argument("--only", choices=MEASUREMENTS, action="append", help="only this measurement; may be repeated")
    parser.add_argument("--rounds", type=int, default=9, help="turns of Grad-CAM and the forward pass")
    parser.add_argument("--loop-rounds", type=int, default=3, help="turns of the textbook loop and Grad-CAM")
    parser.add_argument("--statistics-rounds", type=int, default=3, help="turns of statistics and the forward pass")
    parser.add_argument("--patterns-rounds", type=int, default=3, help="turns of patterns, passes and the loop")
    parser.add_argument("--filters", type=int, default=64, help="filters for the patterns")
    parser.add_argument("--steps", type=int, default=30, help="steps of the patterns")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="pictures for the statistics")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu where others keep the machine busy")
    parser.add_argument("--measure", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Exit status 0 where all limits hold, 1 where one is missed."""
    options = parsed(arguments)
    if options.measure:
        print(json.dumps(MEASUREMENTS[options.measure](options)))
        return 0
    held = True
    print(f"{'backend':<11} {'ratio':<58} {'first':>9} {'second':>9} {'ratio':>7}  limit")
    for backend in options.backend or BACKENDS:
        if find_spec(backend) is None:
            print(f"{backend:<11} not installed")
            continue
        for measurement in options.only or MEASUREMENTS:
            rows = (
                [peak_row(backend, options, arguments)]
                if measurement == "peak"
                else in_a_process(backend, measurement, arguments)
            )
            held &= report(backend, rows)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
