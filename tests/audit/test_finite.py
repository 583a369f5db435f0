"""`assert_finite`: every way in which NaN or infinity come up, and the ways in which they hide."""

import keras
import numpy as np
import pytest
from colours import evidence_of, message_of, refused
from keras import layers

from pytest_cnnaudit import Case, Engine

# What becomes of infinity and NaN is the backend's.
pytestmark = pytest.mark.every_backend

LARGE = 3e38
"""Times 1 is a float32, times 2 is infinity."""


def picture(value, id=None):  # noqa: A002 - the name of Case's own argument
    return Case(np.full((2, 2), value, np.uint8), id=id)


def chain(*steps):
    """The picture times numbers: each step (name, channels' factors, activation) is a 1 × 1 convolution."""
    image = x = keras.Input((2, 2, 1))
    for name, factors, activation in steps:
        convolution = layers.Conv2D(len(factors), 1, use_bias=False, activation=activation, name=name)
        x = convolution(x)
        kernel = np.zeros(convolution.kernel.shape, np.float32)
        kernel[0, 0] = factors  # each input channel adds the same
        convolution.set_weights([kernel])
    small = layers.Rescaling(1e-39, name="small")(x)
    return keras.Model(image, layers.Dense(2, name="head")(layers.GlobalMaxPooling2D(name="pool")(small)))


def finite_in(model, values, names=None, **options):
    """Which of pictures of these values are finite, by layer."""
    return {
        path: found.tolist()
        for path, found in Engine(model, **options).finite([picture(value) for value in values], names).items()
    }


@pytest.fixture
def explodes(audit_of):
    """Pictures of 2 and more become infinite in the second layer, and all later ones; those of 0 and 1 don't."""
    return audit_of(chain(("first", [1.0], None), ("second", [LARGE], None)), class_names=None)


POPULATION = [picture(0, "black"), picture(2, "two"), picture(1, "one"), picture(3, "three"), picture(1, "another")]


def test_an_overflow_is_a_failure_that_names_the_first_layer_and_the_pictures(explodes, page, recorded):
    finding = refused(explodes.assert_finite, POPULATION)
    assert (finding.name, finding.outcome, finding.value, finding.threshold) == ("finite", "failed", 0.4, 0.0)
    assert (finding.direction, finding.layer, finding.n, finding.passed) == ("at_most", "second", 5, 3)
    assert finding.unit == "pictures"
    assert finding.message == (
        "finite: failed: 2 of 5 pictures with NaN or infinity in an activation: 0.4 > 0 (margin -0.4)\n"
        "  first layer: 'second', 2 of 5 pictures: two, three\n"
        "  layers with NaN or infinity: second, small, pool, head\n"
        "  over 5 pictures and 5 layers\n"
        f"  page: {page}"
    )
    assert [(case.id, case.value, case.outcome, case.note) for case in finding.cases] == [
        ("black", 0.0, "passed", ""),
        ("two", 1.0, "failed", "first in 'second'"),
        ("one", 0.0, "passed", ""),
        ("three", 1.0, "failed", "first in 'second'"),
        ("another", 0.0, "passed", ""),
    ]
    [chart] = evidence_of(finding)
    assert [(row["layer"], row["value"], row["note"]) for row in chart["rows"]][:2] == [
        ("first", 0.0, "0 of 5 pictures"),
        ("second", 0.4, "2 of 5 pictures"),
    ]
    assert [one["outcome"] for one in recorded()] == ["failed"]


def test_finite_activations_pass(explodes):
    finding = explodes.assert_finite([picture(0, "a"), picture(1, "b")])
    assert (finding.outcome, finding.value, finding.n, finding.passed, finding.layer) == ("passed", 0.0, 2, 2, None)
    assert finding.message.endswith("0 ≤ 0 (margin +0)\n  over 2 pictures and 5 layers")


def test_only_the_named_layers_are_judged(explodes):
    assert explodes.assert_finite(POPULATION, layers=["first"]).outcome == "passed"
    assert refused(explodes.assert_finite, POPULATION, layers=["first", "small"]).layer == "small"


def test_pictures_that_turn_bad_in_different_layers_are_all_named(audit_of):
    audit = audit_of(chain(("first", [LARGE / 2], None), ("second", [2.0], None)), class_names=None)
    finding = refused(audit.assert_finite, [picture(1, "fine"), picture(2, "later"), picture(3, "at once")])
    assert "first layer: 'first', 1 of 3 pictures: at once\n" in finding.message
    assert "all such pictures: later, at once\n" in finding.message
    assert finding.cases[1].note == "first in 'second'"


def test_a_relu_of_a_layer_of_its_own_does_not_hide_it():
    image = keras.Input((2, 2, 1))
    x = layers.Rescaling(-LARGE, name="minus")(image)
    x = layers.ReLU(name="relu")(x)
    model = keras.Model(image, layers.Dense(2, name="head")(layers.GlobalMaxPooling2D(name="pool")(x)))
    assert finite_in(model, [1, 2]) == {
        "minus": [True, False],
        "relu": [True, True],
        "pool": [True, True],
        "head": [True, True],
    }


@pytest.mark.parametrize("swallows", ["relu", "relu6", "sigmoid", "tanh"])
def test_an_activation_of_the_layer_itself_does_not_hide_it(swallows):
    """−∞ becomes 0 or −1; what the convolution computed was infinite."""
    model = chain(("only", [-LARGE], swallows))
    engine = Engine(model)
    assert np.isfinite(engine.activations(np.full((1, 2, 2, 1), 2, np.float32), "only")["only"]).all()
    assert finite_in(model, [1, 2]) == {
        "only": [True, False],
        "small": [True, True],
        "pool": [True, True],
        "head": [True, True],
    }


@pytest.mark.parametrize("activation", [None, "relu"])
def test_nan_from_infinities_that_cancel_is_found_whatever_the_activation(activation):
    """TensorFlow's ReLU makes 0 of NaN."""
    model = chain(("both", [LARGE, -LARGE], None), ("sum", [1.0], activation))
    assert finite_in(model, [1, 2], ["sum"]) == {"sum": [True, False]}


def test_the_activation_is_left_as_it_was():
    model = chain(("only", [1.0], "relu"))
    layer = model.get_layer("only")
    before, attributes = layer.activation, set(vars(layer))
    finite_in(model, [1])
    assert layer.activation is before
    assert set(vars(layer)) == attributes


def test_max_pooling_does_not_hide_it():
    image = keras.Input((2, 2, 1))
    x = layers.Rescaling(-LARGE, name="minus")(image)
    x = layers.MaxPooling2D(2, name="max")(x)
    model = keras.Model(image, layers.Dense(2, name="head")(layers.Flatten(name="flat")(x)))
    half = Case(np.array([[0, 0], [0, 2]], np.uint8))
    found = Engine(model).finite([half])
    assert {path: bool(one[0]) for path, one in found.items()} == {
        "minus": False,
        "max": True,
        "flat": True,
        "head": True,
    }


def with_a_nan_weight(model, name):
    kernel, *others = model.get_layer(name).get_weights()
    model.get_layer(name).set_weights([np.full_like(kernel, np.nan), *others])
    return model


def test_nan_in_a_weight_fails_every_picture_and_names_the_layer(audit_of, page, recorded):
    model = with_a_nan_weight(chain(("first", [1.0], None), ("second", [1.0], None)), "second")
    finding = refused(audit_of(model, class_names=None).assert_finite, POPULATION)
    assert (finding.outcome, finding.value, finding.threshold, finding.layer) == ("failed", 1.0, 0.0, "second")
    assert (finding.n, finding.unit, finding.passed, finding.unscorable) == (5, "pictures", 0, 0)
    assert finding.message == (
        "finite: failed: a weight holds NaN or infinity, so every picture counts as one that does: "
        "1 > 0 (margin -1)\n"
        f"  The weight 'second/kernel' of the model {model.name!r} holds NaN or infinity\n"
        "  over 5 pictures\n"
        f"  page: {page}"
    )
    assert [(case.id, case.value, case.outcome, case.note) for case in finding.cases] == [
        (name, 1.0, "failed", "in a weight of 'second'") for name in ("black", "two", "one", "three", "another")
    ]
    assert [(one["outcome"], one["value"]) for one in recorded()] == [("failed", 1.0)]


@pytest.mark.parametrize(
    ("images", "n"),
    [
        (picture(1, "single"), 1),
        (np.ones((3, 2, 2, 1), np.float32), 3),
        (np.ones((2, 2), np.uint8), 1),
        ([np.ones((2, 2), np.uint8)] * 2, 2),
        (iter([picture(1)]), 0),
    ],
    ids=["a case", "model input", "a picture", "pictures", "unknown"],
)
def test_nan_in_a_weight_fails_as_many_pictures_as_there_are(audit_of, images, n):
    model = with_a_nan_weight(chain(("first", [1.0], None)), "first")
    finding = refused(audit_of(model, class_names=None).assert_finite, images)
    assert (finding.value, finding.n, len(finding.cases)) == (1.0, n, n)
    assert (f"over {n} pictures" in finding.message) == (n > 0)


def test_nan_in_a_weight_that_changes_later_is_found_before_the_relu(audit_of):
    model = chain(("first", [1.0], "relu"))
    audit = audit_of(model, class_names=None)
    assert audit.assert_finite(POPULATION).outcome == "passed"
    model.get_layer("first").set_weights([np.full((1, 1, 1, 1), np.nan, np.float32)])
    other = audit_of(model, class_names=None)
    assert refused(other.assert_finite, POPULATION).outcome == "failed"


def test_whole_numbers_are_finite():
    image = keras.Input((2, 2, 1))
    whole = keras.ops.cast(image, "int32")
    x = layers.Rescaling(1.0, name="floats")(whole)
    model = keras.Model(image, layers.Dense(2, name="head")(layers.GlobalMaxPooling2D(name="pool")(x)))
    found = finite_in(model, [255, 0])
    assert len(found) == 4
    assert all(one == [True, True] for one in found.values())


def test_half_precision_overflows_where_it_does():
    """250 · 300 is above 65,504, 200 · 300 is not; in float32 both are fine."""
    image = keras.Input((2, 2, 1), dtype="float32")
    convolution = layers.Conv2D(1, 1, use_bias=False, name="half", dtype="mixed_float16")
    x = layers.GlobalMaxPooling2D(name="pool", dtype="mixed_float16")(convolution(image))
    model = keras.Model(image, layers.Dense(2, name="head", dtype="float32")(x))
    convolution.set_weights([np.full((1, 1, 1, 1), 300, np.float32)])
    found = finite_in(model, [200, 250])
    assert (found["half"], found["pool"]) == ([True, False], [True, False])


def test_a_sum_that_overflows_is_not_taken_for_an_activation_that_does():
    model = chain(("first", [LARGE], None))
    assert finite_in(model, [1, 1], ["first"]) == {"first": [True, True]}


def test_batches_and_padding_are_not_mixed_up():
    values = [1, 2, 1, 1, 3, 1, 2]
    expected = [value < 2 for value in values]
    for size in (1, 2, 4, 32):
        assert finite_in(chain(("first", [LARGE], None)), values, ["first"], batch_size=size) == {"first": expected}


class OutsideOfLayers(keras.Model):
    """Takes the logarithm of what its last layer gives: −∞ for a black picture."""

    def __init__(self):
        super().__init__(name="outside")
        self.pool = layers.GlobalMaxPooling2D(name="pool")

    def call(self, inputs):
        pooled = self.pool(inputs)
        return keras.ops.log(keras.ops.concatenate([pooled, pooled], axis=-1))


def test_what_a_subclassed_model_computes_outside_of_its_layers_is_looked_at():
    model = OutsideOfLayers()
    model.build((None, 2, 2, 1))
    assert finite_in(model, [0, 1]) == {"pool": [True, True], "outside": [False, True]}


def test_model_input_is_taken_too_and_misuse_is_refused(explodes):
    batch = np.full((2, 2, 2, 1), 2, np.float32)
    finding = refused(explodes.assert_finite, batch)
    assert (finding.value, finding.n) == (1.0, 2)
    assert "2 of 2 pictures: picture 0, picture 1" in finding.message
    assert "cases" in message_of(TypeError, explodes.assert_finite)
    assert "no images" in message_of(ValueError, explodes.assert_finite, [])
    assert "layers" in message_of(TypeError, explodes.assert_finite, POPULATION, layers="first")
    assert "layers is empty" in message_of(ValueError, explodes.assert_finite, POPULATION, layers=[])
    assert "'firts'" in message_of(ValueError, explodes.assert_finite, POPULATION, layers=["firts"])
