"""Findings on disk while tests run: parts that survive everything."""

import os
import time

import pytest

from pytest_cnnaudit.cases import Case
from pytest_cnnaudit.findings import Finding
from pytest_cnnaudit.record import Course, Failure, Recorder, drop_parts, read_parts
from pytest_cnnaudit.record.parts import A_DAY, PARTS

TEST = "test_pets.py::test_looks"
FINDING = Finding(TEST, "mass_inside", "failed", value=0.25, threshold=0.5, direction="at_least", n=1)


@pytest.fixture
def recorder(tmp_path):
    return Recorder(tmp_path / "report", "run")


def _finished(recorder, course, *findings):
    """The findings of a test that ended."""
    recorder.start(TEST)
    for finding in findings:
        recorder.add(finding)
    recorder.finish(TEST, course)
    [part], _ = read_parts(recorder.folder)
    return part


def _outcomes(part):
    return [(one["name"], one["outcome"]) for one in part["findings"]]


def test_a_finding_is_on_disk_at_once(recorder):
    recorder.start(TEST)
    recorder.add(FINDING)
    [part], _ = read_parts(recorder.folder)
    assert (part["test"], part["state"]) == (TEST, "running")
    assert _outcomes(part) == [("mass_inside", "failed"), ("error", "error")]
    assert "did not finish" in part["findings"][1]["message"]


def test_a_new_attempt_forgets_the_last_one(recorder):
    recorder.start(TEST)
    recorder.add(FINDING)
    assert _outcomes(_finished(recorder, Course())) == [("assertion", "passed")]


@pytest.mark.parametrize(
    ("course", "findings", "outcomes"),
    [
        (Course(), [FINDING], [("mass_inside", "failed")]),
        (Course(), [], [("assertion", "passed")]),
        (Course(skipped=True), [], []),
        (Course(failed=True, failures=[Failure("assert 0")]), [], [("assertion", "failed")]),
        (Course(failed=True, failures=[Failure("KeyError", crashed=True)]), [], [("error", "error")]),
        (
            Course(failed=True, failures=[Failure("low", recorded=True)]),
            [FINDING],
            [("mass_inside", "failed")],
        ),
        (
            # The same error was recorded by another test.
            Course(failed=True, failures=[Failure("no model", crashed=True, recorded=True)]),
            [],
            [("error", "error")],
        ),
        (
            Course(failed=True, failures=[Failure("low", recorded=True), Failure("disk", crashed=True)]),
            [FINDING],
            [("mass_inside", "failed"), ("error", "error")],
        ),
    ],
)
def test_the_end_of_a_test_is_a_finding_unless_it_is_one_already(recorder, course, findings, outcomes):
    assert _outcomes(_finished(recorder, course, *findings)) == outcomes


def test_a_waiver_covers_all_findings_of_the_test(recorder):
    part = _finished(recorder, Course(waived="known", failures=[Failure("low", recorded=True)]), FINDING)
    assert [one["waived"] for one in part["findings"]] == ["known"]
    assert (part["waived"], part["outcome"], part["failure"]) == ("known", "waived", "low")


def test_a_case_is_digested_once(recorder):
    digested = []

    def digest_of(case):
        digested.append(case)
        return case.name

    cases = [Case("a.png"), Case("b.png")]
    recorder.saw(cases, digest_of)
    recorder.saw([Case("a.png")], digest_of)
    assert digested == cases
    recorder.describe("main", {"collected": []})
    _, [about] = read_parts(recorder.folder)
    assert about == {"collected": [], "cases": [["a.png", "a.png"], ["b.png", "b.png"]]}


def test_parts_of_others_are_dropped_when_nobody_can_be_writing_them(tmp_path):
    folders = [tmp_path / PARTS / name for name in ("this", "young", "old")]
    for folder in folders:
        folder.mkdir(parents=True)
    two_days_ago = time.time() - 2 * A_DAY
    os.utime(folders[2], (two_days_ago, two_days_ago))
    drop_parts(folders[0])
    assert list((tmp_path / PARTS).iterdir()) == [folders[1]]
    drop_parts(folders[1])
    assert list(tmp_path.iterdir()) == []
