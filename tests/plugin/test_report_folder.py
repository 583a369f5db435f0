"""What a run leaves behind: the folder's files, the record's shape, and what is never touched."""

import json
import math
from numbers import Real

import pytest

OURS = {"record.json", "index.html", "summary.md"}
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
CHECKS = """
def test_passes(cnnaudit):
    cnnaudit.check("loss", 1, at_most=2)

def test_fails(cnnaudit):
    cnnaudit.check("loss", 3, at_most=2)
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
    assert {path for path in suite.files() if "/" not in path} == OURS
    pages = {path for path in suite.files() if "/" in path}
    assert len(pages) == 4
    assert all(path.startswith("tests/") and path.endswith(".html") for path in pages)
    outside = _everything(suite.pytester.path) - before
    new = {path for path in outside if not path.startswith(("cnnaudit-report/", "runpytest-", "__pycache__"))}
    assert new == set()


def _everything(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_second_run_replaces_the_first_and_keeps_what_is_not_ours(suite):
    suite.write(CHECKS)
    suite.run()
    first = suite.files()
    (suite.report / "notes.txt").write_text("mine")
    (suite.report / "tests" / "mine.html").write_text("mine")
    suite.write("def test_other(cnnaudit):\n    cnnaudit.check('loss', 1, at_most=2)\n")
    suite.run()
    kept = {"notes.txt", "tests/mine.html"}
    pages = {path for path in suite.files() - kept if path.startswith("tests/")}
    assert suite.files() == OURS | kept | pages
    assert len(pages) == 1
    assert not pages & first


@pytest.mark.parametrize("name", ["index.html", "record.json", "summary.md"])
def test_a_file_of_somebody_else_is_not_overwritten(suite, name):
    suite.write(CHECKS)
    suite.report.mkdir()
    (suite.report / name).write_text("mine")
    result = suite.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([f"the report was not written: *{name} exists and is not from cnnaudit", "*.parts*"])
    assert (suite.report / name).read_text() == "mine"
    [kept] = suite.report.glob(".parts/*")
    assert len(list(kept.glob("*test-*.json"))) == 2


def test_a_record_that_lies_deletes_nothing_outside(suite):
    suite.write(CHECKS)
    suite.run()
    outside = suite.pytester.makefile(".txt", outside="mine")
    record = suite.record
    record["files"] += ["../outside.txt", str(outside), 7]
    (suite.report / "record.json").write_text(json.dumps(record))
    suite.run()
    assert outside.read_text() == "mine"
    assert "../outside.txt" not in suite.record["files"]


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        ("import pytest\n@pytest.mark.skip\ndef test_gate(cnnaudit):\n    pass\n", ()),
        (CHECKS, ("-k", "nothing", "--cnnaudit-require")),
        ("def test_gate(cnnaudit):\n    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n", ()),
    ],
    ids=["skipped", "deselected", "killed"],
)
def test_an_earlier_verdict_never_stands_for_a_run_without_one(suite, source, arguments):
    suite.write(CHECKS)
    suite.run()
    assert (suite.report / "record.json").is_file()
    suite.write(source)
    suite.run_apart(*arguments)
    assert not (suite.report / "record.json").exists()
    assert not (suite.report / "index.html").exists()


def test_the_parts_of_a_run_that_goes_on_elsewhere_are_kept(suite):
    other = suite.report / ".parts" / "another"
    other.mkdir(parents=True)
    (other / "part.json").write_text("{}")
    suite.write(CHECKS)
    suite.run()
    assert {path for path in suite.files() if path.startswith(".parts")} == {".parts/another/part.json"}


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        ("def test_plain():\n    assert 1\n", ()),
        (CHECKS, ("--collect-only",)),
        (CHECKS, ("-k", "nothing")),
        ("@pytest.mark.skip\ndef test_skipped(cnnaudit):\n    pass\n", ()),
        ("def test_engine(cnnaudit_engine):\n    pass\n", ()),
    ],
    ids=["no audit", "collect only", "all deselected", "all skipped", "engine only"],
)
def test_nothing_is_created_when_no_audit_ran(suite, source, arguments):
    suite.write(source)
    suite.run(*arguments)
    assert not suite.report.exists()


def test_the_folder_may_lie_anywhere(suite):
    suite.write(CHECKS)
    suite.run("--cnnaudit-report=some/where deep")
    assert (suite.pytester.path / "some" / "where deep" / "index.html").is_file()
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


PLAIN = "def test_plain():\n    assert 1\n"


@pytest.mark.parametrize(
    ("source", "arguments", "status"),
    [
        (PLAIN, (), 0),
        (PLAIN, ("--cnnaudit-require",), 1),
        (PLAIN, ("--cnnaudit-model=candidate.keras",), 1),
        ("", ("--cnnaudit-require",), 1),
        (CHECKS, ("--cnnaudit-require", "-k", "test_passes"), 0),
        (CHECKS, ("--cnnaudit-require", "-k", "nothing"), 1),
        (PLAIN, ("--cnnaudit-require", "--collect-only"), 0),
        ("def test_broken(:\n", ("--cnnaudit-require",), 2),
    ],
)
def test_a_required_audit_that_did_not_run_fails_the_run(suite, source, arguments, status):
    suite.write(source or "# nothing")
    result = suite.run(*arguments)
    assert result.ret == status
    if status == 1:
        result.stdout.fnmatch_lines(["an audit was required, but none was executed (--cnnaudit-require)"])


def test_an_audit_can_be_required_by_ini_and_environment(suite, monkeypatch):
    suite.write(PLAIN)
    suite.ini(require="true")
    assert suite.run().ret == 1
    suite.ini()
    assert suite.run().ret == 0
    monkeypatch.setenv("CNNAUDIT_REQUIRE", "1")
    assert suite.run().ret == 1
