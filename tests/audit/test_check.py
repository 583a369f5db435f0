"""`check`: the user's own figure, held against limits without any model."""

from fractions import Fraction

import numpy as np
import pytest
from colours import LEFT_HALF, evidence_of, half_case, message_of, picture, refused
from PIL import Image

from pytest_cnnaudit import AuditFailure, Case, CaseError
from pytest_cnnaudit.audit import Audit, Settings


def no_model():
    raise AssertionError("check asked for the model")


@pytest.fixture
def audit(recorder):
    return Audit("tests/test_gate.py::test_looks", recorder, no_model)


def test_a_passing_figure_gives_all_its_numbers(audit, recorded):
    finding = audit.check("calibration error", 0.03, at_most=0.05, chance=0.5)
    assert (finding.name, finding.outcome, finding.value) == ("calibration error", "passed", 0.03)
    assert (finding.threshold, finding.direction, finding.chance) == (0.05, "at_most", 0.5)
    assert (finding.n, finding.passed, finding.unscorable) == (1, 1, 0)
    assert [(limit.value, limit.direction) for limit in finding.thresholds] == [(0.05, "at_most")]
    assert finding.message == "calibration error: passed: 0.03 ≤ 0.05 (margin +0.02)\n  chance 0.5"
    assert [(one["name"], one["outcome"], one["value"]) for one in recorded()] == [
        ("calibration error", "passed", 0.03)
    ]


def test_a_failing_figure_says_value_threshold_chance_margin_and_page(audit, page, recorded):
    finding = refused(audit.check, "auc", 0.6, at_least=0.75, chance=0.5)
    assert (finding.outcome, finding.passed) == ("failed", 0)
    assert finding.message == f"auc: failed: 0.6 < 0.75 (margin -0.15)\n  chance 0.5\n  page: {page}"
    assert recorded()[0]["outcome"] == "failed"


@pytest.mark.parametrize(
    ("value", "at_least", "at_most", "passes", "threshold", "direction"),
    [
        (2, 1, None, True, 1, "at_least"),
        (1, 1, None, True, 1, "at_least"),
        (0.999, 1, None, False, 1, "at_least"),
        (2, None, 2, True, 2, "at_most"),
        (2.001, None, 2, False, 2, "at_most"),
        (2, 1, 3, True, 1, "at_least"),
        (0, 1, 3, False, 1, "at_least"),
        (4, 1, 3, False, 3, "at_most"),
        (2, 2, 2, True, 2, "at_least"),
        (0.1 + 0.2, None, 0.3, True, 0.3, "at_most"),
        (-1, -2, -0.5, True, -2, "at_least"),
        (0, 0, 0, True, 0, "at_least"),
        (1e-300, None, 0, False, 0, "at_most"),
    ],
)
def test_limits(audit, value, at_least, at_most, passes, threshold, direction):
    try:
        finding = audit.check("figure", value, at_least=at_least, at_most=at_most)
    except AuditFailure as failure:
        finding = failure.finding
    assert finding.outcome == ("passed" if passes else "failed")
    assert (finding.value, finding.threshold, finding.direction) == (value, threshold, direction)
    assert len(finding.thresholds) == (at_least is not None) + (at_most is not None)


def test_the_missed_one_of_two_limits_comes_first(audit):
    message = refused(audit.check, "drift", 4, at_least=1, at_most=3).message
    assert message.startswith("drift: failed: 4 > 3 (margin -1)\n  4 ≥ 1 (margin +3)")


def test_a_figure_next_to_the_limit_is_not_shown_as_equal_to_it(audit):
    message = refused(audit.check, "accuracy", 0.94999, at_least=0.95).message
    assert message.startswith("accuracy: failed: 0.94999 < 0.95 (margin -1e-05)")


@pytest.mark.parametrize(
    "value", [0.5, np.float32(0.5), np.float64(0.5), np.array(0.5)[()], Fraction(1, 2), np.float16(0.5)]
)
def test_any_real_number_is_a_figure(audit, value, recorded):
    assert audit.check("figure", value, at_least=0.5).value == 0.5
    assert type(recorded()[0]["value"]) is float


@pytest.mark.parametrize("value", ["0.5", None, True, np.False_, [0.5], np.array([0.5]), 1j])
def test_anything_else_is_a_type_error(audit, value, recorded):
    message = message_of(TypeError, audit.check, "figure", value, at_least=0.1)
    assert message == f"value of 'figure' is {value!r}; a number is expected"
    assert [(one["outcome"], one["message"]) for one in recorded()] == [("error", message)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float32("nan")])
@pytest.mark.parametrize("limits", [{"at_least": 0.1}, {"at_most": 0.1}])
def test_nan_and_infinity_are_errors_never_a_verdict(audit, value, limits, recorded):
    message = message_of(ValueError, audit.check, "figure", value, **limits)
    assert message == f"value of 'figure' is {value!r}; a finite number is expected"
    assert [(one["outcome"], one["value"]) for one in recorded()] == [("error", None)]


@pytest.mark.parametrize("argument", ["at_least", "at_most", "chance"])
def test_limits_and_chance_must_be_finite_numbers(audit, argument):
    for value, error in ((float("nan"), ValueError), (float("inf"), ValueError), ("1", TypeError), (True, TypeError)):
        arguments = {"at_most": 1, argument: value}
        message = message_of(error, audit.check, "figure", 0.5, **arguments)
        assert message.startswith(f"chance of 'figure' is {value!r}" if argument == "chance" else f"{argument} is")


def test_without_a_limit_it_is_no_check(audit, recorded):
    message = message_of(ValueError, audit.check, "figure", 0.5)
    assert message == "No threshold: give at_least or at_most"
    assert recorded()[0]["outcome"] == "error"


def test_a_name_of_several_lines_is_one_in_the_message(audit, recorded):
    name = "calibration error\n" * 20
    message = refused(audit.check, name, 0.6, at_most=0.5).message
    assert message.startswith(f"{' '.join(['calibration error'] * 20)}: failed: 0.6 > 0.5 (margin -0.1)\n  page: ")
    assert recorded()[0]["name"] == name


@pytest.mark.parametrize("name", ["", " \n", None, 3])
def test_needs_a_name(audit, name):
    message = message_of(TypeError, audit.check, name, 0.5, at_least=0.1)
    assert message == f"name must be a text that is not empty, not {name!r}"


class TestEvidence:
    """On the page of a failed test, in the order given."""

    def evidence(self, audit, items):
        return evidence_of(refused(audit.check, "figure", 0, at_least=1, evidence=items))

    def test_text(self, audit):
        assert self.evidence(audit, ["confusion: a ↔ b"]) == [
            {"kind": "text", "title": "Evidence", "text": "confusion: a ↔ b"},
        ]

    def test_pictures_of_every_kind(self, audit, tmp_path):
        image = Image.fromarray(picture(red=9, width=6))
        image.save(tmp_path / "cat.png")
        items = [Case(image, id="cat"), tmp_path / "cat.png", image, picture(red=9, width=6)]
        shown = self.evidence(audit, items)
        assert [one["kind"] for one in shown] == ["picture"] * 4
        assert [one["title"] for one in shown] == ["cat", str(tmp_path / "cat.png"), "case", "case"]
        for one in shown:
            assert (one["picture"]["width"], one["picture"]["height"]) == (6, 4)
            assert one["picture"]["src"].startswith("data:image/png;base64,")

    @pytest.mark.parametrize("item", ["a text", half_case(90), picture(red=1), Image.new("RGB", (4, 4))])
    def test_one_item_needs_no_sequence(self, audit, item):
        assert len(self.evidence(audit, item)) == 1

    def test_pictures_are_withheld_where_that_was_asked_for(self, recorder):
        audit = Audit("tests/test_gate.py::test_looks", recorder, no_model, Settings(pictures="none"))
        [shown] = self.evidence(audit, [picture(red=9)])
        assert shown["picture"] == {"src": None, "width": 4, "height": 4}

    def test_is_recorded_for_failures_only(self, audit, recorded):
        audit.check("figure", 1, at_least=1, evidence=["fine"])
        refused(audit.check, "figure", 0, at_least=1, evidence=["not fine"])
        assert [len(one["evidence"]) for one in recorded()] == [0, 1]

    def test_of_another_kind_is_an_error(self, audit):
        message = message_of(CaseError, audit.check, "figure", 0, at_least=1, evidence=[{"a": 1}])
        assert "image is {'a': 1}" in message
        message = message_of(TypeError, audit.check, "figure", 0, at_least=1, evidence=7)
        assert message == "evidence is 7; a sequence of texts, Cases, pictures or paths of pictures is expected"


def test_other_assertions_do_ask_for_the_model(audit, recorded):
    with pytest.raises(AssertionError, match="check asked for the model"):
        audit.assert_mass_inside(half_case(90, region=LEFT_HALF))
    assert recorded()[0]["outcome"] == "error"
