"""`assert_mass_inside` on one case: values, limits, what the finding holds, and what the user reads."""

import numpy as np
import pytest
from colours import LEFT_HALF, QUARTER, half_case, message_of, picture, quarter_case, refused
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from kept import Kept

from pytest_cnnaudit import AuditFailure, Box, Case, Mask, metrics
from pytest_cnnaudit.audit import Audit

BOTH = [("mass inside", 0.5, "at_least"), ("excess", 0.2, "at_least")]


def halves_of(mass):
    return np.repeat([[100 * mass, 100 * mass, 100 - 100 * mass, 100 - 100 * mass]], 4, axis=0).round().astype(int)


def limits(finding):
    return [(limit.name, limit.value, limit.direction) for limit in finding.thresholds]


def test_a_passing_case_gives_all_its_numbers(audit):
    finding = audit.assert_mass_inside(quarter_case(90, 10, id="cat"))
    assert (finding.outcome, finding.value, finding.threshold, finding.direction) == (
        "passed",
        pytest.approx(0.75),
        0.5,
        "at_least",
    )
    assert (finding.chance, finding.mean) == (0.25, pytest.approx(0.75))
    assert (finding.n, finding.passed, finding.unscorable) == (1, 1, 0)
    assert (finding.method, finding.layer, finding.target) == ("grad-cam", "colour", "label")
    assert (finding.mostly, finding.confidence, finding.interval) == (None, None, None)
    assert limits(finding) == BOTH
    assert finding.test == "tests/test_gate.py::test_looks"
    assert finding.seconds > 0
    [result] = finding.cases
    assert (result.id, result.value, result.outcome, result.note) == ("cat", pytest.approx(0.75), "passed", "")
    assert finding.message == (
        "mass_inside: passed: cat: mass inside 0.75 ≥ 0.5 (margin +0.25), chance 0.25\n"
        "  excess 0.6667 ≥ 0.2 (margin +0.467), chance 0\n"
        "  heatmaps: grad-cam at 'colour', target: label"
    )


def test_a_failing_case_says_value_threshold_chance_margin_and_page(audit, page):
    finding = refused(audit.assert_mass_inside, quarter_case(10, 30, id="cat"))
    assert (finding.outcome, finding.value, finding.threshold) == ("failed", pytest.approx(0.1), 0.5)
    assert (finding.n, finding.passed, finding.unscorable) == (1, 0, 0)
    assert finding.cases[0].outcome == "failed"
    assert finding.message == (
        "mass_inside: failed: cat: mass inside 0.1 < 0.5 (margin -0.4), chance 0.25\n"
        "  excess -0.2 < 0.2 (margin -0.4), chance 0\n"
        "  heatmaps: grad-cam at 'colour', target: label\n"
        f"  page: {page}"
    )


@pytest.mark.parametrize("inside", [90, 10])
def test_the_finding_is_on_disk_whether_it_passed_or_not(audit, recorded, inside):
    case = quarter_case(inside, 10, id="cat")
    try:
        finding = audit.assert_mass_inside(case)
    except AuditFailure as failure:
        finding = failure.finding
    [written] = recorded()
    for name in ("name", "outcome", "value", "threshold", "direction", "chance", "message", "layer", "seconds"):
        assert written[name] == getattr(finding, name)
    assert written["outcome"] == ("passed" if inside == 90 else "failed")
    assert written["cases"] == [
        {"id": "cat", "value": finding.value, "outcome": finding.outcome, "note": ""},
    ]


def test_excess_stops_a_large_region_from_giving_the_mass_away(audit):
    finding = refused(audit.assert_mass_inside, half_case(55, id="cat"))
    assert finding.value == pytest.approx(0.55)
    assert limits(finding) == BOTH
    first, second, *_ = finding.message.split("\n  ")
    # What failed comes first, what held after it.
    assert first == "mass_inside: failed: cat: excess 0.1 < 0.2 (margin -0.1), chance 0"
    assert second == "mass inside 0.55 ≥ 0.5 (margin +0.05), chance 0.5"


def test_excess_none_leaves_the_mass_alone(audit):
    finding = audit.assert_mass_inside(half_case(55), excess_at_least=None)
    assert limits(finding) == BOTH[:1]
    assert "excess" not in finding.message


def test_at_least_none_leaves_the_excess_alone(audit):
    case = quarter_case(60, 40, id="cat")  # mass 1/3, excess 1/9
    finding = audit.assert_mass_inside(case, at_least=None, excess_at_least=0.1)
    assert finding.value == pytest.approx(1 / 3)
    assert limits(finding) == [("excess", 0.1, "at_least")]
    # An excess of 0.1 above a chance of 0.25 is a mass of 0.25 + 0.1 · 0.75.
    assert finding.threshold == pytest.approx(0.325)
    assert finding.message.startswith("mass_inside: passed: cat: excess 0.1111 ≥ 0.1 (margin +0.0111), chance 0\n")


def test_at_least_none_is_held_against_the_excess_not_the_mass(audit):
    finding = refused(audit.assert_mass_inside, half_case(50), at_least=None)
    assert (finding.value, finding.threshold) == (0.5, pytest.approx(0.6))
    assert "excess 0 < 0.2 (margin -0.2)" in finding.message


@pytest.mark.parametrize("case", [quarter_case(30, 10), half_case(60)])
def test_a_value_at_the_limit_passes_whatever_the_rounding(audit, case):
    # 30 / 60 is 0.5; (0.6 − 0.5) / (1 − 0.5) is 0.19999999999999996 in binary.
    assert audit.assert_mass_inside(case).outcome == "passed"


def test_a_value_just_below_the_limit_is_not_shown_as_equal_to_it(audit):
    case = quarter_case(200, 67)  # 200 / 401
    message = refused(audit.assert_mass_inside, case, at_least=0.49876).message
    assert "mass inside 0.498753117207 < 0.49876 (margin -6.88e-06)" in message


def test_several_regions_are_their_union(audit):
    overlapping = (Box(0, 0, 2, 4), Box(1, 0, 3, 4))
    case = Case(picture(red=np.repeat([[10, 20, 30, 40]], 4, axis=0)), label="red", region=overlapping)
    finding = audit.assert_mass_inside(case, excess_at_least=None)
    assert (finding.value, finding.chance) == (pytest.approx(0.6), 0.75)


def test_region_stands_for_the_cases_own(audit):
    case = quarter_case(90, 10)
    finding = refused(audit.assert_mass_inside, case, region=Box(2, 2, 4, 4))
    assert (finding.value, finding.chance) == (pytest.approx(1 / 12), 0.25)
    bare = Case(case.image, label="red")
    assert audit.assert_mass_inside(bare, region=[QUARTER]).value == pytest.approx(0.75)


def test_a_mask_is_a_region(audit):
    mask = np.zeros((4, 4), bool)
    mask[[0, 1, 2, 3], [0, 1, 2, 3]] = True
    red = np.where(mask, 90, 10)
    finding = audit.assert_mass_inside(Case(picture(red=red), label="red", region=Mask(mask)))
    assert (finding.value, finding.chance) == (pytest.approx(0.75), 0.25)


def test_a_cell_half_inside_counts_half(audit):
    case = Case(picture(red=100), label="red", region=Box(0, 0, 1.5, 4))
    finding = refused(audit.assert_mass_inside, case)
    assert (finding.value, finding.chance) == (pytest.approx(0.375), 0.375)


@pytest.mark.parametrize(
    ("target", "mass", "named"),
    [
        (None, 0.9, "label"),
        ("label", 0.9, "label"),
        ("red", 0.9, "red"),
        (0, 0.9, "0"),
        (np.int64(0), 0.9, "0"),
        ([0], 0.9, "as given"),
        ("predicted", 0.3, "predicted"),
        ("green", 0.3, "green"),
        (["green"], 0.3, "as given"),
        (np.array([1]), 0.3, "as given"),
    ],
)
def test_target(audit, target, mass, named):
    image = picture(red=halves_of(0.9), green=halves_of(0.3) * 2)  # green is what the model predicts
    case = Case(image, label="red", region=LEFT_HALF)
    finding = audit.assert_mass_inside(case, target=target, at_least=0.1, excess_at_least=None)
    assert (finding.value, finding.target) == (pytest.approx(mass), named)


def test_without_a_label_the_predicted_class_is_explained(audit):
    image = picture(red=halves_of(0.9), green=halves_of(0.3) * 2)
    finding = audit.assert_mass_inside(Case(image, region=LEFT_HALF), at_least=0.1, excess_at_least=None)
    assert (finding.value, finding.target) == (pytest.approx(0.3), "predicted")


def test_layer_and_method_are_those_asked_for(audit):
    def red_only(activations, gradients, scores):
        return activations[..., 0]

    case = quarter_case(90, 10, label="green")
    finding = audit.assert_mass_inside(case, layer="colour", method=red_only)
    assert (finding.value, finding.layer, finding.method) == (pytest.approx(0.75), "colour", "red_only")


def test_an_unknown_layer_or_method_is_an_error_that_lists_the_known(audit):
    assert "colour" in message_of(ValueError, audit.assert_mass_inside, half_case(90), layer="color")
    assert "grad-cam" in message_of(ValueError, audit.assert_mass_inside, half_case(90), method="gradcam")


@given(red=arrays(np.uint8, (4, 4)).filter(np.any), left=st.floats(0, 2), width=st.floats(1, 2))
def test_the_value_is_the_measure_on_the_engines_map(results, red, left, width):
    case = Case(picture(red=red), label="red", region=Box(left, 0, left + width, 4))
    heatmaps = results.engine.heatmaps([case], target="label")
    expected = metrics.mass_inside(heatmaps.maps[0], heatmaps.coverage()[0])
    np.testing.assert_allclose(expected, (red * heatmaps.coverage()[0]).sum() / red.sum(), rtol=1e-6)
    finding = judged(results, case)
    assert finding.value == expected
    assert finding.chance == pytest.approx(width / 4)
    assert finding.outcome == ("passed" if expected >= 0.25 * (1 - 1e-9) else "failed")


def judged(results, case):
    # Not with the fixtures, which hypothesis would share between examples.
    try:
        return Audit("test", Kept(), lambda: results).assert_mass_inside(case, at_least=0.25, excess_at_least=None)
    except AuditFailure as failure:
        return failure.finding
