"""Whether heatmaps tell classes apart: known maps and known correlations."""

import keras
import numpy as np
import pytest
from colours import colour_model, message_of, picture, refused
from explained import CASES, RISING, UNSCORABLE, case, together, value_of
from keras import layers

from pytest_cnnaudit import Case, metrics


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
