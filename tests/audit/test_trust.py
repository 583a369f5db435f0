"""Assertions on the explanations: known maps, known correlations, and methods that are known to be bad."""

import hashlib
from pathlib import Path

import keras
import numpy as np
import pytest
from colours import CLASSES, blank_case, colour_model, evidence_of, halves, judged, message_of, picture, refused
from keras import layers
from PIL import Image

from pytest_cnnaudit import Case, Engine, Preprocessing, load_cases, metrics
from pytest_cnnaudit.audit.families.robustness import stays
from pytest_cnnaudit.audit.judged_cases import Score
from pytest_cnnaudit.edits import Curves, as_pixels
from pytest_cnnaudit.engine.cache import Cache
from pytest_cnnaudit.findings import Threshold
from pytest_cnnaudit.preprocessing import Geometry, open_picture
from pytest_cnnaudit.report import charts

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
GENERATOR = np.random.default_rng(0)
CASES = [
    Case(GENERATOR.integers(0, 12, (4, 4, 3), np.uint8), label=CLASSES[index % 3], id=f"noise {index}")
    for index in range(5)
]
RISING = np.arange(16).reshape(4, 4) * 10


def case(id="a", label="red", **channels):  # noqa: A002
    return Case(picture(**channels), label=label, id=id)


def value_of(finding, index=0):
    return finding.cases[index].value


def together(assertion, cases, *args, **options):
    """The values of a population that passes."""
    return [result.value for result in assertion(cases, *args, **options).cases]


def flat_case():
    """A picture whose map for its label is the same in all cells."""
    return case("flat", red=100, green=RISING)


UNSCORABLE = [
    (blank_case("blank"), "no positive evidence for this class at this layer"),
    (flat_case(), "the heatmap is the same in all cells"),
]


class TestClassDiscriminative:
    def test_the_same_map_for_both_classes_is_refused(self, audit, page):
        finding = refused(audit.assert_class_discriminative, case(red=RISING, green=RISING), "green")
        assert (finding.value, finding.threshold, finding.direction) == (pytest.approx(1), 0.5, "at_most")
        assert (finding.chance, finding.method, finding.layer, finding.target) == (0, "grad-cam", "colour", "label")
        assert finding.message.split("\n  ") == [
            "class_discriminative: failed: a: rank correlation 1 > 0.5 (margin -0.5), chance 0",
            "chance is wide: ±0.52 for unrelated maps of 16 cells, more for smooth",
            "heatmaps: grad-cam at 'colour', target: label",
            "settings: other green",
            f"page: {page}",
        ]

    def test_opposite_maps_pass(self, audit):
        finding = audit.assert_class_discriminative(case(red=RISING, green=RISING[::-1, ::-1]), "green")
        assert finding.value == pytest.approx(-1)

    def test_the_value_is_the_measure_on_the_two_maps(self, audit):
        red, green = CASES[0].image[..., 0].astype(float), CASES[0].image[..., 1].astype(float)
        finding = audit.assert_class_discriminative(CASES[0], 1, correlation_at_most=1)
        assert finding.value == pytest.approx(metrics.rank_correlation(red, green))

    def test_second_is_the_most_probable_class_but_the_target(self, audit):
        image = picture(red=RISING, green=RISING[::-1, ::-1], blue=RISING + 100)
        assert value_of(audit.assert_class_discriminative(Case(image, "green"), "second")) == pytest.approx(-1)
        assert value_of(refused(audit.assert_class_discriminative, Case(image, "red"), "second")) == pytest.approx(1)

    def test_the_runner_up_is_meant_where_the_target_is_predicted(self, audit):
        image = picture(red=250 - RISING, green=RISING + 20, blue=RISING)
        finding = audit.assert_class_discriminative(Case(image), "second")
        assert (finding.target, finding.value) == ("predicted", pytest.approx(-1))

    def test_a_sequence_names_one_for_each(self, audit):
        one = case("a", red=RISING, green=RISING, blue=RISING[::-1])
        two = case("b", red=RISING, green=RISING[::-1, ::-1], blue=RISING)
        finding = audit.assert_class_discriminative([one, two], ["green", "green"], mostly=0.5)
        assert [result.value for result in finding.cases] == pytest.approx([1, -1])
        values = together(audit.assert_class_discriminative, [one, two], ["green", 2], correlation_at_most=1)
        assert values == pytest.approx([1, 1])

    def test_what_speaks_against_the_other_class_is_compared_where_nothing_speaks_for_it(self, audit_of):
        audit = audit_of(colour_model([[1, -1, 0], [0, 1, 0], [0, 0, 1]]))
        finding = audit.assert_class_discriminative(case(red=RISING), "green")
        assert (finding.value, finding.unscorable) == (pytest.approx(-1), 0)
        assert "nothing speaks for 'green': compared with its map before ReLU" in finding.message

    def test_no_evidence_for_the_other_class_or_against_it_is_unscorable(self, audit):
        finding = refused(audit.assert_class_discriminative, case(red=RISING), "green")
        assert (finding.value, finding.unscorable) == (None, 1)
        assert "no positive evidence for 'green'" in finding.message

    @pytest.mark.parametrize(("one", "why"), UNSCORABLE)
    def test_a_case_without_a_map_of_its_own_is_unscorable(self, audit, one, why):
        finding = refused(audit.assert_class_discriminative, one, "blue")
        assert (finding.value, finding.unscorable) == (None, 1)
        assert why in finding.message

    def test_a_binary_models_other_class_is_the_opposite(self, audit_of):
        audit = audit_of(_binary_model(), ("negative", "positive"))
        one = Case(picture(red=RISING, green=250 - RISING), label="positive")
        # The logits are (−z, z) and so are the maps: no cell has evidence for both.
        assert value_of(audit.assert_class_discriminative(one, "negative")) < 0

    def test_the_class_it_is_compared_with_must_be_another(self, audit):
        message = message_of(ValueError, audit.assert_class_discriminative, CASES, "red")
        assert message.startswith("case 'noise 0': other is 'red'")

    @pytest.mark.parametrize(
        ("other", "error", "match"),
        [
            (None, TypeError, "other is None"),
            (1.5, TypeError, "other is 1.5"),
            ("yellow", ValueError, "no class 'yellow'"),
            (["green"], ValueError, "other has 1 entries for 5 cases"),
        ],
    )
    def test_a_wrong_other_is_an_error(self, audit, other, error, match):
        assert match in message_of(error, audit.assert_class_discriminative, CASES, other)


def _binary_model():
    image = keras.Input((4, 4, 3))
    convolution = layers.Conv2D(3, 1, use_bias=False, activation="relu", name="colour")
    head = layers.Dense(1, use_bias=False, activation="sigmoid", name="head")
    model = keras.Model(image, head(layers.GlobalAveragePooling2D(name="pool")(convolution(image))))
    convolution.set_weights([np.eye(3, dtype=np.float32)[None, None]])
    head.set_weights([np.array([[1.0], [-1.0], [0.0]], np.float32)])
    return model


class TestFollows:
    @pytest.mark.parametrize("transform", ["mirror", "flip", "rotate90"])
    def test_a_map_of_the_pixels_follows_exactly(self, audit, transform):
        values = together(audit.assert_follows, CASES, transform)
        assert values == pytest.approx([1] * 5)

    def test_chance_is_what_a_map_that_stays_in_its_place_would_reach(self, audit):
        finding = audit.assert_follows(case(red=halves(10, 90)))
        assert (finding.value, finding.chance) == (pytest.approx(1), pytest.approx(-1))
        symmetric = np.repeat([[10, 90, 90, 10]], 4, axis=0)
        finding = refused(audit.assert_follows, case(red=symmetric))
        assert (finding.value, finding.unscorable, finding.chance) == (None, 1, pytest.approx(1))
        assert "a heatmap that stays in its place would reach 1.00 too" in finding.message

    def test_a_value_clearly_above_a_high_chance_counts(self, audit):
        # Of 16 cells two change places: the mirrored picture correlates by 0.9 or so, the map taken back by 1.
        red = np.repeat([[10, 90, 90, 10]], 4, axis=0)
        red[0] = [20, 90, 90, 10]
        one = case(red=red)
        chance = metrics.rank_correlation(red, red[:, ::-1])
        assert 0.8 < chance < 0.99
        finding = audit.assert_follows(one)
        assert (finding.value, finding.chance) == (pytest.approx(1), pytest.approx(chance))

    @pytest.mark.parametrize(
        ("value", "chance", "scored"),
        [
            (1.0, 0.85, True),
            (0.93, 0.85, True),  # 0.925 is half-way
            (0.92, 0.85, False),
            (0.85, 0.85, False),
            (1.0, 0.995, False),  # symmetric: nothing can be clearly above
            (1.0, 1.0, False),
            (0.1, 0.79, True),  # chance alone would fail
        ],
    )
    def test_what_a_still_map_would_reach_too_is_no_value(self, value, chance, scored):
        assert stays(Score(value, chance), Threshold("rank correlation", 0.8, "at_least")) is not scored

    def test_a_still_map_is_unscorable_whatever_the_limit(self, audit):
        finding = refused(
            audit.assert_follows,
            [case(red=np.repeat([[10, 90, 90, 10]], 4, axis=0))],
            correlation_at_least=None,
            excess_at_least=0.1,
        )
        assert (finding.value, finding.unscorable) == (0, 1)
        assert stays(Score(0.6, 0.6), Threshold("excess", 0.0, "at_least", is_excess=True))
        assert not stays(Score(0.7, 0.6), Threshold("excess", 0.0, "at_least", is_excess=True))

    def test_a_map_that_is_taken_back_wrong_fails_an_excess_too(self, audit):
        finding = refused(
            audit.assert_follows,
            case(red=halves(10, 90)),
            (lambda image: image, lambda heatmap: heatmap[:, ::-1]),
            correlation_at_least=0.5,
            excess_at_least=0.1,
        )
        assert (finding.value, finding.unscorable) == (pytest.approx(-1), 0)

    def test_an_excess_is_held_above_chance(self, audit):
        one = case(red=halves(10, 90))  # chance −1, which is nothing to be above
        assert audit.assert_follows(one, correlation_at_least=None, excess_at_least=0.9).threshold == pytest.approx(0.9)
        red = np.repeat([[10, 60, 90, 30]], 4, axis=0)
        chance = metrics.rank_correlation(red, red[:, ::-1])
        assert chance == pytest.approx(0.6)
        finding = audit.assert_follows(case(red=red), correlation_at_least=None, excess_at_least=0.5)
        assert finding.threshold == pytest.approx(0.8)
        message = message_of(ValueError, audit.assert_follows, one, correlation_at_least=None)
        assert message == "No threshold: give correlation_at_least or excess_at_least"

    def test_a_map_that_never_moves_is_unscorable(self, audit_of, honest, pictures):
        finding = refused(audit_of(honest).assert_follows, pictures[:2], method=centre_blob)
        assert (finding.passed, finding.unscorable) == (0, 2)

    def test_a_model_that_looks_at_a_fixed_place_does_not(self, audit_of):
        # Only the left half counts: mirrored and taken back, the map is of the right half.
        audit = audit_of(_left_half_model())
        finding = refused(audit.assert_follows, case(red=100))
        assert finding.value == pytest.approx(-1)
        assert finding.chance == pytest.approx(-1)
        assert finding.outcome == "failed"

    def test_a_pair_of_functions_is_a_transform(self, audit):
        def upside_down(image):
            return image.rotate(180)

        finding = audit.assert_follows(CASES[0], (upside_down, lambda heatmap: heatmap[::-1, ::-1]))
        assert finding.value == pytest.approx(1)
        wrong = refused(audit.assert_follows, CASES[0], (upside_down, lambda heatmap: heatmap[::-1]))
        assert wrong.value == pytest.approx(wrong_value(CASES[0]))

    def test_both_maps_are_of_the_class_of_the_untouched_picture(self, audit_of):
        seen = []

        def watched(activations, gradients, scores):
            seen.append(gradients[:1, 0, 0].argmax(axis=-1).tolist())
            return (gradients * activations).sum(axis=-1)

        refused(
            audit_of(_left_half_model()).assert_follows,
            case(red=halves(90, 0), green=halves(0, 200), label=None),
            method=watched,
            correlation_at_least=-0.5,
        )
        assert seen == [[0], [0]]

    def test_nothing_in_the_transformed_picture_is_unscorable(self, audit_of):
        finding = refused(audit_of(_left_half_model()).assert_follows, case(red=halves(90, 0)))
        assert (finding.value, finding.unscorable) == (None, 1)
        assert "no positive evidence in the transformed picture" in finding.message

    @pytest.mark.parametrize(("one", "why"), UNSCORABLE)
    def test_a_case_without_a_map_of_its_own_is_unscorable(self, audit, one, why):
        assert why in refused(audit.assert_follows, one).message

    def test_a_constant_classifier_is_unscorable_and_not_passed(self, audit_of):
        finding = refused(audit_of(colour_model(np.zeros((3, 3)))).assert_follows, CASES[0])
        assert (finding.unscorable, finding.passed) == (1, 0)

    @pytest.mark.parametrize(
        ("transform", "error", "match"),
        [
            ("shear", ValueError, "known: mirror, flip, rotate90"),
            (Image.Image.copy, TypeError, "a pair of functions"),
            ((1, 2), TypeError, "a pair of functions"),
            ((lambda image: np.asarray(image), lambda heatmap: heatmap), TypeError, "gave a ndarray"),
            ((Image.Image.copy, lambda heatmap: heatmap[:2]), ValueError, "back to (2, 4)"),
        ],
    )
    def test_a_wrong_transform_is_an_error(self, audit, transform, error, match):
        assert match in message_of(error, audit.assert_follows, CASES, transform)

    def test_a_quarter_turn_needs_a_square_grid(self, audit_of):
        audit = audit_of(colour_model(width=6))
        assert "not square" in message_of(ValueError, audit.assert_follows, CASES[0], "rotate90")


def wrong_value(one):
    """Spearman's correlation of the red channel with itself mirrored."""
    red = one.image[..., 0].astype(float)
    return metrics.rank_correlation(red, red[:, ::-1])


def _left_half_model():
    """The colour model, but only the left half of the picture counts."""
    image = keras.Input((4, 4, 3))
    convolution = layers.Conv2D(3, 1, use_bias=False, activation="relu", name="colour")
    half = convolution(image) * np.repeat([[1.0, 1.0, 0.0, 0.0]], 4, axis=0).astype("float32")[..., None]
    head = layers.Dense(3, use_bias=False, name="head")
    model = keras.Model(image, head(layers.GlobalAveragePooling2D(name="pool")(half)))
    convolution.set_weights([np.eye(3, dtype=np.float32)[None, None]])
    head.set_weights([np.eye(3, dtype=np.float32)])
    return model


class TestStable:
    def test_the_value_is_the_largest_change_by_the_seeded_noise(self, audit):
        one = case(red=RISING + 50, green=7)
        drawn = np.random.default_rng(0).uniform(-0.02, 0.02, (10, 4, 4, 3)) * (200 - 0)  # blue is 0, red up to 200
        # The map is the red channel: what is added to it is what changes.
        expected = np.linalg.norm(drawn[..., 0], axis=(1, 2)).max() / np.linalg.norm(RISING + 50)
        assert audit.assert_stable(one).value == pytest.approx(expected, rel=1e-4)

    def test_more_noise_changes_more_in_proportion(self, audit):
        one = case(red=RISING + 50)
        small, large = (audit.assert_stable(one, noise=noise).value for noise in (0.01, 0.04))
        assert large == pytest.approx(4 * small, rel=1e-3)

    def test_too_much_change_is_refused(self, audit):
        finding = refused(audit.assert_stable, case(red=RISING), noise=1.0)
        assert (finding.threshold, finding.direction, finding.chance) == (0.2, "at_most", None)
        assert finding.message.startswith("stable: failed: a: change ")

    def test_the_seed_decides_and_nothing_else(self, audit_of, results):
        first, again, other = (audit_of(results, seed=seed).assert_stable(CASES[0]).value for seed in (3, 3, 4))
        assert first == again != other

    def test_a_picture_of_one_colour_has_no_range_to_take_a_share_of(self, audit):
        finding = refused(audit.assert_stable, Case(np.full((4, 4, 3), 90, np.uint8), "red"))
        assert "one colour only" in finding.message
        assert finding.unscorable == 1

    def test_an_empty_map_is_unscorable(self, audit):
        assert "no positive evidence" in refused(audit.assert_stable, case(green=RISING)).message

    def test_the_maps_are_of_the_class_of_the_untouched_picture(self, audit):
        # Red and green are equally probable: with noise either wins, but the map stays red's.
        one = case(red=RISING + 50, green=RISING.T + 50, label=None)
        assert audit.assert_stable(one).value < 0.1

    def test_a_method_with_a_baseline_keeps_it(self, audit_of):
        # With x / 127.5 − 1 black is −1. Were it 0 for the copies only, every map would change by half.
        audit = audit_of(colour_model(), preprocessing=Preprocessing(scale=lambda pixels: pixels / 127.5 - 1))
        one = case(red=RISING + 20, green=RISING.T, blue=90)
        assert audit.assert_stable(one, method="integrated-gradients", noise=0.005, change_at_most=0.1).passed

    @pytest.mark.every_backend
    def test_other_inputs_follow_the_case(self, audit_of):
        image, gain = keras.Input((4, 4, 3), name="image"), keras.Input((1,), name="gain")
        colours = layers.Conv2D(3, 1, use_bias=False, activation="relu", name="colour")(image)
        model = keras.Model([image, gain], layers.GlobalAveragePooling2D(name="pool")(colours) * gain)
        model.layers[1].set_weights([np.eye(3, dtype=np.float32)[None, None]])
        engine = Engine(model, class_names=CLASSES, other_inputs={"gain": lambda one: [GAINS[one.id]]})
        audit = audit_of(Cache(engine))
        cases = [Case(CASES[0].image, "red", id=name) for name in GAINS]
        # The map is the red channel times the gain, so a gain of another case would change it all.
        assert together(audit.assert_stable, cases, change_at_most=0.1) == pytest.approx(
            [audit.assert_stable(cases[0], change_at_most=0.1).value] * 2
        )
        assert together(audit.assert_follows, cases) == pytest.approx([1, 1])
        assert len(set(together(audit.assert_faithful, cases, gain_at_least=-2))) == 2

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"noise": 0}, "noise is 0"),
            ({"noise": 1.5}, "noise is 1.5"),
            ({"samples": 0}, "samples is 0"),
            ({"samples": 2.0}, "samples is 2.0"),
            ({"change_at_most": -1}, "change_at_most is -1"),
        ],
    )
    def test_wrong_numbers_are_errors(self, audit, options, match):
        assert match in message_of(ValueError, audit.assert_stable, CASES, **options)


GAINS = {"weak": 0.5, "strong": 1.0}


class TestFaithful:
    def test_the_value_is_the_difference_of_the_areas_step_by_step(self, audit, results):
        one = case(red=RISING + 20, green=60, blue=100)
        engine, steps = results.engine, 5
        image, grey = Image.fromarray(one.image), np.rint(one.image.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
        curves = Curves(pixels(one), Geometry.identity(4, 4), (4, 4))
        blurred = np.asarray(curves.blurred)
        orders = [np.argsort(-one.image[..., 0].ravel(), kind="stable"), _random_order(one)]
        areas = []
        for order in orders:
            values = []
            for count in (0, 3, 6, 10, 13, 16):  # fifths of 16 cells, rounded
                taken = np.isin(np.arange(16), order[:count]).reshape(4, 4, 1)
                edits = [np.where(taken, one.image, blurred), np.where(taken, grey, one.image)]
                values.append([engine.predict(Image.fromarray(edit)).probabilities[0, 0] for edit in edits])
            x, (insertion, deletion) = np.array([0, 3, 6, 10, 13, 16]) / 16, np.transpose(values)
            areas.append(sum((x[1:] - x[:-1]) * ((insertion - deletion)[1:] + (insertion - deletion)[:-1]) / 2))
        finding = audit.assert_faithful(one, steps=steps, gain_at_least=-2)
        assert finding.value == pytest.approx(areas[0] - areas[1], abs=1e-6)
        assert finding.chance == 0
        assert f"= {areas[0]:.2f}, in random order {areas[1]:.2f}" in finding.message
        # Of several the means over those that can be judged: a picture of one colour moves nothing.
        flat = case("flat", red=np.full((4, 4), 60) + np.eye(4, dtype=int))
        several = audit.assert_faithful([one, flat], steps=steps, gain_at_least=-2, mostly=0.1)
        assert [result.outcome for result in several.cases] == ["passed", "unscorable"]
        assert f"insertion − deletion: {areas[0]:.3f} by the heatmaps, {areas[1]:.3f} at random" in several.message
        assert image.size == (4, 4)

    def test_the_points_of_the_chart_are_what_the_model_says_of_the_edited_pictures(self, audit_of, results):
        one = case(red=RISING + 20, green=60, blue=100)
        [shown] = evidence_of(
            judged(audit_of(results, artifacts="all").assert_faithful, one, steps=4, gain_at_least=-2)
        )
        inserted, deleted, view = shown["views"]
        assert (view["chart"]["up"], view["chart"]["across"]) == ("P(red)", "share of pixels inserted or deleted")
        mean, blurred = np.rint(one.image.mean(axis=(0, 1))).astype(np.uint8), Curves(*grid_of(one)).blurred
        orders = [np.argsort(-one.image[..., 0].ravel(), kind="stable"), _random_order(one)]
        expected = []
        for order in orders:
            taken = [np.isin(np.arange(16), order[:count]).reshape(4, 4, 1) for count in (0, 4, 8, 12, 16)]
            for over, under in ((one.image, blurred), (mean, one.image)):
                edits = [np.where(mask, over, under) for mask in taken]
                expected.append(results.engine.predict(edits).probabilities[:, 0].tolist())
        lines = view["chart"]["lines"]
        assert [line["name"] for line in lines] == [
            *("inserted, the most relevant first", "deleted, the most relevant first"),
            *("inserted, in random order", "deleted, in random order"),
        ]
        for line, values in zip(lines, expected, strict=True):
            assert [x for x, _ in line["points"]] == [0, 0.25, 0.5, 0.75, 1]
            assert [y for _, y in line["points"]] == pytest.approx(values, abs=1e-6)
            area = (values[0] / 2 + sum(values[1:4]) + values[4] / 2) / 4
            assert line["note"] == f"area {area:.3f}"
        drawn = charts.chart(view["chart"]).lines
        assert [[y for _, y in line.points] for line in drawn] == [
            pytest.approx([10 + 170 * (1 - value) for value in values], abs=1e-3) for values in expected
        ]
        assert (inserted["note"], deleted["note"]) == tuple(f"P(red) {values[2]:.3f}" for values in expected[:2])

    def test_the_evidence_first_gains_and_last_loses(self, audit):
        one = case(red=RISING // 10, green=8)
        assert audit.assert_faithful(one).value > 0.1

        def upside_down(activations, gradients, scores):
            found = (activations * gradients).sum(axis=-1)
            return found.max() - found

        finding = refused(audit.assert_faithful, one, method=upside_down)
        assert finding.value < -0.1
        assert "in random order" in finding.message

    def test_a_constant_map_and_an_empty_one_have_no_order(self, audit):
        for one, why in UNSCORABLE:
            finding = refused(audit.assert_faithful, one)
            assert why in finding.message
        finding = refused(audit.assert_faithful, [CASES[0], blank_case("blank"), CASES[1]], gain_at_least=-2)
        assert (finding.passed, finding.unscorable, finding.n) == (2, 1, 3)

    def test_each_picture_has_a_random_order_of_its_own(self, audit, results, monkeypatch):
        orders = []
        ranks = Curves.ranks

        def watched(self, order):
            orders.append(tuple(order))
            return ranks(self, order)

        monkeypatch.setattr(Curves, "ranks", watched)
        audit.assert_faithful(CASES, gain_at_least=-2)
        assert len(set(orders[1 : 2 * len(CASES) : 2])) == len(CASES)

    def test_a_prediction_that_never_moves_has_no_order_either(self, audit):
        finding = refused(audit.assert_faithful, case(red=RISING + 100), gain_at_least=-2)
        assert finding.unscorable == 1
        assert "P(target) stays between 1.000 and 1.000 whatever is covered" in finding.message

    @pytest.mark.parametrize(
        ("options", "match"), [({"steps": 1}, "steps is 1"), ({"gain_at_least": 3}, "gain_at_least is 3")]
    )
    def test_wrong_numbers_are_errors(self, audit, options, match):
        assert match in message_of(ValueError, audit.assert_faithful, CASES, **options)


def _random_order(one, seed=0):
    """By the seed and the picture."""
    content = hashlib.sha256(f"{seed} order {one.image.shape}".encode() + one.image.tobytes())
    return np.random.default_rng(list(content.digest())).permutation(16)


def pixels(one):
    return as_pixels(open_picture(one))


def grid_of(one):
    return pixels(one), Geometry.identity(4, 4), (4, 4)


@pytest.fixture(scope="module")
def honest(backend):
    return Cache(Engine(FIXTURES / "honest.keras", class_names=FIXTURES / "class_names.txt", progress=False))


@pytest.fixture(scope="module")
def pictures():
    return list(load_cases(FIXTURES / "validation.json"))[::16]


def centre_blob(activations, gradients, scores):
    """A known bad one: the middle, whatever the picture and the model."""
    return np.broadcast_to(metrics.centre_prior(activations.shape[1:3]), activations.shape[:3])


def edges(activations, gradients, scores):
    """A known bad one: where neighbouring pixels differ, whatever the model."""
    rows, columns = np.gradient(activations.mean(axis=-1), axis=(1, 2))
    return np.hypot(rows, columns)


def like_guided_backpropagation(activations, gradients, scores):
    """A known bad one: edges, dimmed a little where the gradient is small, as guided backpropagation draws."""
    strength = np.abs(gradients).max(axis=-1)
    return edges(activations, gradients, scores) * (1 + strength / strength.max(axis=(1, 2), keepdims=True))


def sign_of_the_gradient(activations, gradients, scores):
    """A known bad one: where activity is high, or low, as the sign of the gradient says."""
    energy = activations.mean(axis=-1)
    return (energy - energy.mean(axis=(1, 2), keepdims=True)) * _sign(gradients)


def one_sign_only(activations, gradients, scores):
    """A known bad one: where the activity changes, with the first picture's sign only; else nothing."""
    return edges(activations, gradients, scores) * -_sign(gradients)


def signed_blob(activations, gradients, scores):
    """A known bad one: the middle and, against it, what is around, whatever the picture and the model."""
    height, width = activations.shape[1:3]
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2)
    ring = np.where(distance < height / 3, -1 - distance / 100, 0)
    return np.broadcast_to(np.where(distance < height / 5, 1 + distance / 100, ring), activations.shape[:3])


def signed_edges(activations, gradients, scores):
    """A known bad one: steps of brightness, up for and down against, whatever the model."""
    steps = np.gradient(activations.mean(axis=-1), axis=2)
    return np.where(np.abs(steps) > np.quantile(np.abs(steps), 0.7, axis=(1, 2), keepdims=True), steps, 0)


def signed_edges_by_the_gradient(activations, gradients, scores):
    """A known bad one: the same, the other way round where the gradient is."""
    return signed_edges(activations, gradients, scores) * _sign(gradients)


def _sign(gradients):
    return np.sign(gradients.mean(axis=(1, 2, 3)))[:, None, None]


class TestRespondsToWeights:
    def test_the_value_is_the_mean_over_networks_of_these_weights(self, audit):
        one = CASES[0]
        x = one.image.astype(np.float64)
        before, found, whole = x[..., 0], [], []
        for draw in range(4):
            generator = np.random.default_rng(draw)
            convolution = generator.standard_normal((1, 1, 3, 3), np.float32)[0, 0] * np.sqrt(2 / 3)
            head = generator.standard_normal((3, 3), np.float32) * np.sqrt(2 / 3)
            after = np.maximum(x @ convolution, 0) @ head[:, 0]
            parts = [part for part in (np.maximum(after, 0), np.maximum(-after, 0)) if np.ptp(part)]
            found.append(min(abs(metrics.rank_correlation(before, part)) for part in parts))
            whole.append(abs(metrics.rank_correlation(before, after)))
        finding = audit.assert_responds_to_weights(one, samples=4, correlation_at_most=1)
        assert finding.value == pytest.approx(max(np.mean(found), min(whole)), abs=1e-4)
        assert finding.chance == pytest.approx(np.sqrt(2 / np.pi / 15))
        assert f"signed maps from {min(whole):.2f} to {max(whole):.2f} over 4 re-initialisations" in finding.message

    @pytest.mark.every_backend
    def test_grad_cam_on_a_trained_network_passes(self, audit_of, honest, pictures):
        finding = audit_of(honest).assert_responds_to_weights(pictures)
        assert finding.passed == len(pictures)
        assert max(result.value for result in finding.cases) < 0.4

    @pytest.mark.parametrize(
        ("method", "layer", "least"),
        [
            (centre_blob, None, 1),
            (edges, "rescaling", 1),
            (sign_of_the_gradient, None, 0.6),
            (one_sign_only, None, 0.7),
            (signed_blob, None, 1),
            (signed_edges, "rescaling", 1),
            (signed_edges_by_the_gradient, "rescaling", 1),
            (like_guided_backpropagation, "rescaling", 0.9),
            ("eigen-cam", "rescaling", 0.6),
        ],
    )
    def test_methods_that_ignore_the_weights_are_refused(self, audit_of, honest, pictures, method, layer, least):
        finding = refused(
            audit_of(honest).assert_responds_to_weights, pictures[:3], method=method, layer=layer, samples=2
        )
        assert finding.passed == 0
        assert min(result.value for result in finding.cases if result.value is not None) >= least - 1e-9

    def test_a_method_on_the_picture_re_initialises_all_layers(self, audit_of, honest, pictures):
        finding = audit_of(honest).assert_responds_to_weights(pictures[:2], method="saliency", samples=2)
        assert finding.layer == "picture"
        assert finding.passed == 2

    @pytest.mark.parametrize(("one", "why"), UNSCORABLE)
    def test_a_case_without_a_map_of_its_own_is_unscorable(self, audit, one, why):
        assert why in refused(audit.assert_responds_to_weights, one).message

    def test_a_model_without_weights_there_is_an_error(self, audit_of):
        image = keras.Input((4, 4, 3))
        model = keras.Model(image, layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(name="colour")(image)))
        message = message_of(ValueError, audit_of(model).assert_responds_to_weights, CASES)
        assert "nothing to re-initialise" in message

    def test_samples_must_be_a_whole_number(self, audit):
        assert "samples is 0" in message_of(ValueError, audit.assert_responds_to_weights, CASES, samples=0)


ALL = [
    ("assert_class_discriminative", ("second",), {"correlation_at_most": 1}),
    ("assert_faithful", (), {"gain_at_least": -2}),
    ("assert_stable", (), {"change_at_most": 9}),
    ("assert_follows", (), {"correlation_at_least": 0.8}),
    ("assert_responds_to_weights", (), {"correlation_at_most": 1}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), ALL)
class TestAll:
    def test_a_cases_value_is_the_same_whatever_the_population(self, audit, name, arguments, options):
        assertion = getattr(audit, name)
        alone = [value_of(assertion(one, *arguments, **options)) for one in CASES]
        assert [one.value for one in assertion(CASES, *arguments, **options).cases] == pytest.approx(alone, abs=1e-6)
        turned = [one.value for one in assertion(CASES[::-1], *arguments, **options).cases]
        assert turned[::-1] == pytest.approx(alone, abs=1e-6)

    def test_the_rule_on_populations_is_the_others(self, audit, name, arguments, options):
        finding = getattr(audit, name)([*CASES, blank_case("blank")], *arguments, **options, mostly=0.8)
        assert (finding.n, finding.passed, finding.unscorable) == (6, 5, 1)
        assert (finding.value, finding.threshold, finding.mostly) == (pytest.approx(5 / 6), 0.8, 0.8)
        inconclusive = refused(getattr(audit, name), CASES, *arguments, **options, mostly=0.9, confidence=0.95)
        assert inconclusive.outcome == "inconclusive"

    def test_the_page_shows_what_it_was_compared_with(self, audit_of, results, name, arguments, options):
        finding = getattr(audit_of(results, artifacts="all"), name)(CASES[0], *arguments, **options)
        [shown] = evidence_of(finding)
        pictured = [view for view in shown["views"] if "chart" not in view]
        assert len(pictured) == (2 if name == "assert_faithful" else 1)
        for view in pictured:
            assert view["title"]
            assert view["picture"]["src"].startswith("data:image/png")
            assert (view.get("heatmap") is None) == (name == "assert_faithful")

    def test_pictures_of_patients_stay_out(self, audit_of, results, name, arguments, options):
        audit = audit_of(results, artifacts="all", pictures="none")
        [shown] = evidence_of(getattr(audit, name)(CASES[0], *arguments, **options))
        pictured = [view for view in shown["views"] if "chart" not in view]
        assert pictured
        assert all(view["picture"]["src"] is None for view in pictured)

    def test_no_message_is_longer_than_12_lines(self, audit, name, arguments, options):
        finding = refused(getattr(audit, name), [*CASES, blank_case("blank")], *arguments, **options)
        assert len(finding.message.splitlines()) <= 12

    def test_what_is_no_case_is_an_error(self, audit, name, arguments, options):
        assert "cases must be" in message_of(TypeError, getattr(audit, name), "picture.jpg", *arguments, **options)
        assert "cases is empty" in message_of(ValueError, getattr(audit, name), [], *arguments, **options)

    def test_a_limit_that_is_no_number_is_an_error_that_names_it(self, audit, name, arguments, options):
        [limit] = options
        assert limit in message_of(TypeError, getattr(audit, name), CASES, *arguments, **{limit: "0.5"})

    def test_nan_from_a_method_of_ones_own_is_an_error(self, audit, name, arguments, options):
        def broken(activations, gradients, scores):
            return np.full(activations.shape[:3], np.nan)

        with pytest.raises(ValueError, match="NaN"):
            getattr(audit, name)(CASES, *arguments, **options, method=broken)
