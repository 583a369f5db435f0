"""`assert_no_dead_filters`: planted dead channels are found, and what few pictures can't show is said."""

import keras
import numpy as np
import pytest
from colours import evidence_of, message_of, refused
from keras import layers

from pytest_cnnaudit import Case
from pytest_cnnaudit.engine.errors import NonFiniteError
from pytest_cnnaudit.metrics import dead_filters


def planted(first, second, activation="relu"):
    """Two layers of four channels: bias 0 hands the picture on, −1000 kills a channel."""
    image = x = keras.Input((2, 2, 1))
    for name, biases in (("first", first), ("second", second)):
        convolution = layers.Conv2D(4, 1, activation=activation, name=name)
        x = convolution(x)
        kernel = np.zeros((1, 1, int(convolution.kernel.shape[2]), 4), np.float32)
        kernel[0, 0, 0] = 1
        convolution.set_weights([kernel, np.array(biases, np.float32)])
    return keras.Model(image, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D(name="pool")(x)))


def pictures(n):
    return [Case(np.array([[1, 2], [3, index % 200]], np.uint8), id=f"{index}") for index in range(n)]


DEAD = -1000
ALIVE = (0, 0, 0, 0)


@pytest.fixture
def one_of_four(audit_of):
    return audit_of(planted(ALIVE, (0, 0, DEAD, 0)), class_names=None)


@pytest.mark.every_backend
def test_a_planted_dead_channel_is_found(one_of_four, page, recorded):
    finding = refused(one_of_four.assert_no_dead_filters, pictures(2))
    assert (finding.outcome, finding.value, finding.threshold) == ("failed", 0.25, 0.1)
    assert (finding.direction, finding.layer, finding.chance) == ("at_most", "second", None)
    assert (finding.n, finding.unit, finding.passed, finding.unscorable) == (2, "pictures", 0, 0)
    assert finding.cases == ()
    [limit] = finding.thresholds
    assert (limit.name, limit.value, limit.direction) == ("dead channels in a layer", 0.1, "at_most")
    assert finding.message == (
        "no_dead_filters: failed: worst layer 'second': 1 of 4 channels never fire, 0.25 > 0.1 (margin -0.15)\n"
        "  layers above the limit: second\n"
        "  dead channels there: 2\n"
        # (1 − 0.776)² = 0.05
        "  over 2 pictures; a channel that fires in fewer than 77.6% of pictures may have been missed (95 %)\n"
        f"  page: {page}"
    )
    assert [one["outcome"] for one in recorded()] == ["failed"]


def test_living_channels_pass(audit_of):
    finding = audit_of(planted(ALIVE, ALIVE), class_names=None).assert_no_dead_filters(pictures(3), at_most=0)
    assert (finding.outcome, finding.value, finding.n, finding.passed) == ("passed", 0.0, 3, 3)


def test_the_limit_itself_passes(one_of_four):
    assert one_of_four.assert_no_dead_filters(pictures(2), at_most=0.25).value == 0.25
    assert refused(one_of_four.assert_no_dead_filters, pictures(2), at_most=0.249).value == 0.25


def test_the_worst_layer_decides(audit_of):
    audit = audit_of(planted((0, DEAD, DEAD, DEAD), (0, 0, 0, DEAD)), class_names=None, artifacts="all")
    finding = refused(audit.assert_no_dead_filters, pictures(2), at_most=0.5)
    assert (finding.value, finding.layer) == (0.75, "first")
    assert "layers above the limit: first\n  dead channels there: 1, 2, 3\n" in finding.message
    [chart] = evidence_of(finding)
    assert chart["kind"] == "layers"
    assert [(row["layer"], row["value"], row["note"]) for row in chart["rows"]] == [
        ("first", 0.75, "3 of 4 dead"),
        ("second", 0.25, "1 of 4 dead"),
    ]
    finding = audit.assert_no_dead_filters(pictures(2), layers=["second"], at_most=0.5)
    assert (finding.value, finding.layer) == (0.25, "second")


@pytest.mark.parametrize(("n", "rate"), [(59, "5.0%"), (299, "1.0%")])
def test_below_300_pictures_what_they_may_have_missed_is_said(audit_of, n, rate):
    finding = audit_of(planted(ALIVE, ALIVE), class_names=None).assert_no_dead_filters(pictures(n))
    assert finding.message.endswith(
        f"over {n} pictures; a channel that fires in fewer than {rate} of pictures may have been missed (95 %)"
    )


def test_from_300_pictures_on_nothing_is_said(audit_of):
    finding = audit_of(planted(ALIVE, ALIVE), class_names=None).assert_no_dead_filters(pictures(300))
    assert finding.message.endswith("over 300 pictures")


def test_a_channel_that_fires_in_one_picture_lives(audit_of):
    audit = audit_of(planted(ALIVE, (0, 0, 0, -100)), class_names=None)
    assert refused(audit.assert_no_dead_filters, pictures(100)).value == 0.25
    assert audit.assert_no_dead_filters(pictures(102)).value == 0.0  # the last picture has a pixel of 101


def test_a_constant_channel_is_dead_where_there_is_no_relu(audit_of):
    model = planted(ALIVE, ALIVE, activation=None)
    kernel = np.zeros((1, 1, 4, 4), np.float32)
    kernel[0, 0, 0] = [1, 0, 1, 1]
    model.get_layer("second").set_weights([kernel, np.array([0, 7, 0, 0], np.float32)])
    audit = audit_of(model, class_names=None)
    finding = refused(audit.assert_no_dead_filters, pictures(2), layers=["first", "second"])
    assert (finding.value, finding.layer) == (0.25, "second")
    assert "dead channels there: 1\n" in finding.message


def test_a_negative_channel_lives_where_there_is_no_relu(audit_of):
    audit = audit_of(planted(ALIVE, (DEAD, 0, 0, 0), activation=None), class_names=None)
    assert audit.assert_no_dead_filters(pictures(2), layers=["first", "second"]).value == 0.0


@pytest.mark.parametrize("activation", ["relu", None])
def test_the_measure_on_activations_agrees(audit_of, activation):
    audit = audit_of(planted((0, 0, DEAD, 0), (0, DEAD, 0, -2), activation=activation), class_names=None)
    stats = audit.activation_stats(pictures(2), ["first", "second"])
    activations = audit.activations(pictures(2), ["first", "second"])
    for path, one in stats.items():
        dead = dead_filters(activations[path], relu_like=activation is not None)
        assert dead.tolist() == one.dead.tolist()
        assert dead.any() == (activation is not None)


def test_without_any_relu_the_layers_must_be_named(audit_of):
    audit = audit_of(planted(ALIVE, ALIVE, activation=None), class_names=None)
    message = message_of(ValueError, audit.assert_no_dead_filters, pictures(2))
    assert message == "The model has no ReLU-like layer to judge dead filters on: name the layers"


def test_a_dense_relu_that_fires_is_not_dead_for_having_one_value(audit_of):
    image = keras.Input((2, 2, 1))
    hidden = layers.Dense(2, activation="relu", name="hidden")
    x = hidden(layers.GlobalAveragePooling2D(name="pool")(image))
    model = keras.Model(image, layers.Dense(2, name="head")(x))
    hidden.set_weights([np.array([[1, -1]], np.float32), np.zeros(2, np.float32)])
    # The first unit fires, in the one picture there is; the second can't.
    finding = refused(audit_of(model, class_names=None).assert_no_dead_filters, pictures(1))
    assert finding.value == 0.5


@pytest.mark.parametrize("limit", ["0.1", True, None])
def test_at_most_must_be_a_number(one_of_four, limit):
    message = message_of(TypeError, one_of_four.assert_no_dead_filters, pictures(1), at_most=limit)
    assert message == f"at_most is {limit!r}; a number is expected"


@pytest.mark.parametrize("limit", [-0.1, 1.1, float("nan")])
def test_at_most_must_be_a_share(one_of_four, limit):
    message = message_of(ValueError, one_of_four.assert_no_dead_filters, pictures(1), at_most=limit)
    assert message.startswith(f"at_most is {limit!r}; ")


@pytest.mark.every_backend
def test_infinity_is_an_error_that_names_the_layer(audit_of, recorded):
    audit = audit_of(planted((8e37, 0, 0, 0), (3e38, 0, 0, 0)), class_names=None)
    message = message_of(NonFiniteError, audit.assert_no_dead_filters, pictures(2))
    assert "'second'" in message
    assert [one["outcome"] for one in recorded()] == ["error"]


@pytest.mark.every_backend
def test_nan_in_a_weight_is_an_error_too(audit_of):
    audit = audit_of(planted(ALIVE, (0, float("nan"), 0, 0)), class_names=None)
    assert "'second/bias'" in message_of(NonFiniteError, audit.assert_no_dead_filters, pictures(2))


def test_pictures_and_model_input_are_taken_too(one_of_four):
    batch = np.stack([case.image for case in pictures(3)])[..., None].astype(np.float32)
    finding = one_of_four.assert_no_dead_filters(batch, at_most=0.3)
    assert (finding.value, finding.n) == (0.25, 3)
    assert "no images" in message_of(ValueError, one_of_four.assert_no_dead_filters, [])
    assert "cases" in message_of(TypeError, one_of_four.assert_no_dead_filters)
