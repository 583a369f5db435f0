"""Whether heatmaps are robust to noise: known maps and known noise."""

import keras
import numpy as np
import pytest
from colours import CLASSES, colour_model, message_of, refused
from explained import CASES, RISING, case, together
from keras import layers

from pytest_cnnaudit import Case, Engine, Preprocessing
from pytest_cnnaudit.engine.cache import Cache


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
