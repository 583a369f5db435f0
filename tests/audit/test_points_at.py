"""`assert_points_at`: the maximum, ties, the tolerance in the original picture's pixels, and chance."""

import numpy as np
import pytest
from colours import (
    LEFT_HALF,
    QUARTER,
    colour_model,
    half_case,
    halves,
    message_of,
    picture,
    quarter,
    quarter_case,
    refused,
)

from pytest_cnnaudit import Box, Case, Mask, Preprocessing


def spot(row, column, id=None, size=4, **about):  # noqa: A002 - the name of Case's own argument
    """A red picture whose brightest pixel is this one; everything else is a little red."""
    red = np.full((size, size), 10)
    red[row, column] = 100
    return Case(picture(red=red, height=size, width=size), id=id, **{"label": "red", "region": QUARTER, **about})


def test_a_hit_gives_all_its_numbers(audit):
    finding = audit.assert_points_at(spot(1, 1, id="cat"))
    assert (finding.name, finding.outcome, finding.value, finding.threshold) == ("points_at", "passed", 1.0, 1.0)
    assert (finding.chance, finding.n, finding.passed, finding.unscorable) == (0.25, 1, 1, 0)
    assert (finding.method, finding.layer, finding.target) == ("grad-cam", "colour", "label")
    assert finding.cases[0].note == ""
    assert finding.message == (
        "points_at: passed: cat: pointing hit 1 ≥ 1 (margin +0), chance 0.25\n"
        "  heatmaps: grad-cam at 'colour', target: label"
    )


def test_a_miss_says_how_far_off_it_is(audit, page):
    # The centre (3.5, 2.5) is 1.5 to the right of the region and 0.5 below it.
    finding = refused(audit.assert_points_at, spot(2, 3, id="cat"))
    assert (finding.outcome, finding.value) == ("failed", 0.0)
    assert finding.cases[0].note == f"the maximum is {np.hypot(1.5, 0.5):.3g} pixels off"
    assert finding.message == (
        "points_at: failed: cat: pointing hit 0 < 1 (margin -1), chance 0.25\n"
        "  the maximum is 1.58 pixels off\n"
        "  heatmaps: grad-cam at 'colour', target: label\n"
        f"  page: {page}"
    )


def test_cells_within_rounding_of_the_maximum_are_maxima_too(audit):
    def nearly_tied(activations, gradients, scores):
        maps = np.zeros(activations.shape[:3])
        maps[:, 0, 0], maps[:, 3, 3] = 1, 1 - 5e-7
        return maps

    finding = refused(audit.assert_points_at, spot(0, 0), method=nearly_tied)
    assert finding.value == 0
    assert finding.cases[0].note.startswith("several cells are the maximum, 50% of them in the region")


@pytest.mark.parametrize(
    ("inside", "hit", "note"),
    [
        (3, 1.0, "several cells are the maximum, 75% of them in the region: a hit is more than half"),
        (2, 0.0, "several cells are the maximum, 50% of them in the region: a hit is more than half"),
        (1, 0.0, "several cells are the maximum, 25% of them in the region: a hit is more than half"),
    ],
)
def test_of_tied_maxima_more_than_half_must_be_inside(audit, inside, hit, note):
    red = np.full((4, 4), 10)
    for place in [(0, 0), (0, 1), (1, 0)][:inside] + [(3, 3), (3, 2), (2, 3)][: 4 - inside]:
        red[place] = 100
    case = Case(picture(red=red), label="red", region=QUARTER)
    finding = audit.assert_points_at(case) if hit else refused(audit.assert_points_at, case)
    assert (finding.value, finding.cases[0].note) == (hit, note)


def test_a_uniform_map_does_not_hit_half_the_picture(audit):
    assert refused(audit.assert_points_at, half_case(50)).value == 0.0


class TestTolerance:
    @pytest.mark.parametrize(("tolerance", "hit"), [(0, False), (0.49, False), (0.5, True), (0.51, True), (100, True)])
    def test_is_the_distance_of_the_centre_from_the_region(self, audit, tolerance, hit):
        # The centre (2.5, 0.5) is half a pixel to the right of the region.
        case = spot(0, 2, region=Box(1, 0, 2, 1))
        if tolerance == 100:  # then every cell counts
            message = message_of(ValueError, audit.assert_points_at, case, tolerance=tolerance)
            assert "the region and its tolerance cover 100% of the picture, more than 80%" in message
        elif hit:
            assert audit.assert_points_at(case, tolerance=tolerance).value == 1.0
        else:
            assert refused(audit.assert_points_at, case, tolerance=tolerance).value == 0.0

    def test_is_round_at_the_corners(self, audit):
        case = spot(1, 1, region=Box(0, 0, 1, 1))  # half a pixel in both directions
        assert refused(audit.assert_points_at, case, tolerance=0.7).value == 0.0
        assert audit.assert_points_at(case, tolerance=0.71).value == 1.0

    def test_is_in_pixels_of_the_original_picture(self, audit_of):
        # 40 pixels on 4 cells: the cell right of the region has its centre 5 pixels away, not half a one.
        audit = audit_of(colour_model())
        red = np.full((40, 40), 10)
        red[:10, 10:20] = 100
        case = Case(picture(red=red, height=40, width=40), label="red", region=Box(0, 0, 10, 10))
        assert refused(audit.assert_points_at, case, tolerance=4.9).value == 0.0
        assert audit.assert_points_at(case, tolerance=5).value == 1.0

    def test_follows_the_crop(self, audit_of):
        # The crop keeps the columns 2 to 6 of 8: the map's first cell has its centre at 2.5 of the original.
        audit = audit_of(colour_model(), preprocessing=Preprocessing(resize="crop"))
        red = np.full((4, 8), 10)
        red[0, 2] = 100
        case = Case(picture(red=red, width=8), label="red", region=Box(0, 0, 2.1, 1))
        assert "no cell" in message_of(ValueError, audit.assert_points_at, case, tolerance=0.39)
        assert audit.assert_points_at(case, tolerance=0.41).value == 1.0

    def test_raises_chance_to_the_share_of_cells_within_it(self, audit):
        case = spot(0, 0, region=Box(0, 0, 1, 1))
        assert audit.assert_points_at(case).chance == 1 / 16
        # The cells to the right and below, and with 0.75 the one at the corner too.
        assert audit.assert_points_at(case, tolerance=0.5).chance == 3 / 16
        assert audit.assert_points_at(case, tolerance=0.75).chance == 4 / 16

    def test_is_in_the_limit_and_in_the_record(self, audit, recorded):
        finding = audit.assert_points_at(spot(0, 0), tolerance=0.5)
        assert finding.thresholds[0].name == "maximum in the region or within 0.5 pixels of it"
        assert recorded()[0]["demands"]["tolerance"] == 0.5

    def test_of_a_mask_is_measured_from_its_nearest_pixel(self, audit):
        mask = np.zeros((4, 4), bool)
        mask[:, 0] = mask[1, 1] = True
        case = spot(1, 2, region=Mask(mask))  # half a pixel right of (1, 1)
        assert refused(audit.assert_points_at, case, tolerance=0.49).value == 0.0
        # Within half a pixel: the mask, the rest of the second column, and this cell.
        assert audit.assert_points_at(case, tolerance=0.5).chance == 9 / 16

    @pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
    def test_must_be_a_distance(self, audit, value):
        assert message_of(ValueError, audit.assert_points_at, spot(0, 0), tolerance=value).startswith("tolerance is")

    @pytest.mark.parametrize("value", ["5", None, True, (1, 1)])
    def test_must_be_a_number(self, audit, value):
        assert message_of(TypeError, audit.assert_points_at, spot(0, 0), tolerance=value).startswith("tolerance is")


class TestPopulation:
    CASES = (*(spot(0, 0, id=f"hit {index}") for index in range(4)), *(spot(3, 3, id=f"miss {i}") for i in range(6)))

    def test_shares_chance_and_controls_are_shown_where_it_passes(self, audit, recorded):
        finding = audit.assert_points_at(self.CASES, mostly=0.4)
        assert (finding.outcome, finding.value, finding.threshold, finding.chance) == ("passed", 0.4, 0.4, 0.25)
        # All regions are the same quarter, so others' give the same share; the blob's maximum is shared by the
        # four cells in the middle, of which one lies in the region.
        assert finding.controls == {"other cases' regions": pytest.approx(0.4), "a blob in the middle": 0.0}
        assert "controls: other cases' regions 0.400, a blob in the middle 0.000" in finding.message
        assert recorded()[0]["controls"] == finding.controls

    def test_other_cases_regions_are_those_of_all_pairs(self, audit):
        corners = [Box(x, y, x + 2, y + 2) for x, y in ((0, 0), (2, 0), (0, 2), (2, 2))]
        cases = [spot(0, 0, id=f"{index}", region=corner) for index, corner in enumerate(corners)]
        finding = refused(audit.assert_points_at, cases)
        # Each map hits the first region only: 3 of the 12 other pairs.
        assert finding.controls["other cases' regions"] == pytest.approx(3 / 12)

    def test_the_excess_raises_what_is_demanded_where_mostly_is_near_chance(self, audit):
        # 0.25 + 0.4 · 0.75 = 0.55
        finding = refused(audit.assert_points_at, self.CASES, mostly=0.3, excess_at_least=0.4)
        assert (finding.value, finding.threshold, finding.mostly) == (0.4, pytest.approx(0.55), pytest.approx(0.55))
        assert "mostly is 0.3, but an excess of 0.4 over chance demands 0.550" in finding.message
        # 0.25 + 0.2 · 0.75 = 0.4 is just reached.
        assert audit.assert_points_at(self.CASES, mostly=0.3, excess_at_least=0.2).threshold == pytest.approx(0.4)

    def test_a_share_that_is_just_what_the_excess_demands_passes(self, audit):
        # 2/16 + 0.2 · 14/16 is 0.3 by hand, and a little more in binary.
        pair = Box(0, 0, 2, 1)
        places = [(0, 0), (0, 1), (0, 0), *[(3, 3)] * 7]
        cases = [spot(*place, id=f"{index}", region=pair) for index, place in enumerate(places)]
        finding = audit.assert_points_at(cases, mostly=0.01, excess_at_least=0.2)
        assert (finding.value, finding.threshold, finding.chance) == (0.3, 0.3, 0.125)

    def test_the_excess_leaves_a_stricter_mostly_alone(self, audit):
        finding = refused(audit.assert_points_at, self.CASES, mostly=0.9, excess_at_least=0.2)
        assert finding.threshold == 0.9
        assert "demands" not in finding.message

    def test_without_an_excess_mostly_is_all(self, audit):
        finding = audit.assert_points_at(self.CASES, mostly=0.3)
        assert finding.threshold == 0.3

    def test_the_excess_is_each_classs_own(self, audit):
        reds = [spot(0, 0, id=f"red {index}") for index in range(4)]
        green = picture(green=halves(90, 10))
        greens = [Case(green, label="green", region=LEFT_HALF, id=f"green {index}") for index in range(4)]
        finding = audit.assert_points_at([*reds, *greens], mostly=0.1, excess_at_least=0.2, by="label")
        assert {part.name: part.threshold for part in finding.parts} == {
            "red": pytest.approx(0.4),
            "green": pytest.approx(0.6),
        }

    @pytest.mark.parametrize("value", [-1.01, 1.01, float("nan"), "0.2"])
    def test_the_excess_is_checked(self, audit, value):
        error = TypeError if isinstance(value, str) else ValueError
        text = message_of(error, audit.assert_points_at, self.CASES, excess_at_least=value)
        assert text.startswith("excess_at_least is")


def test_region_target_layer_and_method_are_those_asked_for(audit):
    def green_only(activations, gradients, scores):
        return activations[..., 1]

    image = picture(red=quarter(10, 90), green=quarter(90, 10))
    case = Case(image, label="red")
    assert refused(audit.assert_points_at, case, region=QUARTER).target == "label"
    assert audit.assert_points_at(case, region=QUARTER, target="green").value == 1.0
    assert audit.assert_points_at(case, region=[QUARTER], method=green_only, layer="colour").method == "green_only"


def test_without_a_region_the_case_is_named(audit):
    message = message_of(ValueError, audit.assert_points_at, [quarter_case(90, 10), Case(picture(red=1), label="red")])
    assert message.startswith("case 1 has no region")
