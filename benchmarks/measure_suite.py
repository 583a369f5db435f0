"""A suite of eight assertions over the same pictures against one forward pass over them, loading included."""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from models import SMALL_MODEL, compiled_forward, small_model
from PIL import Image, ImageEnhance
from timing import Row, interleaved, ratio

from pytest_cnnaudit import Case, Engine, load_cases
from pytest_cnnaudit.audit import Audit, needed_by
from pytest_cnnaudit.engine.cache import Cache
from pytest_cnnaudit.record import Recorder

FIXTURES = SMALL_MODEL.parent
TEST = "benchmarks/measure_suite.py::suite"
EDITS = 4
"""A picture with the object hidden, and three controls."""
MOSTLY = 0.8
"""The assertions pass, as in a suite that a model is released by: no page is made."""


def measure_suite(options: argparse.Namespace) -> list[Row]:
    """The fixtures' honest model: accuracy alone, and eight assertions, of a new session each; an intervention."""
    with tempfile.TemporaryDirectory() as folder:
        cases = varied_cases(options.suite_pictures, Path(folder))
        engine = Engine(small_model(), class_names=FIXTURES / "class_names.txt")
        forward = compiled_forward(engine.model)
        rivals: dict[str, Callable[[], Any]] = {
            "forward": lambda: [forward(batch.inputs) for batch in engine._batches(cases)],
            "loading": lambda: list(engine._batches(cases)),
            "accuracy": lambda: run(["assert_predicts"], engine, cases, Path(folder)),
            "suite": lambda: run(list(SUITE), engine, cases, Path(folder)),
            "unforeseen": lambda: run(list(SUITE), engine, cases, Path(folder), foreseen=()),
            "four forward": lambda: [forward(batch.inputs) for batch in engine._batches(cases * EDITS)],
            "hidden": hidden(engine, cases, Path(folder)),
        }
        seconds = interleaved(rivals, options.suite_rounds, options.clock)
    against = "forward pass + loading"
    return [
        ratio(f"{len(SUITE)} assertions / {against}", seconds["suite"], seconds["forward"], "at most", 2.0),
        ratio(f"the same, not foreseen / {against}", seconds["unforeseen"], seconds["forward"], "at most", 3.0),
        ratio(f"accuracy alone / {against}", seconds["accuracy"], seconds["forward"], "at most", 1.3),
        ratio(f"loading / {against}", seconds["loading"], seconds["forward"], "at most", 1.0),
        ratio(f"objects hidden / {EDITS} × {against}", seconds["hidden"], seconds["four forward"], "at most", 1.5),
    ]


def hidden(engine: Engine, cases: list[Case], folder: Path) -> Callable[[], Any]:
    """`assert_object_matters` in a session that has predicted the pictures: only the edited ones are left."""
    recorder, results = Recorder(folder / "report", "edits"), Cache(engine)
    recorder.start(TEST)
    audit = Audit(TEST, recorder, lambda: results)
    results.predictions(cases)
    return lambda: audit.assert_object_matters(cases, fill="mean", drop_at_least=0, mostly=0.01)


def run(
    names: Sequence[str], engine: Engine, cases: list[Case], folder: Path, foreseen: Sequence[str] | None = None
) -> None:
    """The assertions in a session with nothing computed yet, on a model loaded and compiled as the forward pass is.

    What is foreseen is by default what is asserted, as the plugin finds it in the collected tests.
    """
    recorder = Recorder(folder / "report", "run")
    results = Cache(engine, foreseen=needed_by(names if foreseen is None else foreseen))
    recorder.start(TEST)
    audit = Audit(TEST, recorder, lambda: results)
    for name in names:
        getattr(audit, name)(cases, **SUITE[name])


SUITE: dict[str, dict[str, Any]] = {
    "assert_predicts": {"mostly": MOSTLY},
    "assert_mass_inside": {"mostly": MOSTLY},
    "assert_points_at": {"mostly": MOSTLY},
    "assert_iou": {"at_least": 0.1, "mostly": MOSTLY},
    "assert_avoids": {"at_most": 0.15, "mostly": MOSTLY},
    "assert_sparsity_rises": {},
    "assert_no_dead_filters": {},
    "assert_finite": {},
}


def varied_cases(count: int, folder: Path) -> list[Case]:
    """As many different pictures: the fixtures' own, then those darker and lighter, written as JPEG files."""
    known = load_cases(FIXTURES / "validation.json")
    cases = []
    for index, case in zip(range(count), itertools.cycle(known), strict=False):
        path = folder / f"{index}.jpg"
        brightness = 1 + 0.05 * (index // len(known))
        ImageEnhance.Brightness(Image.open(case.image)).enhance(brightness).save(path, quality=90)
        cases.append(replace(case, image=path, id=f"{index}"))
    return cases
