"""Populations: the verdict on k of n cases, its words, and what is no population."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from colours import CLASSES, LEFT_HALF, blank_case, half_case, halves, message_of, picture, quarter_case, refused
from scipy import stats

from pytest_cnnaudit import Box, Case, CaseError
from pytest_cnnaudit.audit import InconclusiveWarning
from pytest_cnnaudit.audit.case_lines import reasons
from pytest_cnnaudit.audit.limits import holds
from pytest_cnnaudit.findings import CaseResult, Threshold
from pytest_cnnaudit.gate import clopper_pearson

ASSERTIONS = ["assert_mass_inside", "assert_points_at", "assert_iou", "assert_avoids", "assert_predicts"]


def population(passing, failing):
    """Pictures of which so many have 75 % of their mass in the quarter, and so many a third."""
    good = [quarter_case(90, 10, id=f"good {index}") for index in range(passing)]
    return good + [quarter_case(60, 40, id=f"bad {index}") for index in range(failing)]


class TestEveryCase:
    def test_must_pass_by_default(self, audit):
        finding = audit.assert_mass_inside(population(3, 0))
        assert (finding.outcome, finding.value, finding.threshold) == ("passed", 1.0, 1.0)
        assert (finding.direction, finding.mostly, finding.confidence) == ("at_least", 1.0, None)
        assert (finding.n, finding.passed, finding.unscorable) == (3, 3, 0)
        assert finding.interval == pytest.approx((0.025 ** (1 / 3), 1))
        assert (finding.mean, finding.chance) == (pytest.approx(0.75), 0.25)
        assert [limit.name for limit in finding.thresholds] == ["mass inside", "excess"]

    def test_one_failure_fails(self, audit, page, recorded):
        finding = refused(audit.assert_mass_inside, population(2, 1))
        assert (finding.outcome, finding.value, finding.passed) == ("failed", pytest.approx(2 / 3), 2)
        assert finding.message == (
            "mass_inside: failed: 2 of 3 cases pass (66.7 %); 100 % required (margin -0.333)"
            ", 95 % interval 9.4 to 99.2 %\n"
            "  a case passes with mass inside ≥ 0.5 and excess ≥ 0.2; mean 0.611, chance 0.250\n"
            # The blob: half of a symmetric Gaussian on either axis. The regions are all the same quarter.
            "  controls: other cases' regions 0.611, a blob in the middle 0.250\n"
            "  worst: bad 0 0.333\n"
            "  heatmaps: grad-cam at 'colour', target: label\n"
            f"  page: {page}"
        )
        [written] = recorded()
        assert [one["outcome"] for one in written["cases"]] == ["passed", "passed", "failed"]


class TestMostly:
    @pytest.mark.parametrize(("mostly", "outcome"), [(0.9, "passed"), (0.91, "failed")])
    def test_is_a_share_of_all_cases(self, audit, mostly, outcome):
        cases = population(9, 1)
        if outcome == "passed":
            finding = audit.assert_mass_inside(cases, mostly=mostly)
        else:
            finding = refused(audit.assert_mass_inside, cases, mostly=mostly)
        assert (finding.outcome, finding.value, finding.threshold) == (outcome, 0.9, mostly)
        assert (finding.mostly, finding.confidence) == (mostly, None)
        interval = stats.binomtest(9, 10).proportion_ci(0.95, "exact")
        assert finding.interval == pytest.approx((interval.low, interval.high))

    def test_no_page_is_promised_for_a_pass(self, audit):
        finding = audit.assert_mass_inside(population(9, 1), mostly=0.9)
        assert "page:" not in finding.message
        assert "worst: bad 0 0.333" in finding.message

    def test_with_a_confidence_29_of_29_prove_90_percent(self, audit):
        finding = audit.assert_mass_inside(population(29, 0), mostly=0.9, confidence=0.95)
        assert (finding.outcome, finding.confidence) == ("passed", 0.95)
        assert finding.interval == clopper_pearson(29, 29, 0.95)
        assert "95 % lower bound 90.2 % ≥ 90 % (margin +0.00186)" in finding.message

    def test_28_of_28_are_inconclusive(self, audit, page, recorded):
        finding = refused(audit.assert_mass_inside, population(28, 0), mostly=0.9, confidence=0.95)
        assert (finding.outcome, finding.value, finding.passed) == ("inconclusive", 1.0, 28)
        assert finding.message.startswith(
            "mass_inside: inconclusive: 28 of 28 cases pass (100.0 %); 95 % lower bound 89.9 % < 90 %; "
            "29 cases at this rate would be needed (margin -0.00147)"
        )
        assert finding.message.endswith(f"page: {page}")
        assert recorded()[0]["outcome"] == "inconclusive"

    def test_a_low_rate_fails_with_its_upper_bound(self, audit):
        finding = refused(audit.assert_mass_inside, population(1, 9), mostly=0.9, confidence=0.95)
        upper = clopper_pearson(1, 10, 0.95)[1]
        assert finding.outcome == "failed"
        assert f"95 % upper bound {100 * upper:.1f} % < 90 % (margin {upper - 0.9:+.3g})" in finding.message


class TestInconclusive:
    def test_fails_by_default(self, audit):
        assert refused(audit.assert_mass_inside, population(3, 0), min_n=5).outcome == "inconclusive"

    def test_is_a_warning_where_that_was_asked_for(self, audit_of, results, recorded):
        audit = audit_of(results, inconclusive="warn")
        with pytest.warns(InconclusiveWarning, match="mass_inside: inconclusive: 3 of 3 cases pass") as caught:
            finding = audit.assert_mass_inside(population(3, 0), min_n=5)
        assert finding.outcome == "inconclusive"
        assert recorded()[0]["outcome"] == "inconclusive"
        assert caught[0].filename == __file__  # the line the user wrote

    def test_a_failure_raises_all_the_same(self, audit_of, results):
        audit = audit_of(results, inconclusive="warn")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert refused(audit.assert_mass_inside, population(0, 3), min_n=5).outcome == "failed"

    def test_a_single_case_that_proves_nothing_says_so(self, audit):
        finding = refused(audit.assert_mass_inside, population(1, 0)[0], mostly=0.9, confidence=0.95)
        assert finding.outcome == "inconclusive"
        assert "1 of 1 cases pass (100.0 %); 95 % lower bound 5.0 % < 90 %" in finding.message
        assert "mass inside 0.75 ≥ 0.5" in finding.message


class TestMessage:
    def test_has_at_most_12_lines_however_much_there_is_to_say(self, audit, page):
        cases = [*population(2, 9), blank_case("blank"), quarter_case(100, 10, "small", region=Box(0, 0, 1, 0.7))]
        finding = refused(audit.assert_mass_inside, cases, mostly=0.5, confidence=0.95, at_least=0.1)
        lines = finding.message.splitlines()
        assert len(lines) <= 12
        assert lines[-1] == f"  page: {page}"

    def test_names_five_of_the_worst_and_counts_the_rest(self, audit):
        cases = [quarter_case(inside, 100, id=f"{inside}") for inside in (70, 20, 60, 30, 50, 40, 10)]
        message = refused(audit.assert_mass_inside, cases).message
        worst = "worst: 10 0.032, 20 0.062, 30 0.091, 40 0.118, 50 0.143 and 2 more"
        assert worst in message

    def test_controls_are_the_other_cases_regions_and_a_blob(self, audit):
        left = Case(picture(red=halves(70, 30)), label="red", region=LEFT_HALF, id="left")
        right = Case(picture(red=halves(20, 80)), label="red", region=Box(2, 0, 4, 4), id="right")
        message = refused(audit.assert_mass_inside, [left, right], at_least=0.9).message
        # 30 % of the left one's map is on the right, 20 % of the right one's on the left.
        assert "controls: other cases' regions 0.250, a blob in the middle 0.500" in message

    def test_controls_are_shown_and_recorded_where_it_passes_too(self, audit, recorded):
        left = Case(picture(red=halves(70, 30)), label="red", region=LEFT_HALF, id="left")
        right = Case(picture(red=halves(20, 80)), label="red", region=Box(2, 0, 4, 4), id="right")
        finding = audit.assert_mass_inside([left, right])
        assert finding.controls == {
            "other cases' regions": pytest.approx(0.25),
            "a blob in the middle": pytest.approx(0.5),
        }
        assert "controls: other cases' regions 0.250, a blob in the middle 0.500" in finding.message
        assert recorded()[0]["controls"] == finding.controls

    def test_a_case_without_a_value_is_in_no_control(self, audit):
        finding = refused(audit.assert_mass_inside, [half_case(90, id="good"), blank_case("blank")])
        assert (finding.controls, "controls" in finding.message) == ({}, False)

    def test_one_region_for_all_has_no_other_cases_regions(self, audit):
        message = refused(audit.assert_mass_inside, population(1, 2), region=LEFT_HALF, at_least=0.9).message
        assert "controls: a blob in the middle 0.500" in message
        assert "other cases" not in message


@pytest.mark.parametrize("name", ASSERTIONS)
class TestNoPopulation:
    def test_an_empty_one_is_an_error(self, audit, name, recorded):
        message = message_of(ValueError, getattr(audit, name), [])
        assert message == "cases is empty: there is nothing to judge"
        assert [(one["outcome"], one["message"]) for one in recorded()] == [("error", message)]

    @pytest.mark.parametrize(
        ("cases", "named"),
        [
            ("pictures/cat.jpg", "str"),
            ({"a": 1}, "dict"),
            (np.zeros((2, 4, 4, 3), np.float32), "ndarray"),
            ((case for case in population(1, 0)), "generator"),
            (None, "NoneType"),
            (3, "int"),
        ],
    )
    def test_another_type_is_a_type_error(self, audit, name, cases, named):
        message = message_of(TypeError, getattr(audit, name), cases)
        assert message == f"cases must be a Case or a sequence of Cases, not {named}"

    def test_something_else_among_the_cases_is_a_type_error(self, audit, name):
        cases = [*population(1, 0), picture(red=1)]
        assert message_of(TypeError, getattr(audit, name), cases) == "cases must hold Cases only, not ndarray"

    def test_left_out_is_a_type_error_on_record(self, audit, name, recorded):
        assert "cases" in message_of(TypeError, getattr(audit, name))
        assert recorded()[0]["outcome"] == "error"

    def test_one_id_twice_is_an_error(self, audit, name):
        cases = [quarter_case(90, 10, id="cat"), quarter_case(10, 90, id="cat")]
        message = message_of(ValueError, getattr(audit, name), cases)
        assert message == "cases holds 'cat' twice: give each case an id of its own"

    def test_nameless_pictures_are_told_apart_by_their_place(self, audit, name):
        red = {"label": "red", "region": LEFT_HALF, "forbidden": Box(2, 0, 4, 4)}
        finding = getattr(audit, name)([Case(picture(red=halves(100, 0)), **red) for _ in range(2)])
        assert [result.id for result in finding.cases] == ["case 0", "case 1"]


WRONG_TYPES = ["0.5", True, np.True_, [0.5], 1j]


class TestThresholds:
    @pytest.mark.parametrize("argument", ["at_least", "excess_at_least"])
    @pytest.mark.parametrize("value", WRONG_TYPES)
    def test_must_be_numbers(self, audit, argument, value):
        message = message_of(TypeError, audit.assert_mass_inside, half_case(90), **{argument: value})
        assert message == f"{argument} is {value!r}; a number is expected"

    @pytest.mark.parametrize("argument", ["at_least", "excess_at_least"])
    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float32("nan")])
    def test_must_be_finite(self, audit, argument, value):
        message = message_of(ValueError, audit.assert_mass_inside, half_case(90), **{argument: value})
        assert message == f"{argument} is {value!r}; a finite number is expected"

    @pytest.mark.parametrize(
        ("argument", "value"), [("at_least", 1.01), ("at_least", -0.01), ("at_least", 50), ("excess_at_least", -1.01)]
    )
    def test_must_be_shares(self, audit, argument, value):
        message = message_of(ValueError, audit.assert_mass_inside, half_case(90), **{argument: value})
        low = "0" if argument == "at_least" else "-1"
        assert message == f"{argument} is {value!r}; a number from {low} to 1 is expected"

    def test_must_be_one_at_least(self, audit):
        message = message_of(ValueError, audit.assert_mass_inside, half_case(90), at_least=None, excess_at_least=None)
        assert message == "No threshold: give at_least or excess_at_least"
        forbidden = half_case(90, forbidden=LEFT_HALF)
        assert message_of(ValueError, audit.assert_avoids, forbidden, at_most=None) == "No threshold: give at_most"

    @pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
    def test_at_most_is_a_share(self, audit, value):
        case = half_case(90, forbidden=LEFT_HALF)
        assert message_of(ValueError, audit.assert_avoids, case, at_most=value).startswith(f"at_most is {value!r}")

    def test_are_checked_before_any_picture_is_read(self, audit):
        missing = Case("no/such.jpg", label="red", region=LEFT_HALF)
        assert "at_least is 2" in message_of(ValueError, audit.assert_mass_inside, missing, at_least=2)

    @pytest.mark.parametrize("name", ASSERTIONS)
    @pytest.mark.parametrize(
        ("rule", "named"),
        [
            ({"mostly": 0}, "mostly is 0"),
            ({"mostly": 1.5}, "mostly is 1.5"),
            ({"mostly": float("nan")}, "mostly is nan"),
            ({"mostly": "0.9"}, "mostly is '0.9'"),
            ({"mostly": True}, "mostly is True"),
            ({"confidence": 0.95}, "confidence is 0.95 with mostly=1.0"),
            ({"mostly": 0.9, "confidence": 1.0}, "confidence is 1.0"),
            ({"mostly": 0.9, "confidence": 95}, "confidence is 95"),
            ({"min_n": 0}, "min_n is 0"),
            ({"min_n": 2.5}, "min_n is 2.5"),
        ],
    )
    def test_of_the_population_are_checked(self, audit, recorded, name, rule, named):
        case = half_case(90, forbidden=Box(2, 0, 4, 4))
        assert message_of(ValueError, getattr(audit, name), [case], **rule).startswith(named)
        assert recorded()[0]["outcome"] == "error"

    @pytest.mark.parametrize("name", ASSERTIONS)
    def test_of_the_population_are_checked_before_any_picture_is_read(self, audit, name):
        missing = Case("no/such.jpg", label="red", region=LEFT_HALF, forbidden=LEFT_HALF)
        assert "mostly is 2" in message_of(ValueError, getattr(audit, name), [missing], mostly=2)


class TestTargets:
    CASES = (half_case(90, id="labelled"), Case(picture(green=halves(40, 60)), region=LEFT_HALF, id="bare"))

    def masses(self, audit, target):
        finding = refused(audit.assert_mass_inside, list(self.CASES), target=target, at_least=0.95)
        return [result.value for result in finding.cases], finding.target

    def test_none_is_the_label_and_else_the_predicted_class(self, audit):
        assert self.masses(audit, None) == (
            [pytest.approx(0.9), pytest.approx(0.4)],
            "label where given, else predicted",
        )

    def test_a_sequence_gives_each_case_its_own(self, audit):
        assert self.masses(audit, ["label", "green"]) == ([pytest.approx(0.9), pytest.approx(0.4)], "as given")
        # There is no blue in either.
        assert self.masses(audit, ("predicted", 2)) == ([pytest.approx(0.9), None], "as given")

    @pytest.mark.parametrize(
        ("target", "error", "message"),
        [
            ("label", ValueError, "case 'bare' has no label"),
            (["red"], ValueError, "target has 1 entries for 2 cases"),
            ([], ValueError, "target has 0 entries for 2 cases"),
            ("purple", ValueError, "There is no class 'purple' among the 3 classes; nearest: "),
            (3, ValueError, "The class index 3 is out of range: the model has 3 classes"),
            (-1, ValueError, "The class index -1 is out of range: the model has 3 classes"),
            (1.0, TypeError, "target is 1.0; "),
            ({"red"}, TypeError, "target is {'red'}; "),
            (True, TypeError, "A class is a str (its name) or an int (its index), not True"),
            ([None, "red"], TypeError, "A class is a str (its name) or an int (its index), not None"),
        ],
    )
    def test_what_names_no_class_is_an_error(self, audit, target, error, message):
        text = message_of(error, audit.assert_mass_inside, list(self.CASES), target=target)
        assert text.startswith(message)

    def test_several_labels_need_a_target(self, audit):
        case = half_case(90, id="both", label=("red", "green"))
        message = message_of(ValueError, audit.assert_mass_inside, case)
        assert message == "case 'both' has several labels: name the class as target="
        assert audit.assert_mass_inside(case, target="red").value == pytest.approx(0.9)


@pytest.mark.parametrize("name", ASSERTIONS)
def test_an_unknown_label_is_a_case_error_with_the_nearest_name(audit, name):
    case = half_case(90, id="cat", label="gren", forbidden=LEFT_HALF)
    message = message_of(CaseError, getattr(audit, name), case)
    assert message == "case 'cat': label is 'gren', which is none of the 3 class names (did you mean 'green'?)"


def test_names_need_class_names(audit_of, results):
    audit = audit_of(results.engine.model, class_names=None)
    assert "there are no class names" in message_of(CaseError, audit.assert_mass_inside, half_case(90))
    assert audit.assert_mass_inside(half_case(90, label=0)).value == pytest.approx(0.9)


def test_the_shared_results_do_not_change_a_value(audit_of, results):
    fresh = audit_of(results.engine.model, class_names=CLASSES)
    cases = population(3, 2)
    first = refused(fresh.assert_mass_inside, cases)
    again = refused(fresh.assert_mass_inside, cases[::-1])
    assert [result.value for result in first.cases] == [result.value for result in again.cases[::-1]]


class TestLines:
    def test_ids_stay_on_their_line_and_are_shortened(self, audit):
        cases = [quarter_case(10, 30, id="x\ny"), quarter_case(10, 30, id="a" * 200)]
        message = refused(audit.assert_mass_inside, cases).message
        assert f"worst: x y 0.100, {'a' * 30}…{'a' * 30} 0.100" in message


@pytest.mark.parametrize(
    ("value", "direction", "limit", "exact", "expected"),
    [
        # At the limit as far as float32 tells; `check` is of the user's own numbers.
        (0.6 * (1 - 5e-7), "at_least", 0.6, False, True),
        (0.6 * (1 - 5e-6), "at_least", 0.6, False, False),
        (0.6 * (1 + 5e-7), "at_most", 0.6, False, True),
        (0.6 * (1 + 5e-6), "at_most", 0.6, False, False),
        (-5e-8, "at_least", 0.0, False, True),
        (-5e-7, "at_least", 0.0, False, False),
        (0.6 * (1 - 5e-7), "at_least", 0.6, True, False),
        (-5e-8, "at_least", 0.0, True, False),
        (0.2 - 1e-12, "at_least", 0.2, True, True),
    ],
)
def test_a_limit_is_held_as_far_as_the_numbers_tell(value, direction, limit, exact, expected):
    assert holds(value, Threshold("value", limit, direction), exact) is expected


def test_the_interval_is_that_of_groups_where_cases_have_some(audit):
    """For information only: the verdict without a confidence counts cases, but these are not independent."""
    cases = [replace(case, group=f"g{index // 2}") for index, case in enumerate(population(6, 0))]
    finding = audit.assert_mass_inside(cases)
    assert (finding.n, finding.unit) == (6, "cases")
    assert finding.interval == pytest.approx((0.025 ** (1 / 3), 1))
    assert "95 % interval 29.2 to 100.0 %" in finding.message


def test_reasons_that_differ_in_numbers_are_one():
    notes = ("reaches 0.91 too", "reaches 0.95 too", "no evidence", "lost")
    results = [CaseResult(f"c{index}", None, "unscorable", note) for index, note in enumerate(notes)]
    assert reasons("4 unscorable", results) == ("4 unscorable: c0, c1: reaches 0.91 too; c2: no evidence and 1 more")
