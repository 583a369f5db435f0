"""A suite of eight assertions over the same pictures against one forward pass over them, loading included."""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from models import SMALL_MODEL, compiled_forward, small_model
from PIL import Image, ImageEnhance
from timing import Row, interleaved, ratio

from pytest_cnnaudit import Case, Engine, load_cases
from pytest_cnnaudit.audit import Audit
from pytest_cnnaudit.record import Recorder
from pytest_cnnaudit.results import Results

FIXTURES = SMALL_MODEL.parent
TEST = "benchmarks/measure_suite.py::suite"
MOSTLY = 0.8
"""The assertions pass, as in a suite that a model is released by: no page is made."""


def measure_suite(options: argparse.Namespace) -> list[Row]:
    """The fixtures' honest model: accuracy alone, and eight assertions, of a new session each."""
    with tempfile.TemporaryDirectory() as folder:
        cases = varied_cases(options.suite_pictures, Path(folder))
        engine = Engine(small_model(), class_names=FIXTURES / "class_names.txt")
        forward = compiled_forward(engine.model)
        rivals: dict[str, Callable[[], Any]] = {
            "forward": lambda: [forward(batch.inputs) for batch in engine._batches(cases)],
            "accuracy": lambda: new_session(engine, Path(folder)).assert_predicts(cases, mostly=MOSTLY),
            "suite": lambda: suite(new_session(engine, Path(folder)), cases),
        }
        seconds = interleaved(rivals, options.suite_rounds, options.clock)
    against = f"forward pass + loading, {options.suite_pictures} pictures"
    return [
        ratio(f"accuracy / {against}", seconds["accuracy"], seconds["forward"], "at most", 1.2),
        ratio(f"8 assertions / {against}", seconds["suite"], seconds["forward"], "at most", 2.0),
    ]


def new_session(engine: Engine, folder: Path) -> Audit:
    """An audit with nothing computed yet; the model is loaded and compiled as that of the forward pass is."""
    recorder, results = Recorder(folder / "report", "run"), Results(engine)
    recorder.start(TEST)
    return Audit(TEST, recorder, lambda: results)


def suite(audit: Audit, cases: list[Case]) -> None:
    """Accuracy, three assertions on where it looks, avoidance, sparsity, dead filters, finite."""
    audit.assert_predicts(cases, mostly=MOSTLY)
    audit.assert_mass_inside(cases, mostly=MOSTLY)
    if hasattr(audit, "assert_points_at"):
        audit.assert_points_at(cases, mostly=MOSTLY)
        audit.assert_iou(cases, at_least=0.1, mostly=MOSTLY)
    else:
        audit.assert_mass_inside(cases, at_least=0.4, mostly=MOSTLY)
        audit.assert_mass_inside(cases, at_least=0.3, mostly=MOSTLY)
    audit.assert_avoids(cases, at_most=0.15, mostly=MOSTLY)
    audit.assert_sparsity_rises(cases)
    audit.assert_no_dead_filters(cases)
    if hasattr(audit, "assert_finite"):
        audit.assert_finite(cases)


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
