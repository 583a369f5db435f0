import pytest

from pytest_cnnaudit.report.limits import Limit
from pytest_cnnaudit.report.number_line import case_line, finding_line, number_line
from pytest_cnnaudit.report.scale import Mark, Scale, Span

AT_LEAST_HALF = [Limit(0.5, "at_least")]


def test_positions_on_a_line_from_0_to_1():
    line = number_line(0.25, AT_LEAST_HALF, chance=0.1, interval=[0.2, 0.3])
    assert line.value == Mark(25.5, "0.25")
    assert line.limits == (Mark(50.0, "at least 0.50"),)
    assert line.chance == Mark(10.8, "chance 0.10")
    assert line.interval == Span(20.6, 9.8)
    assert line.zone == Span(50.0, 49.0)
    assert line.description == "measured 0.25, at least 0.50, chance 0.10"


def test_at_most_passes_on_the_left():
    line = number_line(0.9, [Limit(0.1, "at_most")])
    assert line.zone == Span(1.0, 9.8)


def test_two_limits_leave_the_zone_between_them():
    line = number_line(0.9, [Limit(0.25, "at_least"), Limit(0.5, "at_most")])
    assert line.zone == Span(25.5, 24.5)
    assert line.description == "measured 0.90, at least 0.25, at most 0.50"


def test_chance_of_single_pictures_is_not_drawn_on_their_share(population):
    assert finding_line(population()).chance is None
    assert finding_line(population(name="predicts")).chance.text == "chance 24\u00a0%"


def test_a_yes_or_no_has_no_line(finding, case):
    assert case_line(finding(), case()).value.text == "0.12"
    assert case_line(finding(name="predicts"), case()) is None


def test_ticks_that_another_mark_would_strike_through_are_left_out():
    line = number_line(0.9, AT_LEAST_HALF)
    assert [tick.text for tick in line.ticks] == ["0", "0.25", "0.75", "1"]


@pytest.mark.parametrize(
    ("numbers", "low", "high"),
    [
        ([0.2, None], 0.0, 1.0),
        ([-0.2, 0.5], -1.0, 1.0),
        ([12.5, 25.0], 0.0, 27.0),
        ([-50.0, -10.0], -54.0, 0.0),
        ([float("nan"), 0.3], 0.0, 1.0),
    ],
)
def test_scales_have_natural_ends(numbers, low, high):
    assert Scale.around(numbers) == Scale(low, high)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_no_number_no_line(value):
    assert number_line(value, AT_LEAST_HALF) is None
