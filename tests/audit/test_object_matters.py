"""`assert_object_matters` and `assert_object_suffices`: drops by hand, what cancels, and every edge.

The colour model's logits are the mean red, green and blue of the picture, so with no green and no blue P(red) is
1 / (1 + 2 exp(−mean red)).
"""

import tracemalloc

import keras
import numpy as np
import pytest
from colours import CLASSES, QUARTER, colour_model, halves, judged, message_of, picture, quarter, quarter_case, refused
from keras import layers
from PIL import Image

from pytest_cnnaudit import Box, Case, CaseError, Engine, Mask, Preprocessing
from pytest_cnnaudit.audit import Audit, Settings
from pytest_cnnaudit.cases import CaseWarning
from pytest_cnnaudit.engine.cache import Cache

TEST = "tests/test_gate.py::test_looks"
NAMES = ["assert_object_matters", "assert_object_suffices"]


def red(mean):
    """P(red) of a picture with this mean red, and no green or blue."""
    return 1 / (1 + 2 * np.exp(-mean))


def views(recorded, case=0):
    return recorded()[-1]["evidence"][case]["views"]


class TestDrop:
    def test_is_that_of_the_hand_calculation(self, audit):
        # 4 of 16 pixels have red 16: mean 4, which hides them with 4 (mean 1) or 4 others (mean 5).
        finding = audit.assert_object_matters(quarter_case(16, 0, id="cat"), fill="mean")
        assert finding.value == pytest.approx(red(5) - red(1), abs=1e-6)
        assert (finding.outcome, finding.threshold, finding.direction) == ("passed", 0.2, "at_least")
        assert (finding.chance, finding.target, finding.method, finding.layer) == (0.0, "label", None, None)
        assert finding.message == (
            "object_matters: passed: cat: drop of P (mean) 0.4106 ≥ 0.2 (margin +0.211), chance 0\n"
            f"  P {red(4):.3f}, hidden {red(1):.3f}, controls {red(5):.3f}\n"
            "  target: label"
        )

    def test_of_a_model_that_looks_elsewhere_fails(self, audit, page):
        # The red lies outside the region: 12 pixels of 8, mean 6; hidden: 12 of 8 and 4 of 6, mean 7.5.
        finding = refused(audit.assert_object_matters, quarter_case(0, 8, id="cat"), fill="mean")
        # A control hides 4 of the pixels of 8 with 6: mean 5.5.
        assert finding.value == pytest.approx(red(5.5) - red(7.5), abs=1e-6)
        assert finding.message == (
            f"object_matters: failed: cat: drop of P (mean) {red(5.5) - red(7.5):.4g} < 0.2 (margin -0.207), chance 0\n"
            f"  P {red(6):.3f}, hidden {red(7.5):.3f}, controls {red(5.5):.3f}\n"
            "  target: label\n"
            f"  page: {page}"
        )

    def test_damage_by_the_edit_itself_cancels(self, audit_of):
        # Counts what is redder than 6. Every second column has red 12, the mean is 6: hiding any 2 × 2 pixels
        # costs two red ones, wherever it is.
        model = colour_model()
        biased = layers.Conv2D(3, 1, activation="relu", name="colour")
        image = keras.Input((4, 4, 3))
        counting = keras.Model(image, model.get_layer("head")(model.get_layer("pool")(biased(image))))
        biased.set_weights([np.eye(3, dtype=np.float32)[None, None], np.full(3, -6, np.float32)])
        case = Case(picture(red=[[12, 0, 12, 0]] * 4), label="red", region=QUARTER)
        finding = refused(audit_of(counting).assert_object_matters, case, fill="mean")
        whole, damaged = red(6 * 8 / 16), red(6 * 6 / 16)
        assert whole - damaged > 0.05
        assert finding.value == pytest.approx(0, abs=1e-6)
        assert f"P {whole:.3f}, hidden {damaged:.3f}, controls {damaged:.3f}" in finding.message

    def test_without_room_for_the_shape_the_rest_is_the_control(self, audit):
        # 12 of 16 pixels are the region, so the other 4 are hidden: red 0 becomes the mean, 12.
        case = Case(picture(red=[[16, 16, 16, 0]] * 4), label="red", region=Box(0, 0, 3, 4))
        finding = audit.assert_object_matters(case, fill="mean", drop_at_least=0)
        assert finding.value == pytest.approx(red(15) - red(9), abs=1e-6)

    def test_of_a_mask_and_of_a_union_is_that_of_their_pixels(self, audit):
        mask = np.zeros((4, 4), bool)
        mask[:2, :2] = True
        image = picture(red=quarter(16, 0))
        for region in (Mask(mask), (Box(0, 0, 1, 2), Box(0.5, 0, 2, 2)), (Mask(mask), Box(0, 0, 1, 1))):
            finding = audit.assert_object_matters(Case(image, label="red", region=region), fill="mean")
            assert finding.value == pytest.approx(red(5) - red(1), abs=1e-6)

    def test_region_stands_for_the_cases_own(self, audit):
        case = quarter_case(16, 0)
        finding = refused(audit.assert_object_matters, case, fill="mean", region=Box(2, 2, 4, 4))
        assert finding.value < 0
        assert audit.assert_object_matters(Case(case.image, label="red"), fill="mean", region=[QUARTER]).value > 0.2

    @pytest.mark.parametrize(("target", "named"), [("green", "green"), (1, "1"), (["green"], "as given")])
    def test_target(self, audit, target, named):
        finding = refused(audit.assert_object_matters, quarter_case(16, 0), fill="mean", target=target)
        # P(green) is (1 − P(red)) / 2.
        assert (finding.value, finding.target) == (pytest.approx((red(1) - red(5)) / 2, abs=1e-6), named)

    def test_without_a_label_it_is_that_of_the_predicted_class(self, audit):
        finding = audit.assert_object_matters(Case(quarter_case(16, 0).image, region=QUARTER), fill="mean")
        assert (finding.value, finding.target) == (pytest.approx(red(5) - red(1), abs=1e-6), "predicted")


class TestSuffices:
    def test_is_the_probability_with_all_else_hidden(self, audit):
        # 4 pixels of 16 and 12 of the mean, 4.
        finding = audit.assert_object_suffices(quarter_case(16, 0, id="cat"), fill="mean")
        assert finding.value == pytest.approx(red(7), abs=1e-6)
        assert finding.chance == pytest.approx(1 / 3)
        assert finding.message == (
            "object_suffices: passed: cat: P of the object alone (mean) 0.9982 ≥ 0.5 (margin +0.498), chance 0.333\n"
            f"  P {red(4):.3f} of the whole picture\n"
            "  target: label"
        )

    def test_fails_where_the_evidence_is_elsewhere(self, audit):
        # Means: red 6 outside, green 4 inside. Alone: 12 pixels of (6, 4) and 4 of (0, 16), which is (4.5, 7).
        case = Case(picture(red=quarter(0, 8), green=quarter(16, 0)), label="red", region=QUARTER, id="cat")
        finding = refused(audit.assert_object_suffices, case, fill="mean")
        assert finding.value == pytest.approx(np.exp(4.5) / (np.exp(4.5) + np.exp(7) + 1), abs=1e-6)

    @pytest.mark.parametrize(("activation", "chance"), [("softmax", pytest.approx(1 / 3)), ("sigmoid", None)])
    def test_has_a_chance_where_classes_exclude_each_other(self, activation, chance, recorder):
        results = Cache(Engine(colour_model(), class_names=CLASSES, activation=activation))
        audit = Audit(TEST, recorder, lambda: results)
        assert audit.assert_object_suffices(quarter_case(16, 0), fill="mean").chance == chance

    def test_an_excess_is_held_above_that_chance(self, audit):
        case = quarter_case(16, 0, id="cat")
        excess = (red(7) - 1 / 3) / (2 / 3)
        finding = audit.assert_object_suffices(case, keep_at_least=None, excess_at_least=excess - 1e-4, fill="mean")
        assert finding.threshold == pytest.approx(1 / 3 + (excess - 1e-4) * 2 / 3)
        finding = refused(audit.assert_object_suffices, case, excess_at_least=excess + 1e-4, fill="mean")
        assert finding.message.startswith(f"object_suffices: failed: cat: excess {excess:.4f} <")
        assert [limit.name for limit in finding.thresholds] == ["P of the object alone (mean)", "excess"]

    def test_an_excess_over_no_chance_is_an_error(self, recorder):
        results = Cache(Engine(colour_model(), class_names=CLASSES, activation="sigmoid"))
        audit = Audit(TEST, recorder, lambda: results)
        text = message_of(ValueError, audit.assert_object_suffices, quarter_case(16, 0), excess_at_least=0.2)
        assert text.startswith("excess_at_least is 0.2, but 3 classes that do not exclude each other have no chance")

    def test_without_a_limit_nothing_is_judged(self, audit):
        assert message_of(TypeError, audit.assert_object_matters, quarter_case(16, 0), drop_at_least=None)
        text = message_of(ValueError, audit.assert_object_suffices, quarter_case(16, 0), keep_at_least=None)
        assert text == "No threshold: give keep_at_least or excess_at_least"


class TestPopulation:
    CASES = (quarter_case(16, 0, id="good"), quarter_case(0, 8, id="bad"))

    def test_each_case_is_judged(self, audit):
        finding = audit.assert_object_matters(self.CASES, fill="mean", mostly=0.5)
        assert [result.outcome for result in finding.cases] == ["passed", "failed"]
        assert (finding.n, finding.passed, finding.value) == (2, 1, 0.5)
        assert [result.note for result in finding.cases] == ["", "P 0.995, hidden 0.999, controls 0.992"]

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("fill", ["noise", "blur", "inpaint"])
    def test_the_edit_of_a_case_is_the_same_whatever_is_around(self, audit, name, fill):
        cases = [quarter_case(40 + 3 * i, i, id=str(i)) for i in range(7)]
        assertion = getattr(audit, name)
        every = judged(assertion, cases, fill=fill).cases
        alone = [judged(assertion, [case], fill=fill).cases[0] for case in reversed(cases)][::-1]
        assert [one.value for one in every] == pytest.approx([one.value for one in alone], abs=1e-6)

    def test_another_seed_is_another_edit(self, audit_of, results):
        case = quarter_case(40, 0)
        values = [
            judged(audit_of(results, seed=seed).assert_object_suffices, case, fill="noise", target="green").value
            for seed in (0, 0, 1)
        ]
        assert values[0] == values[1] != values[2]

    def test_edited_pictures_are_made_as_they_are_needed(self, audit_of, tmp_path):
        Image.new("RGB", (400, 400), (9, 9, 9)).save(tmp_path / "large.png")
        cases = [Case(tmp_path / "large.png", label="red", region=Box(0, 0, 99, 99), id=str(i)) for i in range(64)]
        audit = audit_of(colour_model(), artifacts="off")
        audit.predict(cases[:1])
        tracemalloc.start()
        refused(audit.assert_object_suffices, cases, fill="mean")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # 64 edited pictures of 480 kB are 31 MB, and a batch of them would be 15.
        assert peak < 8e6

    def test_every_edited_picture_is_computed_once_and_the_untouched_one_is_shared(self, audit_of):
        seen = []

        def count(pixels):
            seen.append(pixels)
            return pixels

        audit = audit_of(colour_model(), preprocessing=Preprocessing(scale=count), artifacts="off")
        audit.predict(list(self.CASES))
        assert len(seen) == 2
        audit.assert_object_matters(self.CASES, fill="mean", mostly=0.5)
        assert len(seen) == 2 + 2 * (1 + 3)
        audit.assert_object_suffices(self.CASES, fill="mean", mostly=0.5)
        assert len(seen) == 2 + 2 * (1 + 3) + 2


@pytest.mark.parametrize("name", NAMES)
class TestEdges:
    def test_a_region_lost_by_the_crop_is_unscorable(self, audit_of, name):
        audit = audit_of(colour_model(), preprocessing=Preprocessing(resize="crop"))
        wide = picture(red=50, width=8)  # the crop keeps the columns 2 to 6
        lost = Case(wide, label="red", id="lost", region=Box(0, 0, 2, 4))
        finding = refused(getattr(audit, name), lost)
        assert (finding.value, finding.unscorable) == (None, 1)
        assert finding.cases[0].note == "the region was lost in preprocessing"
        kept = Case(wide, label="red", id="kept", region=Box(2, 0, 4, 4))
        finding = refused(getattr(audit, name), [lost, kept], mostly=1.0)
        assert finding.cases[0].outcome == "unscorable"
        assert finding.cases[1].value is not None

    def test_too_large_a_region_is_an_error_for_one_case_and_unscorable_in_a_population(self, audit, name):
        huge = Case(picture(red=50), label="red", region=Box(0, 0, 4, 3.3), id="huge")
        message = message_of(ValueError, getattr(audit, name), huge)
        assert message.startswith("case 'huge': the region covers 82% of the picture, more than 80%")
        finding = refused(getattr(audit, name), [huge, quarter_case(16, 0, id="good")], fill="mean")
        assert [result.outcome for result in finding.cases] == ["unscorable", "passed"]

    def test_padding_is_no_room_beside_the_region(self, audit_of, name):
        # With a black margin as large as itself the picture is all region: nothing is left to hide instead.
        audit = audit_of(colour_model(), preprocessing=Preprocessing(resize="pad"))
        wide = Case(picture(red=50, height=2), label="red", region=Box(0, 0, 4, 2), id="wide")
        assert "covers 100% of the picture" in message_of(ValueError, getattr(audit, name), wide)

    def test_a_part_of_every_pixel_leaves_nothing_else(self, audit, name):
        parts = tuple(Box(column + 0.1, 0, column + 0.8, 4) for column in range(4))
        case = Case(picture(red=50), label="red", region=parts, id="bars")
        assert "covers a part of every pixel" in message_of(ValueError, getattr(audit, name), case)

    def test_a_region_of_the_whole_picture_is_too_large(self, audit, name):
        whole = Case(picture(red=50), label="red", region=Box(0, 0, 4, 4), id="whole")
        assert "covers 100% of the picture" in message_of(ValueError, getattr(audit, name), whole)

    def test_no_region_is_named_with_the_case(self, audit, name):
        bare = Case(picture(red=50), label="red", id="bare")
        message = message_of(ValueError, getattr(audit, name), [quarter_case(16, 0, id="good"), bare])
        assert message == "case 'bare' has no region: give the Case one as region=, or hand one over as region="

    def test_a_region_outside_is_a_case_error(self, audit, name):
        outside = Case(picture(red=51), label="red", region=Box(9, 9, 12, 12), id="far")
        assert "lies outside the picture" in message_of(CaseError, getattr(audit, name), outside)
        message = message_of(CaseError, getattr(audit, name), quarter_case(16, 0, id="cat"), region=Box(9, 9, 12, 12))
        assert message.startswith("case 'cat': region: Box(9, 9, 12, 12) lies outside the picture")

    def test_a_region_partly_outside_is_clipped_with_a_warning(self, audit, name):
        case = Case(picture(red=quarter(16, 0)), label="red", region=Box(-2, -2, 2, 2))
        with pytest.warns(CaseWarning, match="reaches beyond the picture"):
            finding = getattr(audit, name)(case, fill="mean")
        assert finding.value == pytest.approx({"assert_object_matters": red(5) - red(1)}.get(name, red(7)), abs=1e-6)

    @pytest.mark.parametrize(
        ("arguments", "error", "text"),
        [
            ({"fill": "black"}, ValueError, "fill is 'black'; known: 'mean'"),
            ({"region": "left"}, TypeError, "region is 'left'"),
            ({"region": []}, TypeError, "region is empty"),
            ({"target": 1.5}, TypeError, "target is 1.5"),
            ({"target": "purple"}, ValueError, "There is no class 'purple'"),
        ],
    )
    def test_misuse_names_the_argument(self, audit, name, arguments, error, text):
        assert text in message_of(error, getattr(audit, name), quarter_case(16, 0), **arguments)

    @pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), "0.2"])
    def test_a_bad_threshold_is_named(self, audit, name, value):
        argument = {"assert_object_matters": "drop_at_least", "assert_object_suffices": "keep_at_least"}[name]
        with pytest.raises((TypeError, ValueError), match=f"^{argument} is "):
            getattr(audit, name)(quarter_case(16, 0), **{argument: value})

    @pytest.mark.parametrize("cases", ["cat.jpg", 3, None, ["cat.jpg"], []])
    def test_what_is_no_case_is_named(self, audit, name, cases):
        with pytest.raises((TypeError, ValueError), match=r"^cases "):
            getattr(audit, name)(cases)


def test_controls_lie_where_the_model_sees_them(audit_of):
    # Of 8 columns the crop keeps the middle four. The region is two of them, so the only control is the others.
    case = Case(picture(red=[[0, 0, 16, 16, 0, 0, 0, 0]] * 4, width=8), label="red", region=Box(2, 0, 4, 4))
    audit = audit_of(colour_model(), preprocessing=Preprocessing(resize="crop"))
    finding = audit.assert_object_matters(case, fill="mean", drop_at_least=0)
    # The picture's mean is 4; of the two pairs of columns that are seen one is 16 or 4, the other 0 or 4.
    assert finding.value == pytest.approx(red((16 + 4) / 2) - red((4 + 0) / 2), abs=1e-6)


# --- Pictures go the way of the untouched one ----------------------------------------------------------------


def oriented(path):
    image = Image.fromarray(picture(red=[[200, 0, 0, 0]] * 4, width=4))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    image.save(path, exif=exif)
    return path


def transparent(path):
    pixels = np.dstack([picture(red=halves(200, 10)), np.full((4, 4), 60, np.uint8)])
    Image.fromarray(pixels).save(path)
    return path


def deep(path):
    Image.fromarray((257 * quarter(200, 10)).astype(np.uint16)).save(path)
    return path


def palette(path):
    Image.fromarray(picture(red=halves(200, 10))).quantize(4).save(path)
    return path


@pytest.mark.parametrize("write", [oriented, transparent, deep, palette])
@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_whatever_is_not_edited_reaches_the_model_as_in_the_untouched_picture(
    tmp_path, audit_of, recorded, write, color
):
    audit = audit_of(colour_model(), preprocessing=Preprocessing(color=color), artifacts="all")
    unseen = np.array([[[120, 120, 120, 1]]], np.uint8)  # less than half a step of any pixel's value
    judged(audit.assert_ignores_patch, Case(write(tmp_path / "cat.png"), label="red"), unseen, where="center")
    case = recorded()[-1]["evidence"][0]
    [view] = case["views"]
    assert view["predictions"] == case["predictions"]


def test_what_is_transparent_is_edited_as_it_is_seen(audit):
    # Black to the left; to the right a red that nobody sees, since it is transparent: white. The mean is grey.
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:, 2:, 0], pixels[:, :2, 3] = 255, 255
    finding = refused(audit.assert_object_suffices, Case(pixels, label="red", region=Box(0, 0, 2, 4)), fill="mean")
    assert finding.value == pytest.approx(1 / 3, abs=1e-6)


def test_the_region_of_a_turned_picture_is_hidden_where_the_viewer_sees_it(tmp_path, audit_of):
    # Stored: the left column is red. Seen: the top row is.
    case = Case(oriented(tmp_path / "cat.png"), label="red", region=Box(0, 0, 4, 1))
    finding = audit_of(
        colour_model(), preprocessing=Preprocessing(scale=lambda pixels: pixels / 10)
    ).assert_object_matters(case, fill="mean")
    # 4 of 16 pixels of 20, mean 5.
    assert finding.value == pytest.approx(red((20 * 4 + 5 * 4) / 16) - red(5 * 4 / 16), abs=1e-6)


def test_a_grey_picture_is_edited_in_grey(audit_of, recorded):
    image, grey = keras.Input((4, 4, 1)), layers.Conv2D(1, 1, use_bias=False, name="conv")
    head = layers.Dense(2, use_bias=False)
    model = keras.Model(image, head(layers.GlobalAveragePooling2D()(grey(image))))
    grey.set_weights([np.ones((1, 1, 1, 1), np.float32)])
    head.set_weights([np.array([[1.0, 0.0]], np.float32)])
    case = Case(quarter(16, 0).astype(np.uint8), label=0, region=QUARTER)
    finding = audit_of(model, class_names=None).assert_object_matters(case, fill="mean", drop_at_least=0.1)
    assert finding.value == pytest.approx(1 / (1 + np.exp(-5)) - 1 / (1 + np.exp(-1)), abs=1e-6)


@pytest.mark.every_backend
def test_other_inputs_follow_the_case(recorder):
    picture_input, boost = keras.Input((4, 4, 3), name="photo"), keras.Input((3,), name="boost")
    pooled = layers.GlobalAveragePooling2D(name="pool")(
        layers.Conv2D(3, 1, use_bias=False, name="colour")(picture_input)
    )
    model = keras.Model([picture_input, boost], layers.Add(name="sum")([pooled, boost]))
    model.get_layer("colour").set_weights([np.eye(3, dtype=np.float32)[None, None]])
    cases = [quarter_case(16, 0, id="plain"), quarter_case(16, 0, id="boosted")]
    asked = []

    def boost_of(case):
        asked.append(case)
        return np.array([2.0 if case.name == "boosted" else 0.0, 0, 0], np.float32)

    engine = Engine(model, class_names=CLASSES, other_inputs={"boost": boost_of})
    results = Cache(engine)
    finding = Audit(TEST, recorder, lambda: results).assert_object_matters(cases, fill="mean", drop_at_least=0.0)
    values = [result.value for result in finding.cases]
    assert values == pytest.approx([red(5) - red(1), red(7) - red(3)], abs=1e-6)
    assert {id(case) for case in asked} == {id(case) for case in cases}


class TestPage:
    def test_shows_the_edited_pictures_with_their_predictions(self, audit_of, results, recorded):
        audit_of(results, artifacts="all").assert_object_matters(quarter_case(16, 0, id="cat"), fill="mean")
        shown = views(recorded)
        assert [view["title"] for view in shown] == [
            "object hidden (mean)",
            *(f"control {i} (mean)" for i in (1, 2, 3)),
        ]
        assert [view["note"] for view in shown] == [f"P(red) {red(1):.3f}", *[f"P(red) {red(5):.3f}"] * 3]
        assert shown[0]["predictions"][0] == {"name": "red", "probability": pytest.approx(red(1), abs=1e-6)}
        assert shown[0]["picture"]["src"].startswith("data:image/png;base64,")
        assert (shown[0]["picture"]["width"], shown[0]["picture"]["height"]) == (4, 4)

    def test_keeps_pictures_out_where_they_are_not_wanted(self, audit_of, results, recorded):
        audit_of(results, artifacts="all", pictures="none").assert_object_suffices(quarter_case(16, 0))
        [view] = views(recorded)
        assert view["title"] == "only the object (blur)"
        assert view["picture"] == {"src": None, "width": 4, "height": 4}

    def test_shows_no_edits_of_what_could_not_be_scored(self, audit_of, recorded):
        audit = audit_of(colour_model(), preprocessing=Preprocessing(resize="crop"))
        refused(audit.assert_object_matters, Case(picture(red=50, width=8), label="red", region=Box(0, 0, 2, 4)))
        assert views(recorded) == []


@pytest.mark.parametrize("settings", [Settings(), Settings(artifacts="all")])
def test_the_pictures_of_a_case_are_left_as_they_are(recorder, results, settings):
    case = quarter_case(16, 0)
    before = case.image.copy()
    Audit(TEST, recorder, lambda: results, settings).assert_object_matters(case, fill="mean")
    np.testing.assert_array_equal(case.image, before)
