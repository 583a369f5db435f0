"""Findings on disk: parts that survive everything, a record of strict JSON, and whose files are whose."""

import json
import math
import os
import time

import numpy as np
import pytest

from pytest_cnnaudit import record
from pytest_cnnaudit.cases import Case
from pytest_cnnaudit.findings import AuditFailure, Finding, TextEvidence
from pytest_cnnaudit.record import Course, Failure, Recorder

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
    [part], _ = record.read_parts(recorder.folder)
    return part


def _outcomes(part):
    return [(one["name"], one["outcome"]) for one in part["findings"]]


class TestJson:
    def test_numpy_becomes_plain(self):
        value = {"a": np.float64(0.5), "b": np.int64(3), "c": np.bool_(True), 4: np.array([[1, 2]]), "e": (1, "x")}
        plain = record.to_json(value)
        assert plain == {"a": 0.5, "b": 3, "c": True, "4": [[1, 2]], "e": [1, "x"]}
        assert [type(plain[name]) for name in "abc"] == [float, int, bool]

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), np.array(math.inf)])
    def test_what_is_no_number_becomes_null(self, value):
        assert record.to_json([value]) == [None]

    def test_a_file_is_whole_or_not_there(self, tmp_path):
        path = tmp_path / "below" / "value.json"
        record.write_json(path, {"letter": "猫", "lone": "\ud800"})
        assert json.loads(path.read_text("utf-8"))["letter"] == "猫"
        assert list(path.parent.iterdir()) == [path]

    def test_a_digest_does_not_depend_on_the_order_of_keys(self):
        assert record.digest({"a": 1, "b": 2}) == record.digest({"b": 2, "a": 1})
        assert record.digest({"a": 1}) != record.digest({"a": 2})


class TestParts:
    def test_a_finding_is_on_disk_at_once(self, recorder):
        recorder.start(TEST)
        recorder.add(FINDING)
        [part], _ = record.read_parts(recorder.folder)
        assert (part["test"], part["state"]) == (TEST, "running")
        assert _outcomes(part) == [("mass_inside", "failed"), ("error", "error")]
        assert "did not finish" in part["findings"][1]["message"]

    def test_a_new_attempt_forgets_the_last_one(self, recorder):
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
    def test_the_end_of_a_test_is_a_finding_unless_it_is_one_already(self, recorder, course, findings, outcomes):
        assert _outcomes(_finished(recorder, course, *findings)) == outcomes

    def test_a_waiver_covers_all_findings_of_the_test(self, recorder):
        part = _finished(recorder, Course(waived="known", failures=[Failure("low", recorded=True)]), FINDING)
        assert [one["waived"] for one in part["findings"]] == ["known"]
        assert (part["waived"], part["outcome"], part["failure"]) == ("known", "waived", "low")


def _record(*findings, **changes):
    about = {
        "started": "2026-01-01T00:00:00+00:00",
        "cases": [["two", "b"], ["one", "a"], ["twin", "a"]],
        "model": {"parameters": 1},
    }
    part = {"test": TEST, "state": "finished", "findings": [record.to_json(one) for one in findings]}
    arguments = {"complete": True, "options": {"seed": 0}, **changes}
    return record.make_record([part], [{"cases": [["one", "a"]]}, about], **arguments)


class TestRecord:
    @pytest.mark.parametrize(
        ("outcomes", "verdict"),
        [
            (["passed"], "passed"),
            (["passed", "inconclusive"], "inconclusive"),
            (["inconclusive", "failed", "passed"], "failed"),
            (["failed", "error"], "error"),
        ],
    )
    def test_the_verdict_is_the_worst_outcome(self, outcomes, verdict):
        assert _record(*(Finding(TEST, "x", outcome) for outcome in outcomes))["verdict"] == verdict

    def test_a_waived_finding_does_not_count_and_nothing_but_waived_ones_is_an_error(self):
        waived = Finding(TEST, "x", "failed", waived="known")
        assert _record(waived, Finding(TEST, "y", "passed"))["verdict"] == "passed"
        assert _record(waived)["verdict"] == "error"

    def test_the_data_is_each_case_once(self):
        made = _record(FINDING)
        assert made["data"] == {"cases": 3, "sha256": record.digest(["a", "a", "b"])}
        assert (made["model"], made["started"]) == ({"parameters": 1}, "2026-01-01T00:00:00+00:00")

    def test_the_evidence_stays_on_the_pages(self):
        finding = Finding(TEST, "x", "failed", evidence=(TextEvidence("Why", "So."),))
        assert "evidence" not in _record(finding)["findings"][0]

    def test_the_policy_is_what_was_demanded_not_what_came_out(self):
        asked = {"at_least": 0.5, "min_n": 10}
        low, high = (Finding(TEST, "x", "passed", value=value, layer=str(value), demands=asked) for value in (0.6, 0.7))
        laxer = Finding(TEST, "x", "passed", value=0.6, demands={**asked, "min_n": 1})
        other = Finding(TEST, "y", "passed", value=0.6, demands=asked)
        policies = [_record(one)["policy_sha256"] for one in (low, high, laxer, other)]
        assert policies[0] == policies[1]
        assert len(set(policies)) == 3
        assert _record(low, options={"seed": 1})["policy_sha256"] != policies[0]


class TestCases:
    def test_a_case_is_digested_once(self, recorder):
        digested = []

        def digest_of(case):
            digested.append(case)
            return case.name

        cases = [Case("a.png"), Case("b.png")]
        recorder.saw(cases, digest_of)
        recorder.saw([Case("a.png")], digest_of)
        assert digested == cases
        recorder.describe("main", {"collected": []})
        _, [about] = record.read_parts(recorder.folder)
        assert about == {"collected": [], "cases": [["a.png", "a.png"], ["b.png", "b.png"]]}


class TestFolder:
    def test_only_what_the_record_names_is_removed(self, tmp_path):
        for name in ("index.html", "mine.html"):
            (tmp_path / name).write_text("")
        outside = tmp_path.parent / f"{tmp_path.name}.txt"
        outside.write_text("")
        files = ["index.html", "record.json", f"../{outside.name}"]
        record.write_json(tmp_path / "record.json", {"policy_sha256": "0", "files": files})
        assert record.foreign_files(tmp_path) == []
        record.remove_report(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["mine.html"]
        assert outside.exists()

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", '{"files": ["index.html"]}', '{"policy_sha256": "0", "files": 3}']
    )
    def test_without_a_record_of_ours_every_file_is_foreign(self, tmp_path, text):
        (tmp_path / "record.json").write_text(text)
        (tmp_path / "index.html").write_text("")
        assert record.foreign_files(tmp_path) == ["index.html", "record.json"]
        record.remove_report(tmp_path)
        assert (tmp_path / "index.html").exists()

    def test_parts_of_others_are_dropped_when_nobody_can_be_writing_them(self, tmp_path):
        folders = [tmp_path / record.PARTS / name for name in ("this", "young", "old")]
        for folder in folders:
            folder.mkdir(parents=True)
        two_days_ago = time.time() - 2 * record.A_DAY
        os.utime(folders[2], (two_days_ago, two_days_ago))
        record.drop_parts(folders[0])
        assert list((tmp_path / record.PARTS).iterdir()) == [folders[1]]
        record.drop_parts(folders[1])
        assert list(tmp_path.iterdir()) == []


def test_a_failed_audit_carries_its_finding():
    failure = AuditFailure(Finding(TEST, "x", "failed", message="x: failed"))
    assert isinstance(failure, AssertionError)
    assert (str(failure), failure.finding.name) == ("x: failed", "x")
