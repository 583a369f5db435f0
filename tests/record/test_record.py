"""The record: schema 1, the verdict, the data, the policy."""

import json

import pytest

from pytest_cnnaudit.findings import CaseResult, Finding, Part, TextEvidence, Texts, Threshold, digest, to_json
from pytest_cnnaudit.record import make_record

TEST = "test_pets.py::test_looks"
FINDING = Finding(TEST, "mass_inside", "failed", value=0.25, threshold=0.5, direction="at_least", n=1)


def _outcomes(part):
    return [(one["name"], one["outcome"]) for one in part["findings"]]


def _record(*findings, **changes):
    about = {
        "started": "2026-01-01T00:00:00+00:00",
        "cases": [["two", "b"], ["one", "a"], ["twin", "a"]],
        "model": {"parameters": 1},
    }
    part = {"test": TEST, "state": "finished", "findings": [to_json(one) for one in findings]}
    arguments = {"complete": True, "options": {"seed": 0}, **changes}
    return make_record([part], [{"cases": [["one", "a"]]}, about], **arguments)


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        (["passed"], "passed"),
        (["passed", "inconclusive"], "inconclusive"),
        (["inconclusive", "failed", "passed"], "failed"),
        (["failed", "error"], "error"),
    ],
)
def test_the_verdict_is_the_worst_outcome(outcomes, verdict):
    assert _record(*(Finding(TEST, "x", outcome) for outcome in outcomes))["verdict"] == verdict


def test_a_waived_finding_does_not_count_and_nothing_but_waived_ones_is_an_error():
    waived = Finding(TEST, "x", "failed", waived="known")
    assert _record(waived, Finding(TEST, "y", "passed"))["verdict"] == "passed"
    assert _record(waived)["verdict"] == "error"


def test_the_data_is_each_case_once():
    made = _record(FINDING)
    assert made["data"] == {"cases": 3, "sha256": digest(["a", "a", "b"])}
    assert (made["model"], made["started"]) == ({"parameters": 1}, "2026-01-01T00:00:00+00:00")


def test_the_evidence_stays_on_the_pages():
    finding = Finding(TEST, "x", "failed", evidence=(TextEvidence("Why", "So."),))
    assert "evidence" not in _record(finding)["findings"][0]


def test_the_policy_is_what_was_demanded_not_what_came_out():
    asked = {"at_least": 0.5, "min_n": 10}
    low, high = (Finding(TEST, "x", "passed", value=value, layer=str(value), demands=asked) for value in (0.6, 0.7))
    laxer = Finding(TEST, "x", "passed", value=0.6, demands={**asked, "min_n": 1})
    other = Finding(TEST, "y", "passed", value=0.6, demands=asked)
    policies = [_record(one)["policy_sha256"] for one in (low, high, laxer, other)]
    assert policies[0] == policies[1]
    assert len(set(policies)) == 3
    assert _record(low, options={"seed": 1})["policy_sha256"] != policies[0]


def test_a_finding_holds_what_schema_1_says_in_its_order_and_nothing_else():
    """Written out, so that a field which is added for the pages doesn't slip into the record."""
    finding = Finding(
        TEST,
        "x",
        "failed",
        thresholds=(Threshold("at_least", 0.5, "at_least", is_excess=True),),
        parts=(Part("cat", "failed", 0.1, None, None, 2, 1),),
        cases=(CaseResult("cat.png", 0.1, "failed"),),
        kind="case",
        texts=Texts("title"),
        settings="grid 2",
        evidence=(TextEvidence("Why", "So."),),
    )
    assert json.dumps(_record(finding)["findings"][0]) == (
        '{"test": "test_pets.py::test_looks", "name": "x", "outcome": "failed", "value": null, "threshold": null, '
        '"direction": null, "chance": null, "interval": null, "n": 0, "passed": 0, "unscorable": 0, "method": null, '
        '"layer": null, "seconds": 0.0, "target": null, "mean": null, "mostly": null, "confidence": null, '
        '"thresholds": [{"name": "at_least", "value": 0.5, "direction": "at_least"}], "unit": "cases", "by": null, '
        '"parts": [{"name": "cat", "outcome": "failed", "value": 0.1, "threshold": null, "interval": null, "n": 2, '
        '"passed": 1, "mean": null, "chance": null}], "controls": {}, "demands": {}, "message": "", "waived": null, '
        '"cases": [{"id": "cat.png", "value": 0.1, "outcome": "failed", "note": ""}]}'
    )
