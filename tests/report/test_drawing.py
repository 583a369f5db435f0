import pytest

from pytest_cnnaudit.report import drawing
from pytest_cnnaudit.report.words import Limit

AT_LEAST_HALF = [Limit(0.5, "at_least")]


def test_positions_on_a_line_from_0_to_1():
    line = drawing.number_line(0.25, AT_LEAST_HALF, chance=0.1, interval=[0.2, 0.3])
    assert line.value == drawing.Mark(25.5, "0.25")
    assert line.limits == (drawing.Mark(50.0, "at least 0.50"),)
    assert line.chance == drawing.Mark(10.8, "chance 0.10")
    assert line.interval == drawing.Span(20.6, 9.8)
    assert line.zone == drawing.Span(50.0, 49.0)
    assert line.description == "measured 0.25, at least 0.50, chance 0.10"


def test_at_most_passes_on_the_left():
    line = drawing.number_line(0.9, [Limit(0.1, "at_most")])
    assert line.zone == drawing.Span(1.0, 9.8)


def test_two_limits_leave_the_zone_between_them():
    line = drawing.number_line(0.9, [Limit(0.25, "at_least"), Limit(0.5, "at_most")])
    assert line.zone == drawing.Span(25.5, 24.5)
    assert line.description == "measured 0.90, at least 0.25, at most 0.50"


def test_chance_of_single_pictures_is_not_drawn_on_their_share(population):
    assert drawing.finding_line(population()).chance is None
    assert drawing.finding_line(population() | {"name": "predicts"}).chance.text == "chance 24\u00a0%"


def test_a_yes_or_no_has_no_line(finding, case):
    assert drawing.case_line(finding(), case()).value.text == "0.12"
    assert drawing.case_line(finding(name="predicts"), case()) is None


def test_ticks_that_another_mark_would_strike_through_are_left_out():
    line = drawing.number_line(0.9, AT_LEAST_HALF)
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
    assert drawing.Scale.around(numbers) == drawing.Scale(low, high)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_no_number_no_line(value):
    assert drawing.number_line(value, AT_LEAST_HALF) is None


def test_histogram_counts_failed_and_passed_cases(population):
    drawn = drawing.histogram(population(10, 3))
    # Values 0.05, 0.14, … in bins of 0.05; the last three (0.68, 0.77, 0.86) pass.
    assert [i for i, column in enumerate(drawn.columns) if column.failed] == [1, 2, 4, 6, 8, 10, 11]
    assert [i for i, column in enumerate(drawn.columns) if column.passed] == [13, 15, 17]
    assert drawn.tallest == 1
    assert [mark.text for mark in drawn.limits] == ["at least 0.50"]


def test_histogram_needs_five_values_that_say_more_than_yes_or_no(population, finding):
    assert drawing.histogram(population(4, 1)) is None
    yes_no = [{"id": str(i), "value": float(i % 2), "outcome": "failed"} for i in range(10)]
    assert drawing.histogram(finding(cases=yes_no)) is None


def test_a_region_and_its_labels_place(case):
    stage = drawing.stage(case())
    assert stage.view == (0.0, 0.0, 200.0, 100.0)
    assert stage.regions[0].box == (100.0, 20.0, 180.0, 80.0)
    assert stage.regions[0].label == "allowed"
    assert stage.regions[0].label_y == 16.0  # letters are 10 pixels high: above the box
    assert not stage.cropped


@pytest.mark.parametrize(
    ("box", "y", "anchor"),
    [
        ([0, 0, 50, 30], 41.5, "start"),  # no room above: below
        ([150, 0, 200, 30], 41.5, "end"),  # no room to the right either
        ([0, 0, 50, 100], 11.5, "start"),  # full height: inside
    ],
)
def test_labels_stay_in_the_picture(case, box, y, anchor):
    region = drawing.stage(case(regions=[{"role": "forbidden", "box": box}])).regions[0]
    assert (region.label_y, region.label_anchor) == (y, anchor)


def test_padding_widens_the_view_and_cropping_dims_the_rim(case, heatmap):
    padded = drawing.stage(case(heatmap=heatmap([[1]], [0, -50, 200, 150])))
    assert padded.view == (0.0, -50.0, 200.0, 200.0)
    assert padded.canvas == [0.0, 0.0, 1.0, 1.0]
    assert not padded.cropped
    cropped = drawing.stage(case(heatmap=heatmap([[1]], [50, 0, 150, 100])))
    assert cropped.view == (0.0, 0.0, 200.0, 100.0)
    assert cropped.canvas == [0.25, 0.0, 0.5, 1.0]
    assert cropped.cropped


def test_bars_start_at_zero_on_a_common_scale():
    rows = [{"layer": "a", "value": 0.5}, {"layer": "b", "value": None, "note": "no ReLU"}]
    assert drawing.bars(rows) == [
        drawing.Bar("a", "0.50", "", 1.0, 49.0),
        drawing.Bar("b", "–", "no ReLU", 1.0, 0.0),
    ]


@pytest.mark.parametrize(
    "src",
    [
        "https://example.org/x.png",
        "javascript:alert(1)",
        "data:text/html;base64,AA",
        "data:image/svg+xml;x",
        7,
    ],
)
def test_only_embedded_bitmaps_are_pictures(src):
    assert drawing.data_image(src) is None
