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

from pytest_cnnaudit import Box, Case, CaseError, Mask, Preprocessing
from pytest_cnnaudit.cases import CaseWarning
from pytest_cnnaudit.engine.outputs import NonFiniteError

NO_EVIDENCE = "no positive evidence for this class at this layer (empty heatmap, {} of the evidence is negative)"


@pytest.mark.parametrize("name", ["assert_mass_inside", "assert_avoids"])
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
        assert lines[1].startswith("a case passes with mass in")
        assert lines[-1] == f"page: {page}"

    def test_stays_in_the_denominator(self, audit, name):
        good = Case(picture(red=halves(100, 0)), label="red", region=LEFT_HALF, forbidden=Box(2, 0, 4, 4), id="good")
        finding = getattr(audit, name)([good, blank_case("blank")], mostly=0.5)
        assert (finding.outcome, finding.value, finding.threshold) == ("passed", 0.5, 0.5)
        assert (finding.n, finding.passed, finding.unscorable) == (2, 1, 1)
        finding = refused(getattr(audit, name), [good, blank_case("blank")], mostly=0.51)
        assert "1 unscorable: blank: no positive evidence" in finding.message
        # The values of the others only: a missing value is not a zero.
        assert finding.mean == (1.0 if name == "assert_mass_inside" else 0.0)

    def test_gives_the_share_of_negative_evidence(self, audit_of, name):
        kernel = np.eye(3)
        kernel[1, 0] = -1  # green speaks against red
        audit = audit_of(colour_model(kernel))
        finding = refused(getattr(audit, name), blank_case("blank"))
        assert finding.cases[0].note == NO_EVIDENCE.format("100%")


def test_a_population_of_empty_heatmaps_has_no_mean(audit):
    finding = refused(audit.assert_mass_inside, [blank_case("a"), blank_case("b")])
    assert (finding.value, finding.mean, finding.chance, finding.unscorable) == (0.0, None, 0.5, 2)
    assert "mean" not in finding.message


@pytest.mark.parametrize(("name", "role"), [("assert_mass_inside", "region"), ("assert_avoids", "forbidden")])
def test_a_region_lost_by_the_crop_is_unscorable(audit_of, name, role):
    audit = audit_of(colour_model(), preprocessing=Preprocessing(resize="crop"))
    wide = picture(red=50, width=8)  # the crop keeps the columns 2 to 6
    lost = Case(wide, label="red", id="lost", **{role: Box(0, 0, 2, 4)})
    finding = refused(getattr(audit, name), lost)
    assert (finding.value, finding.chance, finding.unscorable) == (None, None, 1)
    assert finding.cases[0].note == "the region was lost in preprocessing"
    kept = Case(wide, label="red", id="kept", **{role: Box(2, 0, 4, 4)})
    finding = getattr(audit, name)(kept, **({"excess_at_least": None} if role == "region" else {"at_most": 0.5}))
    assert (finding.value, finding.chance) == (0.5, 0.5)


class TestTooLargeARegion:
    """Over 80 % of the picture nearly any map passes."""

    def test_is_an_error_for_a_single_case(self, audit, recorded):
        case = Case(picture(red=50), label="red", region=Box(0, 0, 4, 3.3), id="huge")
        message = message_of(ValueError, audit.assert_mass_inside, case)
        assert message.startswith("case 'huge': the region covers 82% of the picture, more than 80%")
        assert [(one["outcome"], one["message"]) for one in recorded()] == [("error", message)]

    def test_is_unscorable_in_a_population(self, audit):
        cases = [
            Case(picture(red=50), label="red", region=Box(0, 0, 4, 4), id="huge"),
            half_case(90, id="good"),
        ]
        finding = refused(audit.assert_mass_inside, cases)
        assert (finding.n, finding.passed, finding.unscorable) == (2, 1, 1)
        assert [result.outcome for result in finding.cases] == ["unscorable", "passed"]
        assert finding.cases[0].note.startswith("the region covers 100% of the picture, more than 80%")

    def test_begins_above_80_percent(self, audit):
        case = Case(picture(red=quarter(100, 100)), label="red", region=Box(0, 0, 4, 3.2))
        finding = audit.assert_mass_inside(case, excess_at_least=None)
        assert (finding.value, finding.chance) == (pytest.approx(0.8), pytest.approx(0.8))

    def test_may_be_forbidden(self, audit):
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


@pytest.mark.parametrize(("name", "role"), [("assert_mass_inside", "region"), ("assert_avoids", "forbidden")])
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
        limit = {"at_least": 0.1, "excess_at_least": None} if role == "region" else {"at_most": 0.5}
        for given in ({}, {"region": Box(-3, -3, 2, 2)}):
            case = Case(picture(red=50), label="red", id="cat", **{role: Box(-3, -3, 2, 2)})
            with pytest.warns(CaseWarning, match="reaches beyond the picture"):
                finding = getattr(audit, name)(case, **given, **limit)
            assert (finding.value, finding.chance) == (0.25, 0.25)

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
        assert message_of(TypeError, getattr(audit, name), case, region=region).startswith("region must be a Box")


class TestNaN:
    @pytest.mark.parametrize("name", ["assert_mass_inside", "assert_avoids", "assert_predicts"])
    def test_weights_give_an_error_never_a_verdict(self, audit_of, recorded, name):
        audit = audit_of(colour_model(np.full((3, 3), np.nan)))
        message = message_of(NonFiniteError, getattr(audit, name), half_case(90, forbidden=QUARTER))
        assert "NaN or infinity" in message
        [finding] = recorded()
        assert (finding["name"], finding["outcome"], finding["value"]) == (name[7:], "error", None)
        assert finding["message"] == message

    def test_in_a_method_of_ones_own_is_an_error(self, audit):
        def broken(activations, gradients, scores):
            return np.full(activations.shape[:3], np.nan)

        assert "NaN" in message_of(NonFiniteError, audit.assert_mass_inside, half_case(90), method=broken)


@pytest.mark.parametrize("name", ["assert_mass_inside", "assert_avoids", "assert_predicts"])
def test_a_missing_file_is_a_case_error(audit, name, recorded):
    case = Case("no/such.jpg", label="red", region=QUARTER, forbidden=QUARTER)
    message = message_of(CaseError, getattr(audit, name), case)
    assert "no such file" in message
    assert "no/such.jpg" in message
    assert recorded()[0]["outcome"] == "error"
