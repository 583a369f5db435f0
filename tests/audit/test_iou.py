"""`assert_iou`: the thresholded map against the region, worked out by hand and with SciPy's Jaccard distance."""

import numpy as np
import pytest
from colours import QUARTER, message_of, picture, quarter_case, refused
from scipy.spatial.distance import jaccard

from pytest_cnnaudit import Box, Case, Mask


def columns(*levels, id=None, region=QUARTER):  # noqa: A002 - the name of Case's own argument
    """A red picture whose columns have these levels."""
    return Case(picture(red=np.repeat([levels], 4, axis=0)), label="red", region=region, id=id)


def test_a_case_gives_all_its_numbers(audit, page):
    # Selected: the two left columns, 8 cells; of the region's 4 all are among them.
    finding = audit.assert_iou(columns(100, 100, 10, 10, id="cat"))
    assert (finding.name, finding.outcome, finding.value, finding.threshold) == ("iou", "passed", 0.5, 0.5)
    assert (finding.chance, finding.n, finding.passed) == (0.25, 1, 1)
    heatmaps = "\n  heatmaps: grad-cam at 'colour', target: label\n  settings: threshold 0.15"
    assert finding.message == "iou: passed: cat: IoU 0.5 ≥ 0.5 (margin +0), chance 0.25" + heatmaps
    finding = refused(audit.assert_iou, columns(100, 100, 20, 10, id="cat"))
    assert finding.value == pytest.approx(4 / 12)
    failed = "iou: failed: cat: IoU 0.3333 < 0.5 (margin -0.167), chance 0.25"
    assert finding.message == f"{failed}{heatmaps}\n  page: {page}"


@pytest.mark.parametrize(("threshold", "selected"), [(0.1, 16), (0.15, 12), (0.2, 12), (0.21, 8), (1, 4)])
def test_the_threshold_is_a_share_of_the_maximum_and_a_cell_at_it_is_selected(audit, threshold, selected):
    case = columns(200, 60, 40, 20)
    finding = audit.assert_iou(case, threshold=threshold, at_least=0)
    inside = 2 if selected == 4 else 4
    assert finding.value == pytest.approx(inside / (selected + 4 - inside))


def test_part_of_a_cell_counts_in_part(audit):
    # The region is the first column and half of the second; selected is the first.
    finding = audit.assert_iou(columns(100, 10, 10, 10, region=Box(0, 0, 1.5, 4)))
    assert (finding.value, finding.chance) == (pytest.approx(4 / 6), 0.375)


@pytest.mark.parametrize("seed", range(5))
def test_masks_agree_with_scipys_jaccard(audit, seed):
    random = np.random.default_rng(seed)
    red, mask = random.integers(0, 255, (4, 4)), random.random((4, 4)) < 0.4
    mask[0, 0] = True
    finding = audit.assert_iou(Case(picture(red=red), label="red", region=Mask(mask)), threshold=0.5, at_least=0)
    selected = red >= 0.5 * red.max()
    assert finding.value == pytest.approx(1 - jaccard(selected.ravel(), mask.ravel()))


class TestPopulation:
    def test_chance_and_controls_are_shown_where_it_passes(self, audit, recorded):
        left, right = Box(0, 0, 2, 4), Box(2, 0, 4, 4)
        cases = [columns(100, 100, 10, 10, id="a", region=left), columns(10, 10, 100, 100, id="b", region=right)]
        finding = audit.assert_iou(cases, at_least=0.9)
        assert (finding.outcome, finding.chance, finding.mean) == ("passed", 0.5, 1.0)
        # The other's region is the other half; the blob selects all but its four corners: 6 of 8 in a half,
        # and 12 + 2 in the union.
        assert finding.controls == {"other cases' regions": 0.0, "a blob in the middle": pytest.approx(6 / 14)}
        assert "controls: other cases' regions 0.000, a blob in the middle 0.429" in finding.message
        assert recorded()[0]["controls"] == pytest.approx(finding.controls)

    def test_a_single_case_has_no_controls(self, audit):
        assert audit.assert_iou(columns(100, 100, 10, 10)).controls == {}

    def test_an_excess_is_held_above_what_a_uniform_map_scores(self, audit):
        # (0.5 − 0.25) / (1 − 0.25) is 1/3.
        case = columns(100, 100, 10, 10, id="cat")
        assert audit.assert_iou(case, at_least=None, excess_at_least=0.33).threshold == pytest.approx(0.4975)
        assert "excess 0.3333 < 0.34" in refused(audit.assert_iou, case, excess_at_least=0.34).message


class TestMisuse:
    @pytest.mark.parametrize("value", [0, -0.1, 1.01, float("nan")])
    def test_a_threshold_that_selects_all_or_nothing(self, audit, value):
        missing = Case("no/such.jpg", label="red", region=QUARTER)
        assert message_of(ValueError, audit.assert_iou, missing, threshold=value).startswith(f"threshold is {value!r}")

    @pytest.mark.parametrize("value", ["0.15", None, True])
    def test_a_threshold_that_is_no_number(self, audit, value):
        assert message_of(TypeError, audit.assert_iou, columns(1, 1, 0, 0), threshold=value).startswith("threshold is")

    @pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
    def test_at_least_must_be_a_share(self, audit, value):
        assert message_of(ValueError, audit.assert_iou, columns(1, 1, 0, 0), at_least=value).startswith("at_least is")

    def test_at_least_is_needed(self, audit):
        message = message_of(ValueError, audit.assert_iou, columns(1, 1, 0, 0), at_least=None)
        assert message == "No threshold: give at_least or excess_at_least"

    def test_a_case_without_a_region_is_named(self, audit):
        cases = [quarter_case(90, 10), Case(picture(red=1), label="red")]
        assert message_of(ValueError, audit.assert_iou, cases).startswith("case 1 has no region")
