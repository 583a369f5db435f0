"""`assert_sparsity_rises` on networks whose zero fractions can be counted.

`threshold_model(t₁, t₂, …)` has a layer for each threshold with two channels: the first hands the picture on,
the second is ReLU(x − t). Pictures are positive, so the zero fraction of layer i is half the share of pixels
that are at most tᵢ.
"""

import keras
import numpy as np
import pytest
from colours import colour_model, evidence_of, message_of, refused
from keras import layers

from pytest_cnnaudit import Case
from pytest_cnnaudit.engine.errors import NonFiniteError
from pytest_cnnaudit.metrics import mean_interval, page_trend

RISING = (0, 50, 100, 150)
STAIRS = [[10, 60], [110, 160]]  # at most 0, 50, 100, 150: none, one, two, three of four pixels
BRIGHT = [[200, 200], [200, 200]]  # no zero anywhere: the same sparsity in all layers


def threshold_model(*thresholds, activation="relu", name="layer"):
    image = x = keras.Input((2, 2, 1))
    for index, threshold in enumerate(thresholds):
        convolution = layers.Conv2D(2, 1, activation=activation, name=f"{name}{index}")
        x = convolution(x)
        kernel = np.zeros((1, 1, 1 if index == 0 else 2, 2), np.float32)
        kernel[0, 0, 0] = 1
        convolution.set_weights([kernel, np.array([0, -threshold], np.float32)])
    return keras.Model(image, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D(name="pool")(x)))


def shift_model(*shifts):
    """Layers with one channel and no activation, each of which adds a number."""
    image = x = keras.Input((2, 2, 1))
    for index, shift in enumerate(shifts):
        convolution = layers.Conv2D(1, 1, name=f"shift{index}")
        x = convolution(x)
        convolution.set_weights([np.ones((1, 1, 1, 1), np.float32), np.array([shift], np.float32)])
    return keras.Model(image, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D(name="pool")(x)))


def scaling_model(*factors):
    """A picture times the first factors, one a channel, and then times each further number: no activation."""
    image = x = keras.Input((2, 2, 1))
    for index, factor in enumerate(factors):
        convolution = layers.Conv2D(4, 1, use_bias=False, name=f"c{index}")
        x = convolution(x)
        kernel = np.array(factor)[None] if index == 0 else factor * np.eye(4)
        convolution.set_weights([kernel.astype(np.float32)[None, None]])
    small = layers.Rescaling(1e-30, name="small")(x)
    return keras.Model(image, layers.Dense(2, name="head")(layers.GlobalMaxPooling2D(name="pool")(small)))


def grey(pixels, id=None):  # noqa: A002 - the name of Case's own argument
    return Case(np.array(pixels, np.uint8), id=id)


@pytest.fixture
def rising(audit_of):
    return audit_of(threshold_model(*RISING), class_names=None)


@pytest.mark.every_backend
def test_a_rising_profile_has_trend_1(rising, recorded):
    finding = rising.assert_sparsity_rises(grey(STAIRS, id="stairs"))
    assert (finding.outcome, finding.value, finding.threshold) == ("passed", 1.0, 0.5)
    assert (finding.direction, finding.chance, finding.interval) == ("at_least", 0.0, None)
    assert (finding.n, finding.unit, finding.passed, finding.unscorable) == (1, "pictures", 1, 0)
    [limit] = finding.thresholds
    assert (limit.name, limit.value, limit.direction) == ("mean trend", 0.5, "at_least")
    [result] = finding.cases
    assert (result.id, result.value, result.outcome) == ("stairs", 1.0, "passed")
    assert finding.message == (
        "sparsity_rises: passed: mean of Kendall's τ-b over 1 pictures 1 ≥ 0.5 (margin +0.5), chance 0\n"
        "  zero_fraction: 0.000 at the first layer 'layer0', 0.375 at the last 'layer3'"
    )
    assert (recorded()[0]["value"], recorded()[0]["method"]) == (1.0, "zero_fraction")


def test_a_falling_profile_has_trend_minus_1(audit_of, page):
    audit = audit_of(threshold_model(*RISING[::-1]), class_names=None)
    finding = refused(audit.assert_sparsity_rises, [grey(STAIRS, id="stairs")])
    assert (finding.outcome, finding.value, finding.passed) == ("failed", -1.0, 0)
    assert finding.cases[0].outcome == "failed"
    assert "-1 < 0.5 (margin -1.5), chance 0" in finding.message
    assert "0.375 at the first layer 'layer0', 0.000 at the last 'layer3'" in finding.message
    assert finding.message.endswith(f"page: {page}")


def test_the_evidence_is_the_mean_profile(audit_of):
    audit = audit_of(threshold_model(*RISING), class_names=None, artifacts="all")
    finding = audit.assert_sparsity_rises([grey(STAIRS), grey([[10, 10], [110, 160]])])
    [chart] = evidence_of(finding)
    assert (chart["kind"], chart["title"], chart["unit"]) == (
        "layers",
        "Activation sparsity over depth",
        "zero fraction",
    )
    # Of eight pixels 0, 3, 4 and 6 are at most the threshold, and half the channels have one.
    assert [(row["layer"], row["value"]) for row in chart["rows"]] == [
        ("layer0", 0.0),
        ("layer1", pytest.approx(3 / 16)),
        ("layer2", pytest.approx(4 / 16)),
        ("layer3", pytest.approx(6 / 16)),
    ]


def test_a_population_is_judged_by_its_mean_with_an_interval(audit_of):
    audit = audit_of(threshold_model(0, 100, 50, 150), class_names=None, seed=3)
    # STAIRS: 0, 2, 1, 3 of four: five pairs rise, one falls: (5 − 1) / 6.
    # The second: 0, 2, 0, 2: three rise, one falls, two tie: (3 − 1) / √(6 · 4).
    cases = [grey(STAIRS, id="a"), grey([[60, 60], [200, 200]], id="b"), grey(STAIRS[::-1], id="c")]
    taus = [4 / 6, 2 / 24**0.5, 4 / 6]
    finding = audit.assert_sparsity_rises(cases)
    assert [result.value for result in finding.cases] == pytest.approx(taus)
    assert [result.outcome for result in finding.cases] == ["passed", "failed", "passed"]
    assert (finding.value, finding.n, finding.passed) == (pytest.approx(np.mean(taus)), 3, 2)
    assert finding.interval == pytest.approx(mean_interval(taus, seed=3))
    assert f"95 % bootstrap interval [{finding.interval[0]:.3f}, {finding.interval[1]:.3f}]" in finding.message
    p = page_trend([[0, 0.25, 0.125, 0.375], [0, 0.25, 0, 0.25], [0, 0.25, 0.125, 0.375]])
    assert f"Page's trend test p = {p:.2g} (reported, not judged)" in finding.message
    assert refused(audit.assert_sparsity_rises, cases, trend_at_least=0.6).outcome == "failed"


def test_the_interval_is_of_the_tests_own_seed(audit_of):
    model = threshold_model(0, 100, 50, 150)
    stairs, flat, late = STAIRS, BRIGHT, [[120, 200], [200, 200]]
    cases = [grey(pixels) for pixels in (stairs, [[60, 60], [200, 200]], late, [[10, 10], [60, 200]], stairs, flat)]
    taus = [4 / 6, 2 / 24**0.5, 3 / 18**0.5, 3 / 30**0.5, 4 / 6, 0]
    intervals = []
    for seed in (0, 1):
        finding = audit_of(model, class_names=None, seed=seed).assert_sparsity_rises(cases, trend_at_least=0.4)
        assert finding.interval == pytest.approx(mean_interval(taus, seed=seed))
        intervals.append(finding.interval)
    assert intervals[0] != intervals[1]


def test_a_constant_profile_is_unscorable_and_counts_as_0(rising):
    cases = [grey(STAIRS, id="stairs"), grey(BRIGHT, id="bright")]
    finding = rising.assert_sparsity_rises(cases)
    assert (finding.value, finding.n, finding.passed, finding.unscorable) == (0.5, 2, 1, 1)
    assert [(result.outcome, result.note) for result in finding.cases] == [
        ("passed", ""),
        ("unscorable", "the same sparsity in all layers"),
    ]
    assert "1 of 2 pictures have the same sparsity in all layers and count as 0" in finding.message
    # Below zero it is no more passed than above.
    assert rising.assert_sparsity_rises(cases, trend_at_least=-0.5).passed == 1


@pytest.mark.parametrize("limit", [0.5, 0.0, -1.0])
def test_nothing_but_constant_profiles_never_passes(rising, limit):
    finding = refused(rising.assert_sparsity_rises, [grey(BRIGHT)], trend_at_least=limit)
    assert (finding.value, finding.passed, finding.unscorable) == (0.0, 0, 1)
    assert finding.message.startswith("sparsity_rises: failed: no picture has a trend: the same sparsity in all layers")


class TestLayers:
    def test_are_taken_in_the_order_of_execution(self, rising):
        backwards = ["layer3", "layer1", "layer0"]
        finding = rising.assert_sparsity_rises([grey(STAIRS)], layers=backwards)
        assert finding.value == 1.0
        assert "0.000 at the first layer 'layer0', 0.375 at the last 'layer3'" in finding.message

    def test_named_twice_count_once(self, rising):
        message = message_of(
            ValueError, rising.assert_sparsity_rises, [grey(STAIRS)], layers=["layer0", "layer0", "layer1"]
        )
        assert message == "A trend over depth needs at least 3 layers; there are 2: layer0, layer1"

    def test_fewer_than_3_are_an_error(self, audit_of, recorded):
        audit = audit_of(threshold_model(0, 50), class_names=None)
        message = message_of(ValueError, audit.assert_sparsity_rises, [grey(STAIRS)])
        assert message == "A trend over depth needs at least 3 layers; there are 2: layer0, layer1"
        assert recorded()[0]["outcome"] == "error"

    @pytest.mark.parametrize(
        ("chosen", "error", "message"),
        [
            ("layer0", TypeError, "layers must be a sequence of layer names, not 'layer0'"),
            (3, TypeError, "layers must be a sequence of layer names, not 3"),
            ([], ValueError, "layers is empty"),
            (["layer9"], ValueError, "layer9"),
            ([1, 2, 3], TypeError, "A layer is named by a str, not 1"),
        ],
    )
    def test_wrong_ones_are_errors(self, rising, chosen, error, message):
        assert message in message_of(error, rising.assert_sparsity_rises, [grey(STAIRS)], layers=chosen)

    def test_without_any_relu_must_be_named(self, audit_of):
        audit = audit_of(shift_model(0, 0, 0), class_names=None)
        message = message_of(ValueError, audit.assert_sparsity_rises, [grey(STAIRS)])
        assert message.startswith(
            "The model has no ReLU-like layer to judge sparsity on: name the layers, with measure="
        )


class TestMeasure:
    NAMES = ("shift0", "shift1", "shift2")
    DOT = ((0, 0), (0, 100))

    def test_auto_is_hoyer_where_a_layer_is_not_relu_like(self, audit_of):
        # 200 brighter, then 100 darker, then 100 darker: the dot stands out more and more.
        audit = audit_of(shift_model(200, -100, -100), class_names=None)
        finding = audit.assert_sparsity_rises([grey(self.DOT)], layers=self.NAMES)
        assert (finding.value, finding.method) == (1.0, "hoyer")
        first = 2 - 900 / (3 * 200**2 + 300**2) ** 0.5  # √n is 2, so the divisor √n − 1 is 1
        assert f"hoyer: {first:.3f} at the first layer 'shift0', 1.000 at the last 'shift2'" in finding.message

    def test_hoyer_can_be_asked_for_where_all_are_relu_like(self, rising):
        finding = rising.assert_sparsity_rises([grey(STAIRS)], measure="hoyer")
        assert "hoyer: " in finding.message
        assert (finding.value, finding.method) == (1.0, "hoyer")

    @pytest.mark.parametrize("pixels", [[], [((0, 0), (0, 0))]], ids=["", "a black picture too"])
    def test_zero_fraction_of_a_layer_that_never_gives_0_names_hoyer(self, audit_of, pixels):
        audit = audit_of(scaling_model([1, -1, 0.5, 2], 0.3, 0.3), class_names=None)
        message = message_of(
            ValueError,
            audit.assert_sparsity_rises,
            [grey(STAIRS), *map(grey, pixels)],
            layers=["c0", "c1", "c2"],
            measure="zero_fraction",
        )
        assert message == (
            "The layer 'c0' never gives an exact 0 beside other values, so its zero fraction says nothing: "
            "use measure='hoyer'"
        )

    def test_zero_fraction_of_a_layer_that_gives_0_beside_others_is_taken(self, audit_of):
        # Shifted by −10, −60 and −100 in all: one pixel of four is 0 each time.
        audit = audit_of(shift_model(-10, -50, -50), class_names=None)
        finding = refused(audit.assert_sparsity_rises, [grey(STAIRS)], layers=self.NAMES, measure="zero_fraction")
        assert (finding.method, finding.unscorable) == ("zero_fraction", 1)

    @pytest.mark.parametrize("measure", ["gini", None, 1, ["hoyer"]])
    def test_an_unknown_one_is_an_error(self, rising, measure):
        message = message_of(ValueError, rising.assert_sparsity_rises, [grey(STAIRS)], measure=measure)
        assert message == f"measure is {measure!r}; known: 'auto', 'zero_fraction', 'hoyer'"


class TestHoyer:
    NAMES = ("c0", "c1", "c2")
    CASES = tuple(
        grey(pixels, id=str(index))
        for index, pixels in enumerate(np.random.default_rng(0).integers(1, 256, (9, 2, 2)).tolist())
    )

    @pytest.mark.parametrize("scales", [(0.3, 0.3), (5, 7), (0.1, 0.1), (1e-6, 1e6)])
    @pytest.mark.parametrize("first", [[1, -1, 0.5, 2], [2, 2, 2, 3], [1, 0.1, 0.01, 7]])
    def test_layers_that_only_scale_are_equally_sparse_whatever_the_last_digits_are(self, audit_of, first, scales):
        audit = audit_of(scaling_model(first, *scales), class_names=None)
        finding = refused(audit.assert_sparsity_rises, self.CASES, layers=self.NAMES, measure="hoyer")
        assert (finding.value, finding.n, finding.passed, finding.unscorable) == (0.0, 9, 0, 9)
        assert "no picture has a trend: the same sparsity in all layers" in finding.message
        flat = page_trend(np.ones((9, 3)))
        assert f"Page's trend test p = {flat:.2g} (reported, not judged)" in finding.message

    def test_of_any_size_beyond_rounding_is_a_difference(self, audit_of):
        # 10⁻³ less in each pixel but the dot, from layer to layer.
        audit = audit_of(shift_model(1, -0.01, -0.01), class_names=None)
        names = ("shift0", "shift1", "shift2")
        assert audit.assert_sparsity_rises([grey(TestMeasure.DOT)], layers=names, measure="hoyer").value == 1.0

    @pytest.mark.parametrize(
        ("factors", "says"),
        [
            ((1, 1e20), "The activations of 'c2' explode: the largest magnitude in second is 1e+20, and "),
            ((1e20, 1), "The activations of 'c1' explode: the largest magnitude in second is 1e+20, and "),
            ((1e-10, 1e-10), "The activations of 'c2' vanish: the largest magnitude in second is 1e-20, and "),
        ],
    )
    def test_beyond_what_can_be_squared_is_an_error_that_names_the_layer(self, audit_of, recorded, factors, says):
        audit = audit_of(scaling_model([1, 0, 0, 0], *factors), class_names=None)
        cases = [grey([[0, 0], [0, 0]], id="first"), grey([[1, 0], [0, 0]], id="second")]
        message = message_of(ValueError, audit.assert_sparsity_rises, cases, layers=self.NAMES, measure="hoyer")
        assert message == says + (
            "Hoyer's sparsity can't be computed in float32 outside of 1e-15 to 1e+15. "
            "Look at the weights up to this layer, or leave it out with layers="
        )
        assert [one["outcome"] for one in recorded()] == ["error"]

    def test_zero_fractions_need_no_squares(self, audit_of):
        audit = audit_of(scaling_model([1, 0, 0, 0], 1, 1e20), class_names=None)
        finding = refused(audit.assert_sparsity_rises, self.CASES, layers=self.NAMES, measure="zero_fraction")
        assert (finding.unscorable, finding.method) == (9, "zero_fraction")


class TestImages:
    def test_may_be_model_input(self, rising):
        batch = np.array([STAIRS, BRIGHT], np.float32)[..., None]
        finding = rising.assert_sparsity_rises(batch)
        assert finding.value == 0.5
        assert [result.id for result in finding.cases] == ["picture 0", "picture 1"]

    def test_may_be_pictures_and_iterators_of_them(self, rising):
        pictures = [np.array(STAIRS, np.uint8), np.array(BRIGHT, np.uint8)]
        assert rising.assert_sparsity_rises(pictures).value == 0.5
        assert rising.assert_sparsity_rises(iter(pictures)).n == 2

    @pytest.mark.parametrize("images", [[], (), np.zeros((0, 2, 2, 1), np.float32), iter(())])
    def test_none_are_an_error(self, rising, images, recorded):
        assert "no images" in message_of(ValueError, rising.assert_sparsity_rises, images)
        assert recorded()[0]["outcome"] == "error"

    def test_one_id_twice_is_an_error(self, rising):
        message = message_of(ValueError, rising.assert_sparsity_rises, [grey(STAIRS, "a"), grey(BRIGHT, "a")])
        assert message.startswith("cases holds 'a' twice")

    def test_left_out_are_a_type_error(self, rising):
        assert "cases" in message_of(TypeError, rising.assert_sparsity_rises)


@pytest.mark.parametrize("limit", ["0.5", True, None])
def test_trend_at_least_must_be_a_number(rising, limit):
    message = message_of(TypeError, rising.assert_sparsity_rises, [grey(STAIRS)], trend_at_least=limit)
    assert message == f"trend_at_least is {limit!r}; a number is expected"


@pytest.mark.parametrize("limit", [1.1, -1.1, float("nan")])
def test_trend_at_least_must_be_a_correlation(rising, limit):
    message = message_of(ValueError, rising.assert_sparsity_rises, [grey(STAIRS)], trend_at_least=limit)
    assert message.startswith(f"trend_at_least is {limit!r}; ")


@pytest.mark.every_backend
def test_infinity_is_an_error_that_names_the_layer(audit_of, recorded):
    audit = audit_of(shift_model(8e37, 3e38, 0), class_names=None)
    names = ["shift0", "shift1", "shift2"]
    message = message_of(NonFiniteError, audit.assert_sparsity_rises, [grey(STAIRS)], layers=names)
    assert "'shift1'" in message
    assert "NaN or infinity" in message
    assert [one["outcome"] for one in recorded()] == ["error"]


@pytest.mark.every_backend
def test_nan_in_a_weight_is_an_error_too(audit_of):
    audit = audit_of(threshold_model(0, float("nan"), 100, 150), class_names=None)
    assert "'layer1/bias'" in message_of(NonFiniteError, audit.assert_sparsity_rises, [grey(STAIRS)])


@pytest.mark.every_backend
def test_other_models_layers_are_walked_in_the_same_way(audit_of):
    audit = audit_of(colour_model())
    message = message_of(ValueError, audit.assert_sparsity_rises, np.zeros((1, 4, 4, 3), np.float32))
    assert message == "A trend over depth needs at least 3 layers; there are 1: colour"
