"""What is kept for the page of a test: for which tests, of which cases, and in whose pixels."""

import base64
import io
import json

import numpy as np
import pytest
from colours import (
    LEFT_HALF,
    QUARTER,
    blank_case,
    colour_model,
    evidence_of,
    half_case,
    halves,
    message_of,
    picture,
    quarter,
    quarter_case,
    refused,
)
from PIL import Image

from pytest_cnnaudit import Box, Case, Mask, Preprocessing


def cells(heatmap):
    """The bytes of a heatmap as the page reads them."""
    values = np.frombuffer(base64.b64decode(heatmap["values"]), np.uint8)
    return values.reshape(heatmap["height"], heatmap["width"]).tolist()


def decoded(url):
    head, data = url.split(",", 1)
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert head == f"data:image/{image.format.lower()};base64"
    return image


def one(finding):
    [shown] = evidence_of(finding)
    return shown


class TestArtifacts:
    def test_failed_keeps_those_of_failures(self, audit, recorded):
        assert audit.assert_mass_inside(half_case(90)).evidence == ()
        assert len(refused(audit.assert_mass_inside, half_case(10)).evidence) == 1
        assert [len(finding["evidence"]) for finding in recorded()] == [0, 1]

    def test_failed_keeps_those_of_the_inconclusive(self, audit):
        finding = refused(audit.assert_mass_inside, [half_case(90)], min_n=2)
        assert (finding.outcome, len(evidence_of(finding))) == ("inconclusive", 1)

    def test_all_keeps_those_of_passes_too(self, audit_of, results, recorded):
        audit = audit_of(results, artifacts="all")
        assert len(audit.assert_mass_inside(half_case(90)).evidence) == 1
        assert len(recorded()[0]["evidence"]) == 1

    def test_off_keeps_nothing_and_promises_no_page(self, audit_of, results, recorded):
        audit = audit_of(results, artifacts="off")
        for finding in (
            refused(audit.assert_mass_inside, half_case(10)),
            refused(audit.assert_mass_inside, [half_case(10)]),
            refused(audit.assert_predicts, half_case(10, label="green")),
            refused(audit.check, "figure", 0, at_least=1, evidence=["text"]),
        ):
            assert "page" not in finding.message
        assert [finding["evidence"] for finding in recorded()] == [[]] * 4


class TestCase:
    def test_says_what_was_found(self, audit):
        shown = one(refused(audit.assert_mass_inside, quarter_case(60, 40, id="cat")))
        assert (shown["kind"], shown["id"], shown["outcome"], shown["note"]) == ("case", "cat", "failed", "")
        assert shown["value"] == pytest.approx(1 / 3)
        assert (shown["label"], shown["target"], shown["chance"]) == ("red", "red", 0.25)

    def test_names_the_class_that_was_explained(self, audit):
        image = picture(red=halves(10, 90), green=200)
        shown = one(refused(audit.assert_mass_inside, Case(image, region=LEFT_HALF), target="red"))
        assert (shown["label"], shown["target"]) == (None, "red")
        shown = one(refused(audit.assert_mass_inside, Case(image, region=LEFT_HALF)))
        assert (shown["label"], shown["target"]) == (None, "green")

    def test_predictions_are_the_most_probable_first(self, audit):
        case = Case(picture(red=1, green=3, blue=2), label="red", region=QUARTER)
        shown = one(refused(audit.assert_mass_inside, case))
        total = sum(np.exp([1, 3, 2]))
        assert [(each["name"], each["probability"]) for each in shown["predictions"]] == [
            ("green", pytest.approx(np.exp(3) / total)),
            ("blue", pytest.approx(np.exp(2) / total)),
            ("red", pytest.approx(np.exp(1) / total)),
        ]

    def test_of_a_prediction_has_no_heatmap(self, audit):
        shown = one(refused(audit.assert_predicts, half_case(90, label="green")))
        assert (shown["heatmap"], shown["target"]) == (None, None)
        assert shown["note"] == "labelled green, predicted red"

    def test_several_labels_are_listed(self, audit):
        shown = one(refused(audit.assert_predicts, half_case(90, label=("green", "blue"))))
        assert shown["label"] == "green, blue"


class TestPicture:
    def test_is_embedded_in_its_own_size(self, audit):
        case = Case(picture(red=quarter(10, 90)), label="red", region=QUARTER)
        shown = one(refused(audit.assert_mass_inside, case))["picture"]
        assert (shown["width"], shown["height"]) == (4, 4)
        np.testing.assert_array_equal(np.asarray(decoded(shown["src"])), case.image)

    def test_is_made_smaller_where_it_is_large_but_keeps_its_pixels_on_record(self, audit):
        case = Case(np.zeros((300, 1000, 3), np.uint8) + 50, label="red", region=Box(0, 0, 250, 300))
        shown = one(refused(audit.assert_mass_inside, case))["picture"]
        assert (shown["width"], shown["height"]) == (1000, 300)
        assert decoded(shown["src"]).size == (512, 154)

    @pytest.mark.parametrize("pictures", ["embed", "none"])
    def test_is_withheld_where_that_was_asked_for(self, audit_of, results, pictures, recorder):
        audit = audit_of(results, pictures=pictures)
        refused(audit.assert_mass_inside, half_case(10))
        refused(audit.assert_predicts, half_case(10, label="green"))
        written = json.dumps(recorder.written())
        assert ("data:image" in written) is (pictures == "embed")
        assert '"width": 4' in written


class TestRegions:
    def test_allowed_and_forbidden_ones_are_shown_in_original_pixels(self, audit):
        case = half_case(10, forbidden=[Box(0.5, 1, 2, 3), Box(3, 3, 5, 5)])
        with pytest.warns(UserWarning, match="clipped"):
            shown = one(refused(audit.assert_mass_inside, case))
        assert shown["regions"] == [
            {"role": "inside", "box": [0, 0, 2, 4]},
            {"role": "forbidden", "box": [0.5, 1, 2, 3]},
            {"role": "forbidden", "box": [3, 3, 5, 5]},
        ]

    @pytest.mark.parametrize(("name", "role"), [("assert_mass_inside", "inside"), ("assert_avoids", "forbidden")])
    def test_the_one_handed_over_stands_for_them(self, audit, name, role):
        case = Case(picture(red=50), label="red", region=QUARTER, forbidden=QUARTER)
        shown = one(refused(getattr(audit, name), case, region=LEFT_HALF))
        assert shown["regions"] == [{"role": role, "box": [0, 0, 2, 4]}]

    def test_a_mask_is_a_picture_of_the_whole(self, audit):
        mask = np.eye(4, dtype=bool)
        case = Case(picture(red=np.where(mask, 10, 90)), label="red", region=Mask(mask))
        [region] = one(refused(audit.assert_mass_inside, case))["regions"]
        assert region["role"] == "inside"
        np.testing.assert_array_equal(np.asarray(decoded(region["mask"]).convert("1")), mask)


class TestHeatmap:
    def test_is_the_raw_map_divided_by_its_maximum(self, audit):
        red = np.array([[0, 50, 100, 200], [20, 0, 0, 0], [0, 0, 0, 0], [1, 2, 3, 4]])
        shown = one(refused(audit.assert_mass_inside, Case(picture(red=red), label="red", region=QUARTER)))
        heatmap = shown["heatmap"]
        # 255 / 200 of the channel, rounded; never min-max.
        assert cells(heatmap) == [[0, 64, 128, 255], [26, 0, 0, 0], [0, 0, 0, 0], [1, 3, 4, 5]]
        assert heatmap["frame"] == [0, 0, 4, 4]

    def test_that_is_empty_is_none(self, audit):
        shown = one(refused(audit.assert_mass_inside, blank_case("blank")))
        assert shown["heatmap"] is None
        assert (shown["outcome"], shown["value"]) == ("unscorable", None)
        assert shown["note"].startswith("no positive evidence")

    @pytest.mark.parametrize(
        ("resize", "frame"),
        [
            ("stretch", [0, 0, 8, 4]),
            ("crop", [2, 0, 6, 4]),  # the middle
            ("pad", [0, -2, 8, 6]),  # two of the four rows are black bars
        ],
    )
    def test_frame_is_the_models_input_in_original_pixels(self, audit_of, resize, frame):
        audit = audit_of(colour_model(), preprocessing=Preprocessing(resize=resize))
        case = Case(picture(red=60, width=8), label="red", region=Box(3, 0, 4, 4))
        shown = one(refused(audit.assert_mass_inside, case))
        assert shown["heatmap"]["frame"] == frame
        assert (shown["heatmap"]["width"], shown["heatmap"]["height"]) == (4, 4)
        if resize == "pad":
            assert cells(shown["heatmap"]) == [[0] * 4, [255] * 4, [255] * 4, [0] * 4]


class TestWorstFirst:
    def test_failed_then_unscorable_then_passed(self, audit):
        cases = [
            half_case(90, id="good"),
            blank_case("blank"),
            half_case(30, id="bad"),
            half_case(70, id="fair"),
            half_case(10, id="worst"),
        ]
        finding = refused(audit.assert_mass_inside, cases)
        assert [shown["id"] for shown in evidence_of(finding)] == ["worst", "bad", "blank", "fair", "good"]
        # The record keeps the cases in their own order.
        assert [result.id for result in finding.cases] == ["good", "blank", "bad", "fair", "worst"]

    def test_most_forbidden_mass_first(self, audit):
        cases = [half_case(mass, id=f"{mass}", forbidden=LEFT_HALF) for mass in (30, 5, 80, 50)]
        finding = refused(audit.assert_avoids, cases)
        assert [shown["id"] for shown in evidence_of(finding)] == ["80", "50", "30", "5"]

    def test_at_most_12_are_shown_and_all_are_recorded(self, audit, recorded):
        cases = [half_case(mass, id=f"{mass}") for mass in range(20, 40)]
        finding = refused(audit.assert_mass_inside, cases)
        assert [shown["id"] for shown in evidence_of(finding)] == [f"{mass}" for mass in range(20, 32)]
        assert len(recorded()[0]["cases"]) == 20

    def test_each_case_is_shown_with_its_own_map_and_predictions(self, audit):
        bright = Case(picture(red=quarter(10, 90), blue=200), label="red", region=QUARTER, id="bright")
        dark = Case(picture(red=halves(100, 50)), label="red", region=QUARTER, id="dark")
        first, second = evidence_of(refused(audit.assert_mass_inside, [dark, bright]))
        assert [first["id"], second["id"]] == ["bright", "dark"]
        assert cells(first["heatmap"])[0] == [28, 28, 255, 255]
        assert cells(second["heatmap"])[0] == [255, 255, 128, 128]
        assert [shown["predictions"][0]["name"] for shown in (first, second)] == ["blue", "red"]


def test_an_error_has_no_evidence(audit, recorded):
    message_of(ValueError, audit.assert_mass_inside, [])
    assert recorded()[0]["evidence"] == []
    assert recorded()[0]["cases"] == []
