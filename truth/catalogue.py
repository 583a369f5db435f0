"""Judges a model with every assertion there is, through the object that tests get as `cnnaudit`."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from pytest_cnnaudit import Case, Engine
from pytest_cnnaudit.audit import Audit, Settings
from pytest_cnnaudit.engine.cache import Cache
from pytest_cnnaudit.findings import Finding
from pytest_cnnaudit.record import Recorder

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "fixtures"))

from scenes import BACKGROUNDS, CLASSES, PHOTOGRAPHERS, background, draw_stamp  # noqa: E402 - fixtures/

Test: TypeAlias = Callable[[Audit, Sequence[Case]], Finding | None]

PICTURES = 48  # some of the assertions take a hundred predictions for each
MOST, HALF = 0.9, 0.5
PATTERNS_OF = "conv4"  # not its ReLU: where a filter is silent on noise, that leaves the ascent no gradient


def other_classes(cases: Sequence[Case]) -> list[str]:
    """For each case the class after its own."""
    return [CLASSES[(CLASSES.index(str(case.label)) + 1) % len(CLASSES)] for case in cases]


def stamps() -> list[Image.Image]:
    """The photographers' stamps."""
    return [draw_stamp(photographer) for photographer in PHOTOGRAPHERS]


def backgrounds() -> list[Image.Image]:
    """One crop of brick, of grass and of gravel, from the halves that no model was trained on."""
    rng = np.random.default_rng(0)
    return [background(rng, "validation", name) for name in BACKGROUNDS]


# Thresholds are the assertions' own unless they are named: those the honest models of the calibration half did not
# meet. docs/planted-faults.md has the reasons.
CATALOGUE: Mapping[str, Test] = {
    "predicts": lambda audit, cases: audit.assert_predicts(cases, mostly=MOST),
    "mass_inside": lambda audit, cases: audit.assert_mass_inside(cases, mostly=MOST),
    "avoids": lambda audit, cases: audit.assert_avoids(cases, at_most=0.15, mostly=MOST),
    "points_at": lambda audit, cases: audit.assert_points_at(cases, mostly=MOST),
    "iou": lambda audit, cases: audit.assert_iou(cases, at_least=0.3, mostly=MOST),
    "grid_pointing": lambda audit, cases: audit.assert_grid_pointing(cases, excess_at_least=0.1, mostly=HALF),
    "object_matters": lambda audit, cases: audit.assert_object_matters(cases, fill="noise", mostly=HALF),
    "object_suffices": lambda audit, cases: audit.assert_object_suffices(cases, fill="noise", mostly=HALF),
    "ignores_patch": lambda audit, cases: audit.assert_ignores_patch(cases, stamps()[1], mostly=MOST),
    "ignores_background": lambda audit, cases: audit.assert_ignores_background(cases, backgrounds(), mostly=MOST),
    "class_discriminative": lambda audit, cases: audit.assert_class_discriminative(
        cases, other_classes(cases), mostly=MOST
    ),
    "faithful": lambda audit, cases: audit.assert_faithful(cases, mostly=HALF),
    "stable": lambda audit, cases: audit.assert_stable(cases, mostly=MOST),
    "follows": lambda audit, cases: audit.assert_follows(cases, correlation_at_least=0.6, mostly=HALF),
    "responds_to_weights": lambda audit, cases: audit.assert_responds_to_weights(cases, mostly=MOST),
    "sparsity_rises": lambda audit, cases: audit.assert_sparsity_rises(cases),
    "no_dead_filters": lambda audit, cases: audit.assert_no_dead_filters(cases),
    "no_duplicate_filters": lambda audit, _: audit.assert_no_duplicate_filters(),
    "finite": lambda audit, cases: audit.assert_finite(cases),
    "filters_respond": lambda audit, _: audit.assert_filters_respond(PATTERNS_OF),
    "filters_distinct": lambda audit, _: audit.assert_filters_distinct(PATTERNS_OF, similarity_at_most=0.99),
}


def existing(pictures: int = PICTURES) -> dict[str, Test]:
    """Those of the catalogue that `Audit` has, each on the first `pictures` of the cases it is given."""

    def on_few(test: Test) -> Test:
        return lambda audit, cases: test(audit, cases[:pictures])

    return {name: on_few(test) for name, test in CATALOGUE.items() if hasattr(Audit, f"assert_{name}")}


def default_suite() -> dict[str, Test]:
    """The tests of examples/release_gate, by the names of their functions."""
    path = ROOT / "examples" / "release_gate" / "test_release_gate.py"
    spec = importlib.util.spec_from_file_location("release_gate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: test for name, test in vars(module).items() if name.startswith("test_")}


def judge(engine: Engine, cases: Sequence[Case], tests: Mapping[str, Test]) -> dict[str, Finding]:
    """Run each test on the model, as in one session, and keep what it found; an error is a finding too."""
    results = Cache(engine)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Remembering(Path(folder), "truth")
        for name, test in tests.items():
            recorder.start(name)
            try:
                test(Audit(name, recorder, lambda: results, Settings(artifacts="off")), cases)
            except Exception as error:
                if not getattr(error, "recorded_by_cnnaudit", False):
                    raise
        return recorder.findings


class Remembering(Recorder):
    """A recorder that has each test's last finding at hand."""

    def __init__(self, report: Path, run: str) -> None:
        super().__init__(report, run)
        self.findings: dict[str, Finding] = {}

    def add(self, finding: Finding) -> None:
        """Keep it on disk and here."""
        super().add(finding)
        self.findings[finding.test] = finding
