"""`assert_avoids`: the mass in the forbidden region, and the direction of its limit."""

import numpy as np
import pytest
from colours import QUARTER, message_of, picture, quarter, quarter_case, refused

from pytest_cnnaudit import Box, Case, Mask


def stamped(inside, outside, id=None, **about):  # noqa: A002 - the name of Case's own argument
    """A red picture with its forbidden region in the upper left quarter; chance is 0.25."""
    return quarter_case(inside, outside, id, **{"region": None, "forbidden": QUARTER, **about})


def test_a_passing_case_gives_all_its_numbers(audit):
    finding = audit.assert_avoids(stamped(5, 65, id="cat"))
    assert (finding.outcome, finding.value) == ("passed", pytest.approx(0.025))
    assert (finding.threshold, finding.direction, finding.chance) == (0.1, "at_most", 0.25)
    assert (finding.n, finding.passed, finding.unscorable) == (1, 1, 0)
    assert (finding.method, finding.layer, finding.target) == ("grad-cam", "colour", "label")
    [limit] = finding.thresholds
    assert (limit.name, limit.value, limit.direction) == ("mass in the forbidden region", 0.1, "at_most")
    assert finding.message == (
        "avoids: passed: cat: mass in the forbidden region 0.025 ≤ 0.1 (margin +0.075), chance 0.25\n"
        "  heatmaps: grad-cam at 'colour', target: label"
    )


def test_a_failing_case_says_value_threshold_chance_margin_and_page(audit, page, recorded):
    finding = refused(audit.assert_avoids, stamped(90, 10, id="cat"))
    assert (finding.outcome, finding.value, finding.passed) == ("failed", pytest.approx(0.75), 0)
    assert finding.message == (
        "avoids: failed: cat: mass in the forbidden region 0.75 > 0.1 (margin -0.65), chance 0.25\n"
        "  heatmaps: grad-cam at 'colour', target: label\n"
        f"  page: {page}"
    )
    assert [one["outcome"] for one in recorded()] == ["failed"]


def test_the_limit_itself_passes(audit):
    assert audit.assert_avoids(stamped(20, 60)).value == pytest.approx(0.1)
    assert refused(audit.assert_avoids, stamped(20, 59)).value == pytest.approx(20 / 197)


def test_no_mass_at_all_there_is_a_pass(audit):
    finding = audit.assert_avoids(stamped(0, 60), at_most=0)
    assert (finding.value, finding.cases[0].outcome) == (0.0, "passed")


def test_the_allowed_region_plays_no_part(audit):
    case = Case(picture(red=quarter(0, 60)), label="red", region=Box(0, 0, 4, 4), forbidden=QUARTER)
    assert audit.assert_avoids(case).value == 0.0
    message = message_of(ValueError, audit.assert_avoids, quarter_case(90, 10, id="cat"))
    assert message.startswith("case 'cat' has no forbidden region")


def test_region_stands_for_the_cases_own(audit):
    case = stamped(90, 10)
    finding = audit.assert_avoids(case, region=[Box(2, 2, 3, 4), Mask(np.eye(4, dtype=bool)[::-1])], at_most=0.2)
    # Two cells of a column and the four of the counter-diagonal, all of them outside the quarter.
    assert (finding.value, finding.chance) == (pytest.approx(60 / 480), 6 / 16)


def test_the_worst_of_a_population_have_the_most_mass(audit, page):
    cases = [stamped(inside, 60, id=f"{inside}") for inside in (90, 10, 180, 60)]
    finding = refused(audit.assert_avoids, cases, mostly=0.5)
    assert (finding.value, finding.threshold, finding.direction) == (0.25, 0.5, "at_least")
    assert finding.mean == pytest.approx((90 / 270 + 10 / 190 + 180 / 360 + 60 / 240) / 4)
    assert finding.message == (
        "avoids: failed: 1 of 4 cases pass (25.0 %); 50 % required (margin -0.25), 95 % interval 0.6 to 80.6 %\n"
        "  a case passes with mass in the forbidden region ≤ 0.1; mean 0.284, chance 0.250\n"
        # All have the same forbidden region, so others' regions give the mean again; a quarter of the blob is there.
        "  controls: other cases' regions 0.284, a blob in the middle 0.250\n"
        "  worst: 180 0.500, 90 0.333, 60 0.250\n"
        "  heatmaps: grad-cam at 'colour', target: label\n"
        f"  page: {page}"
    )
