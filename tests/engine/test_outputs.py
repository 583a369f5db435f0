"""Logits behind softmax and sigmoid, probabilities, names, and models with several outputs."""

import keras
import networks
import numpy as np
import pytest
from distances import close
from keras import layers, ops
from keras.src import backend as keras_backend
from networks import PICTURE, one_conv

from pytest_cnnaudit import Engine, ModelError

LOGITS = np.array([[1.25, -0.5]], np.float32)
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum()
SIGMOID = 1 / (1 + np.exp(-LOGITS))


@pytest.mark.parametrize("head", networks.HEADS)
def test_logits_behind_every_softmax(head):
    engine = networks.worked_example(head)
    predictions = engine.predict(PICTURE)
    close(predictions.logits, LOGITS)
    close(predictions.probabilities, SOFTMAX)
    assert (engine.activation, engine.num_classes) == ("softmax", 2)
    assert predictions.classes.tolist() == [0]
    assert len(predictions) == 1


@pytest.mark.parametrize("head", ["dense", "activation", "operation"])
def test_logits_behind_every_sigmoid(head):
    engine = Engine(one_conv(head, squash="sigmoid"))
    close(engine.predict(PICTURE).logits, LOGITS)
    close(engine.predict(PICTURE).probabilities, SIGMOID)
    assert engine.activation == "sigmoid"


@pytest.mark.parametrize(("given", "expected"), [(None, SOFTMAX), ("softmax", SOFTMAX), ("sigmoid", SIGMOID)], ids=str)
def test_activation_of_a_linear_head_is_given_or_the_convention(given, expected):
    close(Engine(one_conv(), activation=given).predict(PICTURE).probabilities, expected)


def test_activation_in_the_model_wins_over_the_one_given():
    close(Engine(one_conv("dense"), activation="sigmoid").predict(PICTURE).probabilities, SOFTMAX)


@pytest.mark.parametrize("head", ["linear", "dense"])
def test_one_output_is_two_classes(head):
    engine = Engine(one_conv(head, kernel=[[2], [-3]], bias=[0.5], squash="sigmoid"), class_names=["no", "yes"])
    predictions = engine.predict(PICTURE)
    p = 1 / (1 + np.exp(-1.25))
    close(predictions.logits, [[-1.25, 1.25]])
    close(predictions.probabilities, [[1 - p, p]])
    assert predictions.top(2) == [[("yes", pytest.approx(p)), ("no", pytest.approx(1 - p))]]


@pytest.mark.parametrize(("head", "activation"), [("dense", None), ("linear", "softmax")])
def test_softmax_over_one_output_is_refused(head, activation):
    engine = Engine(one_conv(head, kernel=[[2], [-3]], bias=[0]), activation=activation)
    with pytest.raises(ModelError, match="softmax over a single output, which is always 1"):
        engine.predict(PICTURE)


def test_a_softmax_inside_the_model_is_not_taken_for_the_head():
    """An attention's softmax, or a sigmoid gate, is an inner value like any other."""
    picture = keras.Input((2, 2, 1))
    x = layers.Conv2D(2, 1, name="conv")(picture)
    gate = layers.Dense(2, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
    weights = layers.Softmax()(layers.Dense(2)(gate))
    model = networks.assign_weights(keras.Model(picture, layers.Dense(2, name="head")(weights)))
    engine = Engine(model)
    close(engine.predict(PICTURE).logits, ops.convert_to_numpy(model(PICTURE)))


def test_softmax_of_a_nested_classifier_is_found():
    classifier = one_conv("dense")
    picture = keras.Input((2, 2, 1))
    engine = Engine(keras.Model(picture, classifier(picture)))
    close(engine.predict(PICTURE).logits, LOGITS)
    assert engine.default_layer == "one_conv/conv"


@pytest.mark.parametrize(
    "ending",
    [
        layers.Reshape((1, 2)),
        layers.Activation("linear", dtype="float64"),
        lambda x: layers.Dropout(0.5)(layers.Reshape((2, 1))(x)),
    ],
    ids=["reshape", "cast", "reshape and dropout"],
)
def test_softmax_is_found_behind_what_changes_no_value(ending):
    base = one_conv("layer")
    engine = Engine(keras.Model(base.input, ending(base.output)))
    close(engine.predict(PICTURE).logits, LOGITS)
    close(engine.predict(PICTURE).probabilities, SOFTMAX)


@pytest.mark.parametrize("call", ["predict", "heatmaps"])
@pytest.mark.parametrize(
    "ending",
    [
        lambda x: ops.exp(x) / ops.sum(ops.exp(x), axis=-1, keepdims=True),
        lambda x: 1 / (1 + ops.exp(-x)),
        lambda x: ops.softmax(x) * 0.5 + 0.25,
    ],
    ids=["softmax by hand", "sigmoid by hand", "smoothed"],
)
def test_probabilities_are_never_taken_for_logits(ending, call):
    base = one_conv()
    engine = Engine(keras.Model(base.input, ending(base.output)))
    with pytest.raises(ModelError, match="look like probabilities, but no softmax or sigmoid of Keras makes them"):
        getattr(engine, call)(np.concatenate([PICTURE, -PICTURE]))


@pytest.mark.parametrize("bias", [(0.4, 0.6), (0.0, 1.0)])
def test_logits_that_happen_to_sum_to_one_are_logits(bias):
    """For this picture only: others give other sums."""
    engine = Engine(one_conv(kernel=[[0.5, 0], [0, -0.5]], bias=bias))
    logits = engine.predict(np.zeros_like(PICTURE)).logits
    close(logits, [bias])


@pytest.mark.parametrize(
    ("ending", "activation"),
    [
        (lambda x: layers.Reshape((1, 2))(layers.Softmax()(x)), "softmax"),
        (lambda x: layers.Flatten()(layers.Activation("sigmoid")(x)), "sigmoid"),
        (lambda x: layers.Rescaling(1.0)(layers.Activation("sigmoid")(x)), "sigmoid"),
        (
            lambda x: layers.Activation("linear", dtype="float32")(layers.Activation("softmax", dtype="float16")(x)),
            "softmax",
        ),
    ],
    ids=["reshape", "flatten", "identity", "cast from float16"],
)
def test_logits_are_found_where_something_follows_the_probabilities(ending, activation):
    base = one_conv()
    engine = Engine(keras.Model(base.input, ending(base.output)))
    np.testing.assert_allclose(engine.predict(PICTURE).logits, LOGITS, atol=5e-3)
    assert engine.activation == activation


@pytest.mark.parametrize("bias", [[1.0, 0.0], [0.25, 0.75]])
def test_logits_that_happen_to_sum_to_1_are_logits(bias):
    model = one_conv()
    kernel, _ = model.layers[-1].get_weights()
    model.layers[-1].set_weights([np.zeros_like(kernel), np.array(bias, np.float32)])
    close(Engine(model).predict(PICTURE).logits, [bias])
    model.layers[-1].set_weights([kernel, np.zeros(2, np.float32)])
    engine = Engine(model)
    scaled = PICTURE / engine.predict(PICTURE).logits.sum()
    close(engine.predict(scaled).logits.sum(), 1.0)


def test_predictions_keep_no_trace_of_the_search():
    before = (keras_backend.nn.softmax, keras_backend.nn.log_softmax, keras_backend.nn.sigmoid)
    Engine(one_conv("dense")).predict(PICTURE)
    assert (keras_backend.nn.softmax, keras_backend.nn.log_softmax, keras_backend.nn.sigmoid) == before


# Names


def test_top_with_and_without_names():
    images = np.concatenate([PICTURE, -3 * PICTURE])
    named = Engine(one_conv(), class_names=["cat", "dog"]).predict(images)
    # −3x gives A = (3, 0, 0, 0) and (0, 3, 6, 0) halved by pooling: logits (0.75·2 − 2.25·3 + 0.5, −0.75 + 2.25).
    close(named.logits, [[1.25, -0.5], [-4.75, 1.5]])
    assert [[name for name, _ in row] for row in named.top(2)] == [["cat", "dog"], ["dog", "cat"]]
    assert [len(row) for row in named.top(1)] == [1, 1]
    assert Engine(one_conv()).predict(images).top(1)[1][0][0] == "1"
    assert named.name(1) == "dog"
    with pytest.raises(ValueError, match="k is 0; it must be at least 1"):
        named.top(0)


# Several outputs


def two_heads(form):
    picture = keras.Input((2, 2, 1))
    pooled = layers.GlobalAveragePooling2D(name="pool")(layers.Conv2D(2, 1, name="conv")(picture))
    main, other = layers.Dense(2, name="main")(pooled), layers.Dense(3, name="other")(pooled)
    outputs = {"list": [main, other], "dict": {"main": main, "other": other}}[form]
    return networks.assign_weights(keras.Model(picture, outputs, name="two_heads"))


@pytest.mark.parametrize("form", ["list", "dict"])
def test_output_by_name(form):
    model = two_heads(form)
    for name, classes in (("main", 2), ("other", 3)):
        engine = Engine(model, output=name)
        outputs = model(PICTURE)
        expected = outputs[name] if form == "dict" else outputs[["main", "other"].index(name)]
        close(engine.predict(PICTURE).logits, ops.convert_to_numpy(expected))
        assert engine.heatmaps(PICTURE, target=classes - 1).logits.shape == (1, classes)


@pytest.mark.parametrize("form", ["list", "dict"])
@pytest.mark.parametrize(("output", "words"), [(None, "has several outputs"), ("mian", "has no output 'mian'")])
def test_output_errors(form, output, words):
    with pytest.raises(ModelError, match=f"'two_heads' {words}; name one with output=: main, other"):
        Engine(two_heads(form), output=output).predict(PICTURE)


def test_only_output_may_be_named():
    assert Engine(one_conv(), output="head").num_classes == 2
    with pytest.raises(ModelError, match="has no output 'haed'"):
        Engine(one_conv(), output="haed").predict(PICTURE)
