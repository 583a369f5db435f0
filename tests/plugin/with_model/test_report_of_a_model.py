"""What an audited model leaves in the report: the record's shape, the folder's files, which pictures are shown."""

import math
from numbers import Real

import pytest

GATE = """
def test_passes(cnnaudit, cnnaudit_cases):
    cnnaudit.assert_mass_inside(cnnaudit_cases)
    cnnaudit.assert_predicts(cnnaudit_cases, mostly=0.2, confidence=0.95)

def test_fails(cnnaudit):
    cnnaudit.assert_mass_inside(STAMPED)

def test_fails_inside(cnnaudit):
    cnnaudit.assert_no_dead_filters([RED])

def test_own_figure(cnnaudit):
    cnnaudit.check("accuracy", 0.97, at_least=0.9)
"""
NUMBER = (int, float)
RECORD = {
    "schema": int,
    "verdict": str,
    "complete": bool,
    "started": str,
    "finished": str,
    "model": dict,
    "data": dict,
    "environment": dict,
    "seed": int,
    "baseline": type(None),
    "policy_sha256": str,
    "findings": list,
}
FINDING = {
    "test": str,
    "name": str,
    "outcome": str,
    "value": NUMBER,
    "threshold": NUMBER,
    "direction": str,
    "chance": (*NUMBER, type(None)),
    "interval": (list, type(None)),
    "n": int,
    "passed": int,
    "unscorable": int,
    "method": (str, type(None)),
    "layer": (str, type(None)),
    "seconds": NUMBER,
    "cases": list,
}


@pytest.mark.every_backend
def test_the_record_has_the_promised_shape(suite, backend):
    suite.write(GATE)
    suite.run().assert_outcomes(passed=2, failed=2)
    record = suite.record
    _has(record, RECORD)
    assert (record["schema"], record["verdict"], record["complete"], record["seed"]) == (1, "failed", True, 0)
    for name in ("file_sha256", "weights_sha256", "architecture_sha256"):
        assert len(record["model"][name]) == 64
    assert record["model"]["parameters"] == 12 + 39 + 84 + 12
    assert record["data"]["cases"] == 4  # two of the ini, and RED and STAMPED with forbidden regions
    assert len(record["data"]["sha256"]) == 64
    _has(record["environment"], dict.fromkeys(("python", "pytest", "keras", "backend", "device"), str))
    assert record["environment"]["backend"] == backend
    for finding in record["findings"]:
        _has(finding, FINDING)
        assert finding["outcome"] in ("passed", "failed", "inconclusive", "error")
        assert "evidence" not in finding
        for case in finding["cases"]:
            assert set(case) >= {"id", "value", "outcome"}
    inside = next(one for one in record["findings"] if one["test"].endswith("test_fails"))
    assert [(one["id"], one["value"], one["outcome"]) for one in inside["cases"]] == [("stamped one", 0.0, "failed")]
    assert (inside["method"], inside["layer"]) == ("grad-cam", "inner")
    dead = next(one for one in record["findings"] if one["name"] == "no_dead_filters")
    assert dead["value"] == pytest.approx(1 / 3)  # the channel of green
    assert all(math.isfinite(value) for value in _numbers(record))


def _has(value, types):
    for name, kind in types.items():
        assert isinstance(value[name], kind), (name, value[name])


def _numbers(value):
    if isinstance(value, dict):
        return [number for item in value.values() for number in _numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, Real) else []


def test_a_run_leaves_its_folder_and_nothing_else(suite, tmp_path_factory):
    suite.write(GATE)
    before = _everything(suite.pytester.path)
    suite.run()
    assert {path for path in suite.files() if "/" not in path} == {"record.json", "index.html", "summary.md"}
    pages = {path for path in suite.files() if "/" in path}
    assert len(pages) == 4
    assert all(path.startswith("tests/") and path.endswith(".html") for path in pages)
    outside = _everything(suite.pytester.path) - before
    new = {path for path in outside if not path.startswith(("cnnaudit-report/", "runpytest-", "__pycache__"))}
    assert new == set()


def _everything(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_an_engine_without_an_audit_leaves_nothing(suite):
    suite.write("def test_engine(cnnaudit_engine):\n    pass\n")
    suite.run().assert_outcomes(passed=1)
    assert not suite.report.exists()


@pytest.mark.parametrize(
    ("choice", "pictured"), [("failed", {"test_fails"}), ("all", {"test_fails", "test_passes"}), ("off", set())]
)
def test_artifacts_say_which_tests_show_pictures(suite, choice, pictured):
    suite.write(
        "def test_passes(cnnaudit):\n    cnnaudit.assert_mass_inside(RED)\n"
        "def test_fails(cnnaudit):\n    cnnaudit.assert_mass_inside(STAMPED)\n"
    )
    result = suite.run(f"--cnnaudit-artifacts={choice}")
    shown = {name for name in ("test_passes", "test_fails") if "data:image/" in suite.page(f"test_suite.py::{name}")}
    assert shown == pictured
    assert any("page: " in line for line in result.outlines) is (choice != "off")


def test_pictures_none_keeps_every_picture_out(suite):
    suite.write(
        """
from PIL import Image

def test_box(cnnaudit):
    cnnaudit.assert_mass_inside([STAMPED, RED])

def test_own_evidence(cnnaudit):
    cnnaudit.check("loss", 3, at_most=2, evidence=[STAMPED, Image.open(RED.image)])
"""
    )
    suite.run("--cnnaudit-pictures=none", "--cnnaudit-artifacts=all").assert_outcomes(failed=2)
    _has_no_picture(suite)
    assert "stamped one" in suite.page("test_suite.py::test_box")


def test_pictures_none_keeps_masks_out(suite):
    """The outline of a lesion is a patient's, too."""
    suite.write(
        """
import numpy as np
from pytest_cnnaudit import Mask

def test_mask(cnnaudit):
    inside = np.zeros((32, 32), bool)
    inside[8:20, 8:20] = True
    cnnaudit.assert_mass_inside(Case(STAMPED.image, "red", Mask(inside)))
"""
    )
    suite.run("--cnnaudit-pictures=none").assert_outcomes(failed=1)
    _has_no_picture(suite)


def _has_no_picture(suite):
    for name in suite.files():
        assert "data:image" not in (suite.report / name).read_text("utf-8"), name
