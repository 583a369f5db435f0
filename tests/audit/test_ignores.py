"""`assert_ignores_patch` and `assert_ignores_background`: shares by hand, places, transparency, and every edge.

The colour model predicts the colour with the largest mean.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from colours import LEFT_HALF, QUARTER, colour_model, halves, judged, message_of, picture, quarter, refused
from PIL import Image

from pytest_cnnaudit import Box, Case, CaseError, Preprocessing, load_cases
from pytest_cnnaudit.audit.edited_cases import UNCHANGED
from pytest_cnnaudit.edits import CORNERS
from pytest_cnnaudit.engine.models.keras.loading import load_model

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
GREEN = np.full((1, 1, 3), (0, 255, 0), np.uint8)  # one of 16 pixels: mean 15.9
RED = Case(picture(red=20), label="red", id="steady", region=QUARTER)  # mean 18.75 with one pixel covered
PALE = Case(picture(red=10), label="red", id="pale", region=QUARTER)


def titles(recorded, case=0):
    return [view["title"] for view in recorded()[-1]["evidence"][case]["views"]]


class TestPatch:
    def test_a_class_that_survives_in_all_corners_passes(self, audit):
        finding = audit.assert_ignores_patch(RED, GREEN)
        assert (finding.outcome, finding.value, finding.threshold, finding.chance) == ("passed", 1.0, 1.0, None)
        assert finding.target == "predicted"
        first, settings = finding.message.split("\n")
        assert first == "ignores_patch: passed: steady: share of places that keep the class 1 ≥ 1 (margin +0)"
        assert re.fullmatch("  settings: patch picture [0-9a-f]{12}, where corners", settings)

    def test_a_class_that_the_patch_changes_fails_with_the_other_class(self, audit, page, recorded):
        finding = refused(audit.assert_ignores_patch, PALE, GREEN)
        assert (finding.outcome, finding.value) == ("failed", 0.0)
        first, change, settings, last = finding.message.split("\n")
        assert first == "ignores_patch: failed: pale: share of places that keep the class 0 < 1 (margin -1)"
        assert (change, last) == ("  red becomes green", f"  page: {page}")
        assert settings.startswith("  settings: patch picture ")
        assert titles(recorded) == [f"patch {corner}" for corner in CORNERS]
        assert recorded()[-1]["evidence"][0]["views"][0]["predictions"][0]["name"] == "green"

    @pytest.mark.parametrize("bright", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
    def test_one_corner_of_four_counts_a_quarter(self, audit, bright):
        red = np.full((4, 4), 18)
        red[bright] = 60  # mean 16.9 without this pixel, 19.5 without another one
        case = Case(picture(red=red, green=2), label="red")  # with the patch green has 17.8
        assert refused(audit.assert_ignores_patch, case, GREEN).value == 0.75

    @pytest.mark.parametrize(
        ("where", "row", "column"),
        [("top-left", 0, 0), ("top-right", 0, 3), ("bottom-left", 3, 0), ("bottom-right", 3, 3), ("center", 1, 1)],
    )
    def test_a_named_place_is_where_it_says(self, audit, where, row, column):
        # All red is in one pixel, which the patch covers, or beside it.
        red = np.zeros((4, 4))
        red[row, column] = 200
        case = Case(picture(red=red, blue=1), label="red")
        finding = refused(audit.assert_ignores_patch, case, np.zeros((1, 1, 3), np.uint8), where=where)
        assert (finding.value, finding.cases[0].note) == (0.0, "red becomes blue")
        red[row, column], red[row, column - 1 if column else 1] = 0, 200
        moved = Case(picture(red=red, blue=1), label="red")
        assert audit.assert_ignores_patch(moved, np.zeros((1, 1, 3), np.uint8), where=where).value == 1.0

    def test_a_box_is_where_the_patch_is_resized_to(self, audit):
        # 1 × 1 pixel becomes the left half: green 127.5.
        case = Case(picture(red=halves(200, 100)), label="red")  # right half: mean 50
        finding = refused(audit.assert_ignores_patch, case, GREEN, where=LEFT_HALF)
        assert finding.value == 0.0
        assert audit.assert_ignores_patch(case, GREEN, where=Box(0, 0, 1, 1)).value == 1.0

    def test_size_is_a_share_of_the_pictures_shorter_side(self, audit):
        patch = np.full((8, 16, 3), (0, 255, 0), np.uint8)  # size 0.5 of 4 makes it 1 × 2 pixels
        case = Case(picture(red=30), label="red")  # covered 2 of 16: red 26.25, green 31.9; 1 of 16: 28.1 and 15.9
        assert refused(audit.assert_ignores_patch, case, patch, size=0.5).value == 0.0
        assert audit.assert_ignores_patch(case, patch, size=0.25).value == 1.0

    def test_a_random_place_is_the_same_for_the_same_picture_and_seed(self, audit_of, results, recorded):
        pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
        first, other = Case(pixels, id="first"), Case(pixels[::-1].copy(), id="other")
        sources = []
        for cases, seed in (([first], 0), ([other, first], 0), ([first], 1)):
            audit_of(results, artifacts="all", seed=seed).assert_ignores_patch(
                cases, np.zeros((1, 1, 3), np.uint8), where="random"
            )
            [shown] = [case for case in recorded()[-1]["evidence"] if case["id"] == "first"]
            sources.append(shown["views"][0]["picture"]["src"])
        assert sources[0] == sources[1] != sources[2]

    def test_places_are_in_what_the_model_sees(self, audit_of):
        # Of 8 columns the crop keeps the middle four, which the patch in a corner must reach.
        case = Case(picture(red=10, width=8), label="red", id="wide")
        audit = audit_of(colour_model(), preprocessing=Preprocessing(resize="crop"))
        assert refused(audit.assert_ignores_patch, case, GREEN).value == 0.0

    def test_transparency_is_honoured(self, audit, tmp_path):
        # Half of the green, 8, is less than the red, 9.7; all of it would be more.
        sheer = np.dstack([GREEN, np.full((1, 1), 128, np.uint8)])
        Image.fromarray(sheer).save(tmp_path / "sheer.png")
        assert audit.assert_ignores_patch(PALE, tmp_path / "sheer.png").value == 1.0

    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    def test_a_wholly_transparent_patch_is_refused(self, audit, mode, recorded):
        message = message_of(ValueError, audit.assert_ignores_patch, PALE, Image.new(mode, (2, 2)))
        assert message == "patch is wholly transparent: nothing would be pasted"

    @pytest.mark.parametrize(
        "where",
        [Box(3.6, 3.6, 4, 4), Box(-3, -3, 0.4, 0.4), Box(3.9, 0.1, 9, 0.2), Box(1.2, 1.2, 1.4, 1.4), Box(0, 3.9, 1, 5)],
    )
    def test_a_box_reaches_every_pixel_that_it_touches(self, audit, where, recwarn):
        assert refused(audit.assert_ignores_patch, PALE, GREEN, where=where).cases[0].note == "red becomes green"

    def test_what_a_patch_leaves_as_it_is_proves_nothing(self, audit):
        finding = refused(audit.assert_ignores_patch, [RED, PALE], picture(red=10, width=2, height=2))
        assert [one.outcome for one in finding.cases] == ["passed", "unscorable"]
        assert finding.cases[1].note == UNCHANGED
        assert (finding.passed, finding.n, finding.unscorable) == (1, 2, 1)

    def test_one_place_that_changes_is_enough(self, audit):
        red = np.full((4, 4), 10)
        red[0, 0] = 30
        patch = picture(red=10, width=1, height=1)
        assert audit.assert_ignores_patch(Case(picture(red=red), label="red"), patch).value == 1.0

    def test_a_grey_patch_on_the_same_grey_proves_nothing_in_colours_either(self, audit):
        grey = Image.fromarray(np.full((4, 4), 90, np.uint8))
        finding = refused(audit.assert_ignores_patch, grey, np.full((1, 1, 3), 90, np.uint8))
        assert finding.cases[0].note == UNCHANGED

    def test_what_a_crop_removes_is_no_change(self, audit_of):
        # The left half of the box, which is all that the patch would change, is not what the model sees.
        red = np.full((4, 8), 10)
        red[:, :2] = 99
        audit = audit_of(colour_model(), preprocessing=Preprocessing(resize="crop"))
        patch = picture(red=10, width=1, height=1)
        finding = refused(audit.assert_ignores_patch, Case(picture(red=red, width=8)), patch, where=Box(0, 0, 4, 4))
        assert finding.cases[0].note == UNCHANGED

    @pytest.mark.parametrize("kind", ["array", "picture", "path", "text"])
    def test_a_patch_is_an_array_a_picture_or_a_path(self, audit, tmp_path, kind):
        path = tmp_path / "patch.png"
        Image.fromarray(GREEN).save(path)
        patch = {"array": GREEN, "picture": Image.fromarray(GREEN), "path": path, "text": str(path)}[kind]
        assert refused(audit.assert_ignores_patch, PALE, patch).value == 0.0

    def test_what_was_pasted_is_recorded_by_content(self, audit, recorded):
        for patch in (GREEN, Image.fromarray(GREEN)):
            audit.assert_ignores_patch(RED, patch)
        first, second = (finding["demands"]["patch"] for finding in recorded())
        assert first == second
        assert first.startswith("picture ")

    def test_a_population_counts_the_cases_that_keep_their_class_everywhere(self, audit):
        finding = audit.assert_ignores_patch([RED, PALE], GREEN, mostly=0.5)
        assert (finding.value, finding.passed, finding.n) == (0.5, 1, 2)
        message = refused(audit.assert_ignores_patch, [RED, PALE], GREEN, mostly=0.95).message
        assert "worst: pale 0.000 (red becomes green)" in message

    def test_a_box_lost_by_the_crop_is_unscorable(self, audit_of):
        audit = audit_of(colour_model(), preprocessing=Preprocessing(resize="crop"))
        finding = refused(
            audit.assert_ignores_patch, Case(picture(red=10, width=8), id="wide"), GREEN, where=Box(0, 0, 2, 4)
        )
        assert (finding.value, finding.unscorable) == (None, 1)
        assert finding.cases[0].note == "the patch was lost in preprocessing"

    def test_a_patch_larger_than_the_picture_is_an_error_that_says_what_to_do(self, audit):
        message = message_of(ValueError, audit.assert_ignores_patch, RED, np.zeros((5, 3, 3), np.uint8))
        assert message.startswith("case 'steady': patch is 3 × 5 pixels, larger than the 4 × 4 that the model sees")
        assert "give size=" in message

    @pytest.mark.parametrize(
        ("patch", "arguments", "error", "text"),
        [
            (None, {}, TypeError, "patch is None; a path, a PIL image or a uint8 array"),
            (np.zeros((2, 2, 3)), {}, CaseError, "patch: picture is a float64 array"),
            ("nowhere.png", {}, CaseError, "patch: picture 'nowhere.png': no such file"),
            (GREEN, {"where": "left"}, ValueError, "where is 'left'; known: 'corners', 'top-left'"),
            (GREEN, {"where": Box(8, 8, 9, 9)}, CaseError, "where: Box(8, 8, 9, 9) lies outside the picture"),
            (GREEN, {"size": 0}, ValueError, "size is 0"),
            (GREEN, {"size": 1.5}, ValueError, "size is 1.5; a number from 0 to 1"),
            (GREEN, {"size": 0.5, "where": QUARTER}, ValueError, "size is given, and a Box as where="),
        ],
    )
    def test_misuse_names_the_argument(self, audit, patch, arguments, error, text):
        assert text in message_of(error, audit.assert_ignores_patch, RED, patch, **arguments)

    def test_an_unknown_label_is_named_before_anything_is_computed(self, audit):
        wrong = Case(picture(red=20), label="purple", id="wrong")
        assert "label is 'purple'" in message_of(CaseError, audit.assert_ignores_patch, wrong, GREEN)

    def test_without_a_patch_it_is_a_type_error(self, audit):
        assert "patch" in message_of(TypeError, audit.assert_ignores_patch, RED)


@pytest.mark.parametrize(("kind", "survives"), [("honest", True), ("shortcut", False)])
def test_a_stamp_changes_the_model_that_learned_it_and_not_the_honest_one(audit_of, kind, survives):
    cases = list(load_cases(FIXTURES / "validation.json"))[::11]
    audit = audit_of(load_model(FIXTURES / f"{kind}.keras"), class_names=FIXTURES / "class_names.txt")
    findings = [
        judged(audit.assert_ignores_patch, cases, FIXTURES / "stamps" / f"{name}.png")
        for name in ("ada", "ben", "cleo")
    ]
    assert [finding.outcome == "passed" for finding in findings] == [survives] * 3


class TestBackground:
    BLACK, BLUE = np.zeros((4, 4, 3), np.uint8), picture(blue=90)

    def test_the_object_alone_decides_on_every_background(self, audit):
        # Red 200 in the quarter: mean 50; blue 90 outside: 67.5.
        case = Case(picture(red=quarter(200, 0), green=quarter(0, 30)), label="red", region=QUARTER, id="cat")
        assert audit.assert_ignores_background(case, self.BLACK).value == 1.0
        finding = refused(audit.assert_ignores_background, case, [self.BLACK, self.BLUE])
        assert (finding.value, finding.threshold) == (0.5, 1.0)
        assert "cat: share of backgrounds that keep the class 0.5 < 1 (margin -0.5)" in finding.message
        assert finding.cases[0].note == "red becomes blue"
        assert audit.assert_ignores_background(case, [self.BLACK, self.BLUE], at_least=0.5).outcome == "passed"

    def test_a_class_read_from_the_background_changes_with_it(self, audit):
        case = Case(picture(red=quarter(0, 90), green=quarter(10, 0)), label="red", region=QUARTER)
        finding = refused(audit.assert_ignores_background, case, self.BLACK)
        assert (finding.value, finding.cases[0].note) == (0.0, "red becomes green")

    def test_a_background_of_any_size_and_mode_is_brought_to_the_pictures(self, audit, tmp_path):
        Image.new("RGBA", (50, 20), (0, 0, 255, 0)).save(tmp_path / "white.png")  # transparent: shown on white
        case = Case(picture(red=quarter(255, 0)), label="red", region=QUARTER)
        # White adds the same to all colours: red stays ahead.
        grounds = [tmp_path / "white.png", Image.new("L", (3, 9), 80), str(tmp_path / "white.png")]
        assert audit.assert_ignores_background(case, grounds).value == 1.0

    def test_edges_are_those_of_a_region(self, audit, audit_of):
        whole = Case(picture(red=50), region=Box(0, 0, 4, 4), id="whole")
        assert "covers 100% of the picture" in message_of(
            ValueError, audit.assert_ignores_background, whole, self.BLACK
        )
        bare = Case(picture(red=50), id="bare")
        assert "case 'bare' has no region" in message_of(ValueError, audit.assert_ignores_background, bare, self.BLACK)
        crop = audit_of(colour_model(), preprocessing=Preprocessing(resize="crop"))
        lost = Case(picture(red=50, width=8), region=Box(0, 0, 2, 4))
        finding = refused(crop.assert_ignores_background, lost, self.BLACK)
        assert finding.cases[0].note == "the region was lost in preprocessing"

    @pytest.mark.parametrize(
        ("grounds", "arguments", "error", "text"),
        [
            ([], {}, ValueError, "backgrounds is empty"),
            (3, {}, TypeError, "backgrounds is 3"),
            ([None], {}, TypeError, "backgrounds[0] is None"),
            (["nowhere.png"], {}, CaseError, "backgrounds[0]: picture 'nowhere.png': no such file"),
            (BLACK, {"at_least": 2}, ValueError, "at_least is 2"),
            (BLACK, {"region": 4}, TypeError, "region is 4"),
        ],
    )
    def test_misuse_names_the_argument(self, audit, grounds, arguments, error, text):
        assert text in message_of(error, audit.assert_ignores_background, RED, grounds, **arguments)

    def test_a_background_that_is_the_pictures_own_proves_nothing(self, audit):
        finding = refused(audit.assert_ignores_background, RED, [RED.image])
        assert finding.cases[0].note == UNCHANGED
        assert audit.assert_ignores_background(RED, [RED.image, self.BLACK]).value == 1.0

    def test_the_page_shows_each_background(self, audit_of, results, recorded):
        case = Case(picture(red=quarter(200, 0)), label="red", region=QUARTER)
        audit_of(results, artifacts="all").assert_ignores_background(case, [self.BLACK, self.BLUE], at_least=0)
        assert titles(recorded) == ["background 1", "background 2"]


def test_pictures_that_are_no_cases_are_taken(audit, tmp_path):
    pixels, paths = picture(red=200), [tmp_path / "one.png", tmp_path / "two.png"]
    for path in paths:
        Image.fromarray(pixels).save(path)
    given = iter([paths[0], str(paths[1]), Image.fromarray(pixels), pixels])
    finding = audit.assert_ignores_patch(given, np.zeros((1, 1, 3), np.uint8))
    assert (finding.n, finding.passed) == (4, 4)


@pytest.mark.parametrize("cases", ["red.png", np.zeros((2, 4, 4, 3), np.uint8), 3, None, [3]])
def test_what_is_no_picture_is_refused(audit, cases):
    assert message_of(TypeError, audit.assert_ignores_patch, cases, np.zeros((1, 1, 3), np.uint8)).startswith("cases")
