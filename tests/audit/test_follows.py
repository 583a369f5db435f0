"""Whether heatmaps move with the image: known maps, and what would stay in its place."""

import keras
import numpy as np
import pytest
from colours import colour_model, halves, message_of, refused
from explained import CASES, UNSCORABLE, case, centre_blob, together
from keras import layers
from PIL import Image

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit.families.robustness import stays
from pytest_cnnaudit.audit.judged_cases import Score
from pytest_cnnaudit.findings import Threshold


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
