"""What happens at the edges of METHODS: nothing is dropped, and no verdict rests on a case that can't be judged."""

import numpy as np
import pytest
from colours import (
    LEFT_HALF,
    QUARTER,
    blank_case,
    colour_model,
    half_case,
    halves,
    message_of,
    picture,
    quarter,
    quarter_case,
    refused,
)

from pytest_cnnaudit import AuditFailure, Box, Case, CaseError, Mask, Preprocessing
from pytest_cnnaudit.cases import CaseWarning
from pytest_cnnaudit.engine.errors import NonFiniteError

# Each assertion on a heatmap and a region, and what the case calls the region.
ROLES = [
    ("assert_mass_inside", "region"),
    ("assert_points_at", "region"),
    ("assert_iou", "region"),
    ("assert_avoids", "forbidden"),
]
NAMES = [name for name, _ in ROLES]
INSIDE = NAMES[:3]
LEFT_HALF_OF_TWO = Box(0, 0, 2, 2)
# So that a map of one value everywhere passes, or can be scored at all.
LENIENT = {
    "assert_mass_inside": {"at_least": 0.1, "excess_at_least": None},
    "assert_points_at": {"excess_at_least": None},
    "assert_iou": {"at_least": 0.1},
    "assert_avoids": {"at_most": 0.5},
}
NO_EVIDENCE = "no positive evidence for this class at this layer (empty heatmap, {} of the evidence is negative)"


@pytest.mark.parametrize("name", NAMES)
class TestEmptyHeatmap:
    """A map without positive evidence looks nowhere: neither at the object nor past the forbidden region."""

    def test_fails_a_single_case(self, audit, name, page):
        finding = refused(getattr(audit, name), blank_case("blank"))
        assert (finding.outcome, finding.value, finding.mean) == ("failed", None, None)
        assert (finding.n, finding.passed, finding.unscorable) == (1, 0, 1)
        assert finding.chance == 0.5
        assert (finding.cases[0].outcome, finding.cases[0].value) == ("unscorable", None)
        assert finding.cases[0].note == NO_EVIDENCE.format("0%")
        lines = finding.message.split("\n  ")
        assert lines[0].endswith("failed: blank: unscorable, " + NO_EVIDENCE.format("0%"))
        assert lines[1].startswith("a case passes with ")
        assert lines[-1] == f"page: {page}"

    def test_stays_in_the_denominator(self, audit, name):
        good = Case(picture(red=halves(100, 0)), label="red", region=LEFT_HALF, forbidden=Box(2, 0, 4, 4), id="good")
        rule = {"excess_at_least": None} if name == "assert_points_at" else {}
        finding = getattr(audit, name)([good, blank_case("blank")], mostly=0.5, **rule)
        assert (finding.outcome, finding.value, finding.threshold) == ("passed", 0.5, 0.5)
        assert (finding.n, finding.passed, finding.unscorable) == (2, 1, 1)
        finding = refused(getattr(audit, name), [good, blank_case("blank")], mostly=0.51)
        assert "1 unscorable: blank: no positive evidence" in finding.message
        # The values of the others only: a missing value is not a zero.
        assert finding.mean == (0.0 if name == "assert_avoids" else 1.0)

    def test_gives_the_share_of_negative_evidence(self, audit_of, name):
        kernel = np.eye(3)
        kernel[1, 0] = -1  # green speaks against red
        audit = audit_of(colour_model(kernel))
        finding = refused(getattr(audit, name), blank_case("blank"))
        assert finding.cases[0].note == NO_EVIDENCE.format("100%")


@pytest.mark.parametrize("name", NAMES)
def test_a_population_of_empty_heatmaps_has_no_mean(audit, name):
    finding = refused(getattr(audit, name), [blank_case("a"), blank_case("b")])
    assert (finding.value, finding.mean, finding.chance, finding.unscorable) == (0.0, None, 0.5, 2)
    assert finding.controls == {}
    assert "mean" not in finding.message


@pytest.mark.parametrize(("name", "role"), ROLES)
def test_a_region_lost_by_the_crop_is_unscorable(audit_of, name, role):
    audit = audit_of(colour_model(), preprocessing=Preprocessing(resize="crop"))
    wide = picture(red=50, width=8)  # the crop keeps the columns 2 to 6
    lost = Case(wide, label="red", id="lost", **{role: Box(0, 0, 2, 4)})
    finding = refused(getattr(audit, name), lost)
    assert (finding.value, finding.chance, finding.unscorable) == (None, None, 1)
    assert finding.cases[0].note == "the region was lost in preprocessing"
    kept = Case(wide, label="red", id="kept", **{role: Box(2, 0, 4, 4)})
    if name == "assert_points_at":  # half of the tied maxima are no hit
        finding = refused(audit.assert_points_at, kept)
    else:
        finding = getattr(audit, name)(kept, **LENIENT[name])
    assert (finding.value, finding.chance) == (0.0 if name == "assert_points_at" else 0.5, 0.5)


def test_each_unscorable_case_has_its_own_reason(audit_of):
    audit = audit_of(colour_model(), preprocessing=Preprocessing(resize="crop"))
    wide = picture(red=50, width=8)  # the crop keeps the columns 2 to 6
    cases = [
        Case(wide, label="red", region=Box(0, 0, 2, 4), id="cut"),
        Case(picture(), label="red", region=LEFT_HALF, id="blank"),
        Case(wide, label="red", region=Box(0, 0, 1, 4), id="off"),
    ]
    assert (
        "3 unscorable: cut, off: the region was lost in preprocessing; blank: no positive evidence"
        in refused(audit.assert_mass_inside, cases).message
    )


def test_padding_is_no_place_to_look_at_by_chance(audit_of):
    # A picture of 4 × 2 in an input of 4 × 4; the left half is half of the picture, a quarter of the input.
    audit = audit_of(colour_model(), preprocessing=Preprocessing(resize="pad"))
    wide = Case(picture(red=50, height=2), label="red", region=LEFT_HALF_OF_TWO, forbidden=LEFT_HALF_OF_TWO)
    finding = refused(audit.assert_mass_inside, wide)
    assert (finding.value, finding.chance) == (pytest.approx(0.5), pytest.approx(0.5))
    assert "excess 0 < 0.2" in finding.message
    assert audit.assert_iou(wide, at_least=0.5).chance == pytest.approx(0.5)
    assert refused(audit.assert_points_at, wide).chance == pytest.approx(0.5)
    assert refused(audit.assert_avoids, wide).chance == pytest.approx(0.5)


@pytest.mark.parametrize(("inside", "outside"), [(153, 102), (178, 77), (230, 25)])
def test_no_verdict_hangs_on_the_rounding_of_float32(audit, inside, outside):
    # 153 of 255 is 0.6, of which float32 makes a little more or less.
    case = Case(picture(red=halves(inside, outside)), label="red", region=LEFT_HALF)
    limit = inside / 255
    assert audit.assert_mass_inside(case, at_least=limit, excess_at_least=2 * limit - 1).outcome == "passed"
    assert audit.assert_avoids(case, region=LEFT_HALF, at_most=limit).outcome == "passed"
    refused(audit.assert_mass_inside, case, at_least=limit + 1e-5, excess_at_least=None)
    refused(audit.assert_avoids, case, region=LEFT_HALF, at_most=limit - 1e-5)


@pytest.mark.parametrize("name", INSIDE)
class TestTooLargeARegion:
    """Over 80 % of the picture nearly any map passes."""

    def test_is_an_error_for_a_single_case(self, audit, recorded, name):
        # Of the four rows three and a half: 88 % of the area.
        case = Case(picture(red=50), label="red", region=Box(0, 0, 4, 3.5000001), id="huge")
        message = message_of(ValueError, getattr(audit, name), case)
        assert message.startswith("case 'huge': the region covers 88% of the picture, more than 80%")
        assert [(one["outcome"], one["message"]) for one in recorded()] == [("error", message)]

    def test_is_measured_by_area_and_not_by_the_padding(self, audit_of, name):
        # All but a rim of a picture that fills half of the model's input: 97 % of it, 48 % of the input.
        audit = audit_of(colour_model(), preprocessing=Preprocessing(resize="pad"))
        wide = Case(picture(red=50, height=2), label="red", region=Box(0, 0, 4, 1.94), id="wide")
        message = message_of(ValueError, getattr(audit, name), wide)
        assert message.startswith("case 'wide': the region covers 97% of the picture, more than 80%")

    def test_is_measured_by_area_where_centres_are_counted(self, audit, name):
        # 3.3 of 4 rows are 82 %; of the centres of cells it is three in four.
        case = Case(picture(red=50), label="red", region=Box(0, 0, 4, 3.3), id="huge")
        assert "covers 82% of the picture" in message_of(ValueError, getattr(audit, name), case)

    def test_is_unscorable_in_a_population(self, audit, name):
        cases = [
            Case(picture(red=50), label="red", region=Box(0, 0, 4, 4), id="huge"),
            half_case(90, id="good"),
        ]
        limit = {"threshold": 0.5} if name == "assert_iou" else {}
        finding = refused(getattr(audit, name), cases, **limit)
        assert (finding.n, finding.passed, finding.unscorable) == (2, 1, 1)
        assert [result.outcome for result in finding.cases] == ["unscorable", "passed"]
        assert finding.cases[0].note.startswith("the region covers 100% of the picture, more than 80%")

    def test_begins_above_80_percent(self, audit, name):
        case = Case(picture(red=quarter(100, 100)), label="red", region=Box(0, 0, 4, 3.2))
        finding = getattr(audit, name)(case, **LENIENT[name])
        share = 0.75 if name == "assert_points_at" else 0.8  # the centres of three rows of four
        assert finding.chance == pytest.approx(share)
        assert finding.value == pytest.approx(1.0 if name == "assert_points_at" else 0.8)


def test_a_large_region_may_be_forbidden(audit):
    case = Case(picture(red=50), label="red", forbidden=Box(0, 0, 4, 4))
    assert refused(audit.assert_avoids, case).value == 1.0


class TestRegionSmallerThanACell:
    """Its share of the cell is the most that any map on this grid can reach."""

    SMALL = Box(0, 0, 1, 0.6)
    CORNER = np.pad([[100]], ((0, 3), (0, 3)))

    def test_is_scored_and_the_ceiling_shown(self, audit):
        case = Case(picture(red=self.CORNER), label="red", region=self.SMALL, id="small")
        finding = audit.assert_mass_inside(case)
        assert (finding.value, finding.chance) == (pytest.approx(0.6), pytest.approx(0.0375))
        note = "the region fills no grid cell: no map can reach more than 0.600"
        assert finding.cases[0].note == note
        assert note in finding.message

    def test_at_least_may_reach_the_ceiling_but_not_exceed_it(self, audit):
        case = Case(picture(red=self.CORNER), label="red", region=self.SMALL, id="small")
        assert audit.assert_mass_inside(case, at_least=0.6).outcome == "passed"
        message = message_of(ValueError, audit.assert_mass_inside, case, at_least=0.61)
        assert message.startswith(
            "case 'small': at_least is 0.61, but no map on this 4 × 4 grid can reach more than 0.600"
        )

    def test_beyond_the_ceiling_is_unscorable_in_a_population(self, audit):
        case = Case(picture(red=self.CORNER), label="red", region=self.SMALL, id="small")
        finding = refused(audit.assert_mass_inside, [case, quarter_case(90, 10, id="good")], at_least=0.61)
        assert [result.outcome for result in finding.cases] == ["unscorable", "passed"]
        assert "at_least is 0.61, but no map" in finding.cases[0].note

    def test_an_excess_that_no_map_can_reach_is_an_error_too(self, audit):
        # Every cell is half inside: chance and ceiling are 0.5, an excess of 0.2 would take 0.6.
        mask = np.zeros((8, 8), bool)
        mask[:, ::2] = True
        case = Case(picture(red=50, height=8, width=8), label="red", region=Mask(mask), id="stripes")
        message = message_of(ValueError, audit.assert_mass_inside, case, at_least=None)
        assert message.startswith("case 'stripes': excess_at_least is 0.2, but no map on this 4 × 4 grid")

    def test_a_forbidden_one_is_scored_and_the_ceiling_shown(self, audit):
        case = Case(picture(red=self.CORNER), label="red", forbidden=self.SMALL)
        finding = refused(audit.assert_avoids, case)
        assert finding.value == pytest.approx(0.6)
        assert finding.cases[0].note == "the region fills no grid cell: no map can reach more than 0.600"

    def test_a_forbidden_one_that_can_never_be_missed_is_told(self, audit):
        # All mass lies on the stamp, and still only 6 % of it counts: the grid is too coarse for this audit.
        case = Case(picture(red=self.CORNER), label="red", forbidden=Box(0, 0, 0.3, 0.2), id="stamp")
        finding = audit.assert_avoids([case])
        note = "the region fills no grid cell: no map can reach more than 0.060, so this can't fail"
        assert finding.cases[0].note == note
        assert f"1 passed with a note: stamp: {note}" in finding.message


class TestRegionSmallerThanACellInTheOtherMeasures:
    SMALL, CORNER = TestRegionSmallerThanACell.SMALL, TestRegionSmallerThanACell.CORNER

    def test_iou_is_scored_and_its_ceiling_shown(self, audit):
        case = Case(picture(red=self.CORNER), label="red", region=self.SMALL, id="small")
        finding = audit.assert_iou(case)
        assert (finding.value, finding.chance) == (pytest.approx(0.6), pytest.approx(0.0375))
        assert finding.cases[0].note == "the region fills no grid cell: no map can reach more than 0.600"
        message = message_of(ValueError, audit.assert_iou, case, at_least=0.61)
        assert message.startswith("case 'small': at_least is 0.61, but no map on this 4 × 4 grid")

    def test_iou_beyond_the_ceiling_is_unscorable_in_a_population(self, audit):
        # Half of each of two cells: one selected gives 0.5 / 1.5, both give 1 / 2.
        case = Case(picture(red=self.CORNER), label="red", region=Box(0.5, 0, 1.5, 1), id="between")
        good = Case(picture(red=self.CORNER), label="red", region=Box(0, 0, 1, 1), id="good")
        finding = refused(audit.assert_iou, [case, good], at_least=0.51)
        assert [(result.outcome, result.value) for result in finding.cases] == [("unscorable", None), ("passed", 1.0)]
        assert "no map on this 4 × 4 grid can reach more than 0.500" in finding.cases[0].note

    def test_the_pointing_game_needs_a_centre_inside(self, audit):
        case = Case(picture(red=self.CORNER), label="red", region=Box(0, 0, 0.4, 0.4), id="small")
        message = message_of(ValueError, audit.assert_points_at, case)
        assert message.startswith("case 'small': no cell of this 4 × 4 grid has its centre in the region")
        # The centre (0.5, 0.5) is 0.1 · √2 away.
        assert audit.assert_points_at(case, tolerance=0.15).value == 1.0
        assert "no cell" in message_of(ValueError, audit.assert_points_at, case, tolerance=0.14)

    def test_the_pointing_game_without_a_centre_is_unscorable_in_a_population(self, audit):
        case = Case(picture(red=self.CORNER), label="red", region=Box(0, 0, 0.4, 0.4), id="small")
        finding = refused(audit.assert_points_at, [case, quarter_case(90, 10, id="good")])
        assert [result.outcome for result in finding.cases] == ["unscorable", "passed"]
        assert finding.cases[0].note.startswith("no cell of this 4 × 4 grid has its centre in the region")


@pytest.mark.parametrize(("name", "role"), ROLES)
class TestRegionAndPicture:
    def test_wholly_outside_is_a_case_error(self, audit, name, role, recorded):
        case = Case(picture(red=50), label="red", id="cat", **{role: Box(4, 0, 8, 4)})
        message = message_of(CaseError, getattr(audit, name), case)
        assert message.startswith(f"case 'cat': {role}: Box(4, 0, 8, 4) lies outside the picture, which is 4 × 4")
        assert [(one["outcome"], one["message"]) for one in recorded()] == [("error", message)]

    def test_wholly_outside_is_found_on_cached_heatmaps_too(self, audit, name, role):
        image = picture(red=quarter(90, 10))
        audit.heatmaps(Case(image, label="red"), target="label")
        case = Case(image, label="red", id="cat", **{role: Box(4, 0, 8, 4)})
        assert "case 'cat'" in message_of(CaseError, getattr(audit, name), case)

    def test_region_argument_outside_one_of_the_pictures_names_the_case(self, audit, name, role):
        cases = [Case(picture(red=50, width=8), label="red", id="wide"), Case(picture(red=50), label="red", id="cat")]
        message = message_of(CaseError, getattr(audit, name), cases, region=Box(5, 0, 8, 4))
        assert message.startswith("case 'cat': region: Box(5, 0, 8, 4) lies outside the picture")

    def test_partly_outside_is_clipped_with_a_warning(self, audit, name, role):
        red = quarter(200, 20) if name in ("assert_points_at", "assert_iou") else 50
        for given in ({}, {"region": Box(-3, -3, 2, 2)}):
            case = Case(picture(red=red), label="red", id="cat", **{role: Box(-3, -3, 2, 2)})
            with pytest.warns(CaseWarning, match="reaches beyond the picture"):
                finding = getattr(audit, name)(case, **given, **LENIENT[name])
            assert (finding.value, finding.chance) == (0.25 if isinstance(red, int) else 1.0, 0.25)

    def test_a_mask_of_another_size_is_a_case_error(self, audit, name, role):
        case = Case(picture(red=50), label="red", id="cat", **{role: Mask(np.eye(5, dtype=bool))})
        message = message_of(CaseError, getattr(audit, name), case)
        assert "case 'cat'" in message
        assert "5 × 5" in message

    def test_without_a_region_the_case_is_named(self, audit, name, role):
        cases = [
            half_case(90, forbidden=QUARTER),
            Case(picture(red=50), label="red"),
        ]
        message = message_of(ValueError, getattr(audit, name), cases)
        word = "forbidden region" if role == "forbidden" else "region"
        assert message.startswith(f"case 1 has no {word}: give the Case one as {role}=")

    @pytest.mark.parametrize("region", ["left", 3, [], [(0, 0, 2, 2)], {"box": 1}])
    def test_region_of_another_type_is_a_type_error(self, audit, name, role, region):
        case = half_case(90, forbidden=QUARTER)
        message = message_of(TypeError, getattr(audit, name), case, region=region)
        assert message.startswith(("region is ", "region[0] is "))
        assert ("leave it out" if region == [] else "must be a Box") in message


class TestNaN:
    @pytest.mark.parametrize("name", [*NAMES, "assert_predicts"])
    def test_weights_give_an_error_never_a_verdict(self, audit_of, recorded, name):
        audit = audit_of(colour_model(np.full((3, 3), np.nan)))
        message = message_of(NonFiniteError, getattr(audit, name), half_case(90, forbidden=QUARTER))
        assert "NaN or infinity" in message
        [finding] = recorded()
        assert (finding["name"], finding["outcome"], finding["value"]) == (name[7:], "error", None)
        assert finding["message"] == message

    @pytest.mark.parametrize("name", INSIDE)
    def test_in_a_method_of_ones_own_is_an_error(self, audit, name):
        def broken(activations, gradients, scores):
            return np.full(activations.shape[:3], np.nan)

        assert "NaN" in message_of(NonFiniteError, getattr(audit, name), half_case(90), method=broken)


@pytest.mark.parametrize("name", [*NAMES, "assert_predicts"])
def test_a_missing_file_is_a_case_error(audit, name, recorded):
    case = Case("no/such.jpg", label="red", region=QUARTER, forbidden=QUARTER)
    message = message_of(CaseError, getattr(audit, name), case)
    assert "no such file" in message
    assert "no/such.jpg" in message
    assert recorded()[0]["outcome"] == "error"


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("seed", range(3))
def test_a_mirrored_picture_with_its_region_gives_the_same(audit, name, seed):
    red = np.random.default_rng(seed).integers(1, 255, (4, 4))
    region, mirrored = Box(0.5, 0, 2.25, 3), Box(1.75, 0, 3.5, 3)
    cases = [
        Case(picture(red=red), label="red", region=region, id="as it is"),
        Case(picture(red=red[:, ::-1]), label="red", region=mirrored, id="mirrored"),
    ]
    try:
        first, second = getattr(audit, name)(cases).cases
    except AuditFailure as failure:  # whether they pass is not the point
        first, second = failure.finding.cases
    assert first.value == pytest.approx(second.value, rel=1e-6)
