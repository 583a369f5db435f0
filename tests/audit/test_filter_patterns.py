"""`assert_filters_respond` and `assert_filters_distinct` on 1 × 1 convolutions, whose ascents can be written down.

The gradient of such a filter w is w at every cell but the border of 2: on 8 × 8 pictures the ascent goes a distance d
in the direction w/‖w‖ of the 16 cells inside, and lifts each of them by ‖w‖ · d/4. Noise as far away, in 8 · 8 · 3
directions, changes a cell by ‖w‖ · d/√192 on average: the gain is √192/4 = √12, whatever w, d and the bias.
"""

import base64
import io

import keras
import numpy as np
import pytest
from colours import evidence_of, half_case, message_of, refused
from keras import layers
from PIL import Image

from pytest_cnnaudit import Engine, FilterPatterns
from pytest_cnnaudit.audit.families.filter_patterns import pattern_gains
from pytest_cnnaudit.engine.cache import Cache

RED, GREEN, PINK, DEAD = (1, 0, 0), (0, 1, 0), (3, 4, 0), (0, 0, 0)


def colour_filters(*kernels, bias=0.0, activation=None, side=8):
    image = keras.Input((side, side, 3))
    convolution = layers.Conv2D(len(kernels), 1, activation=activation, name="colour")
    pooled = layers.GlobalAveragePooling2D(name="pool")(convolution(image))
    model = keras.Model(image, layers.Dense(2, name="head")(pooled))
    convolution.set_weights([np.array(kernels, np.float32).T[None, None], np.full(len(kernels), bias, np.float32)])
    return model


def audit_with(audit_of, *kernels, settings=None, **options):
    return audit_of(
        colour_filters(*kernels, **options),
        class_names=None,
        **({"artifacts": "all"} if settings is None else settings),
    )


@pytest.fixture(scope="module")
def four_filters():
    """Of which the last is dead."""
    return Cache(Engine(colour_filters(RED, GREEN, PINK, DEAD)))


@pytest.fixture
def four(audit_of, four_filters):
    return audit_of(four_filters, artifacts="all")


class TestRespond:
    @pytest.mark.every_backend
    def test_living_filters_pass(self, four, recorded):
        finding = four.assert_filters_respond("colour", [0, 1, 2])
        assert (finding.outcome, finding.threshold, finding.direction, finding.chance) == ("passed", 2.0, "at_least", 0)
        assert finding.value == pytest.approx(12**0.5, rel=0.15)  # 15 pictures of noise with 16 cells
        assert (finding.n, finding.unit, finding.passed) == (3, "filters", 3)
        assert (finding.layer, finding.cases) == ("colour", ())
        assert recorded()[0]["demands"] == {
            "layer": "colour",
            "filters": [0, 1, 2],
            "gain_at_least": 2.0,
            "steps": 30,
            "step_size": 10.0,
            "size": None,
            "seed": None,
            "options": {},
        }

    def test_a_planted_dead_filter_is_found_and_named(self, four, page):
        finding = refused(four.assert_filters_respond, "colour")
        assert (finding.outcome, finding.value, finding.n, finding.passed) == ("failed", 0.0, 4, 3)
        head, missing, silent, median, settings, where = finding.message.split("\n")
        assert head == ("filters_respond: failed: layer 'colour', filter 3: gain 0 < 2 (margin -2), chance 0")
        assert missing == "  1 of 4 filters miss the limit: 3 (0)"
        assert silent == "  without any way up from the start: 3"
        assert median.startswith("  median gain 3.")
        assert settings == "  settings: steps 30"
        assert where == f"  page: {page}"

    @pytest.mark.parametrize("options", [{"bias": 100.0}, {"bias": -100.0}])
    def test_the_bias_is_no_gain(self, audit_of, options):
        plain = audit_with(audit_of, RED).assert_filters_respond("colour").value
        assert audit_with(audit_of, RED, **options).assert_filters_respond("colour").value == pytest.approx(plain, 1e-3)

    def test_the_distance_is_no_gain(self, four):
        near, far = (four.assert_filters_respond("colour", 0, steps=steps).value for steps in (3, 30))
        # Nearer, the start's own noise counts a little more.
        assert near == pytest.approx(far, rel=0.05)

    def test_the_limit_itself_passes(self, four):
        value = four.assert_filters_respond("colour", 1).value
        assert four.assert_filters_respond("colour", 1, gain_at_least=value).outcome == "passed"
        assert refused(four.assert_filters_respond, "colour", 1, gain_at_least=value * 1.001).passed == 0

    def test_a_filters_gain_is_its_own_whichever_others_are_asked_for(self, four):
        alone = four.assert_filters_respond("colour", 1).value
        assert four.assert_filters_respond("colour", [1, 1]).value == alone
        assert min(four.assert_filters_respond("colour", one).value for one in (0, 1, 2)) == pytest.approx(
            four.assert_filters_respond("colour", [0, 1, 2]).value, rel=1e-6
        )

    def test_the_same_seed_gives_the_same_gain_and_another_another(self, audit_of, four):
        value = four.assert_filters_respond("colour", 0).value
        assert four.assert_filters_respond("colour", 0, seed=0).value == value
        other = audit_with(audit_of, RED, settings={"seed": 5}).assert_filters_respond("colour").value
        assert other == audit_with(audit_of, RED).assert_filters_respond("colour", seed=5).value != value

    def test_a_filter_silent_at_the_start_has_no_way_up_and_is_told_why(self, audit_of):
        audit = audit_with(audit_of, RED, bias=-1000, activation="relu")
        finding = refused(audit.assert_filters_respond, "colour")
        assert finding.value == 0
        assert "(a silent ReLU has no gradient: judge the layer before it, or try another seed)" in finding.message

    def test_a_dense_layer_has_filters_too(self, four):
        # One place a picture: the head takes the mean of all four filters over 64 cells.
        assert four.assert_filters_respond("head").n == 2

    def test_an_ascent_that_led_down_has_no_gain(self, four_filters):
        engine = four_filters.engine
        start = engine.pattern_start((8, 8))
        images = start[None] + np.array([[1.0, 0, 0]] * 2, np.float32)[:, None, None]
        losses = np.array([[0.5, 1.5], [1.5, 0.5]], np.float32)
        patterns = FilterPatterns(images, losses, np.array([0, 0]), "colour")
        first, second = pattern_gains(engine, patterns, start, seed=0)
        assert first > 1
        assert second == 0

    def test_any_size_can_be_asked_for(self, four):
        # √(16 · 12 · 3) / √(12 · 8): the places inside are more of the picture.
        finding = four.assert_filters_respond("colour", 0, size=(16, 12))
        assert finding.value == pytest.approx((16 * 12 * 3 / (12 * 8)) ** 0.5, rel=0.1)


class TestDistinct:
    def test_filters_of_different_colours_pass(self, four):
        finding = four.assert_filters_distinct("colour", [0, 1, 2])
        # (3, 4, 0)/5 has the cosines 0.6 with red and 0.8 with green.
        assert (finding.outcome, finding.direction, finding.chance) == ("passed", "at_most", 0)
        assert finding.value == pytest.approx(0.8, abs=1e-4)
        assert (finding.n, finding.passed, finding.layer) == (3, 3, "colour")
        assert "layer 'colour', filters 1 and 2: similarity 0.8" in finding.message

    @pytest.mark.every_backend
    def test_two_identical_filters_fail_and_are_named(self, audit_of, page):
        audit = audit_with(audit_of, RED, GREEN, (2, 0, 0))
        finding = refused(audit.assert_filters_distinct, "colour")
        assert (finding.outcome, finding.n, finding.unit, finding.passed) == ("failed", 3, "filters", 1)
        assert finding.value == pytest.approx(1, abs=1e-6)
        assert finding.message == (
            "filters_distinct: failed: layer 'colour', filters 0 and 2: similarity 1 > 0.95 (margin -0.05), "
            "chance 0\n"
            "  2 of 3 filters are too similar to another: 0 and 2 (1.000)\n"
            "  median over 3 filters of the similarity with the nearest 1.000\n"
            "  settings: steps 30\n"
            f"  page: {page}"
        )

    def test_opposite_filters_are_distinct(self, audit_of):
        audit = audit_with(audit_of, RED, (-1, 0, 0))
        assert audit.assert_filters_distinct("colour").value == pytest.approx(-1, abs=1e-6)

    def test_the_limit_lies_where_it_is_put(self, four):
        assert four.assert_filters_distinct("colour", [1, 2], similarity_at_most=0.801).passed == 2
        assert refused(four.assert_filters_distinct, "colour", [1, 2], similarity_at_most=0.799).passed == 0

    def test_one_dead_filter_is_like_no_other_and_two_are_like_each_other(self, audit_of, four):
        assert four.assert_filters_distinct("colour", [0, 3]).value == 0
        # In other units than the ascent's, a picture comes back with a little rounding.
        assert four.assert_filters_distinct("colour", [0, 3], input_range=(-0.7, 254.3)).value == 0
        finding = refused(audit_with(audit_of, RED, DEAD, DEAD).assert_filters_distinct, "colour")
        assert finding.value == 1
        assert "taken for the same, since they do not respond: 1, 2\n" in finding.message

    @pytest.mark.parametrize(
        ("filters", "message"),
        [
            (1, "filters is a single one: two at least, each once, are compared"),
            ([2], "filters is a single one: two at least, each once, are compared"),
            ([0, 1, 0], "filters has one twice: two at least, each once, are compared"),
        ],
    )
    def test_fewer_than_two_filters_are_an_error(self, four, filters, message):
        assert message_of(ValueError, four.assert_filters_distinct, "colour", filters) == message

    def test_so_is_a_layer_of_one_filter(self, audit_of):
        message = message_of(ValueError, audit_with(audit_of, RED).assert_filters_distinct, "colour")
        assert message == "filters is a single one: two at least, each once, are compared"

    @pytest.mark.parametrize(("limit", "error"), [("0.9", TypeError), (1.1, ValueError), (float("nan"), ValueError)])
    def test_the_limit_must_be_a_cosine(self, four, limit, error):
        message = message_of(error, four.assert_filters_distinct, "colour", similarity_at_most=limit)
        assert message.startswith(f"similarity_at_most is {limit!r}; ")


class TestArguments:
    BOTH = ("assert_filters_respond", "assert_filters_distinct")

    @pytest.mark.parametrize("assertion", BOTH)
    @pytest.mark.parametrize(
        ("layer", "error", "message"),
        [
            (half_case(60), TypeError, "layer must be the name of a layer, not Case"),
            ([half_case(60)], TypeError, "layer must be the name of a layer, not list"),
            ("color", ValueError, "The model has no layer 'color'; nearest: 'colour'"),
        ],
    )
    def test_what_is_no_layer_is_an_error(self, four, recorded, assertion, layer, error, message):
        assert message_of(error, getattr(four, assertion), layer).startswith(message)
        assert [one["outcome"] for one in recorded()] == ["error"]

    @pytest.mark.parametrize("assertion", BOTH)
    def test_the_layer_left_out_is_a_type_error(self, four, assertion):
        assert "'layer'" in message_of(TypeError, getattr(four, assertion))

    @pytest.mark.parametrize("assertion", BOTH)
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"filters": [0, 9]}, ValueError, "The filter 9 is out of range: the layer 'colour' has 4 filters"),
            ({"filters": "01"}, TypeError, "A filter is named by its index, an int, not '0'"),
            ({"size": 8}, ValueError, "size is 8; two positive integers"),
            ({"steps": 0}, ValueError, "steps is 0; "),
            ({"step_size": float("nan")}, ValueError, "step_size is nan; "),
            ({"seed": -1}, ValueError, "seed is -1; "),
            ({"jitters": 1}, TypeError, "'jitters'"),
            ({"init": np.zeros((3, 3, 3))}, ValueError, "init has the shape (3, 3, 3)"),
            ({"init": "noise"}, ValueError, "init is no array of numbers"),
            (
                {"normalise": "pixel"},
                TypeError,
                "'normalise' is no option of filter patterns (did you mean 'normalize'?)",
            ),
        ],
    )
    def test_wrong_options_are_errors_that_name_them(self, four, assertion, options, error, message):
        assert message in message_of(error, getattr(four, assertion), "colour", **options)

    @pytest.mark.parametrize(("limit", "error"), [("2", TypeError), (None, TypeError), (float("inf"), ValueError)])
    def test_the_gain_must_be_a_number(self, four, limit, error):
        message = message_of(error, four.assert_filters_respond, "colour", gain_at_least=limit)
        assert message.startswith(f"gain_at_least is {limit!r}; ")


class Counting:
    """Stands in front of `Engine.filter_patterns` and keeps the sizes it was called with."""

    def __init__(self, engine):
        self.sizes = []
        self._climb = engine.filter_patterns
        engine.filter_patterns = self

    def __call__(self, *args, **options):
        self.sizes.append(options["size"])
        return self._climb(*args, **options)


def test_patterns_are_shared_where_the_arguments_agree(audit_of):
    four = audit_with(audit_of, RED, GREEN, PINK, DEAD)
    climbs = Counting(four.engine)
    four.assert_filters_respond("colour", [0, 1])
    four.assert_filters_distinct("colour", (0, 1))
    assert len(climbs.sizes) == 1
    four.assert_filters_distinct("colour", [0, 1], seed=1)
    four.assert_filters_distinct("colour", [0, 2])
    four.assert_filters_respond("colour", [0, 1], steps=20)
    assert len(climbs.sizes) == 4


@pytest.mark.parametrize(("side", "size"), [(8, (8, 8)), (None, (128, 128))])
def test_patterns_are_as_large_as_the_models_input(audit_of, side, size):
    audit = audit_with(audit_of, RED, side=side)
    climbs = Counting(audit.engine)
    audit.assert_filters_respond("colour", steps=2, gain_at_least=0)
    assert climbs.sizes == [size]


class TestPage:
    @staticmethod
    def pixels(evidence):
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(evidence["picture"]["src"].partition(",")[2]))))

    def test_shows_the_patterns_worst_first_with_their_gains(self, four):
        finding = refused(four.assert_filters_respond, "colour", [2, 3])
        [grid] = evidence_of(finding)
        assert grid["kind"] == "picture"
        assert grid["title"].startswith("Patterns of colour, row by row, by filter with its gain: 3 (0), 2 (3.")
        assert grid["title"].endswith("; black: no response")
        pixels = self.pixels(grid)
        # A crop of 1 leaves 6 pixels, 8 times larger, and 1 between two of them.
        assert pixels.shape == (48, 104, 3)
        assert pixels[20:, :48].max() <= 8  # below the number, and but for what JPEG does
        assert pixels[:16, :12].max() > 200
        red, green, blue = pixels[16:32, 72:88].mean(axis=(0, 1))
        assert green > red > blue + 50

    def test_names_each_filters_nearest(self, four):
        [grid] = evidence_of(four.assert_filters_distinct("colour", [0, 1, 2]))
        assert grid["title"] == (
            "Patterns of colour, row by row, by filter with its similarity: 1 (0.80 with 2), 2 (0.80 with 1), "
            "0 (0.60 with 2)"
        )

    def test_shows_24_of_many(self, audit_of):
        kernels = np.random.default_rng(0).standard_normal((30, 3))
        [grid] = evidence_of(audit_with(audit_of, *kernels).assert_filters_respond("colour", steps=2, gain_at_least=0))
        assert grid["title"].endswith("; 6 more are not shown")
        assert self.pixels(grid).shape[:2] == (3 * 56 - 8, 8 * 56 - 8)

    @pytest.mark.parametrize("channels", [1, 2])
    def test_pictures_of_other_channels_are_grey(self, audit_of, channels):
        image = keras.Input((8, 8, channels))
        convolution = layers.Conv2D(1, 1, name="colour")
        pooled = layers.GlobalAveragePooling2D(name="pool")(convolution(image))
        model = keras.Model(image, layers.Dense(2, name="head")(pooled))
        convolution.set_weights([np.ones((1, 1, channels, 1), np.float32), np.zeros(1, np.float32)])
        audit = audit_of(model, class_names=None, artifacts="all")
        [grid] = evidence_of(audit.assert_filters_respond("colour", gain_at_least=0))
        pixels = self.pixels(grid).astype(int)
        assert (pixels.max(axis=-1) - pixels.min(axis=-1)).max() == 0

    def test_patterns_show_nobody_but_a_start_of_ones_own_may(self, audit_of):
        audit = audit_with(audit_of, RED, settings={"artifacts": "all", "pictures": "none"})
        [grid] = evidence_of(audit.assert_filters_respond("colour"))
        assert grid["picture"]["src"].startswith("data:image/")
        start = np.full((8, 8, 3), 0.5, np.float32)
        [grid] = evidence_of(audit.assert_filters_respond("colour", init=start, gain_at_least=0))
        assert grid["picture"]["src"] is None

    def test_has_no_pictures_where_artifacts_are_off(self, audit_of, recorded):
        audit = audit_with(audit_of, RED, settings={"artifacts": "off"})
        audit.assert_filters_respond("colour")
        assert recorded()[0]["evidence"] == []
