"""Fresh weights from the output down to a layer: which, of what size, and the model as it was."""

import keras
import networks
import numpy as np
import pytest
from keras import layers
from untouched import differences, snapshot

from pytest_cnnaudit import Case, Engine, Preprocessing
from pytest_cnnaudit.engine import ModelError
from pytest_cnnaudit.engine.models.keras.fresh_weights import fresh_weights

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning", "ignore:`build:UserWarning"
)


def fresh(model, path, seed=0, **options):
    return fresh_weights(model, Engine(model).layers, path, seed, **options)


def paths_of(model, path):
    return [variable.path for variable in fresh(model, path).variables]


@pytest.mark.parametrize("name", ["nested", "shared", "bare_operations", "flat", "subclassed_plain"])
def test_the_numbers_are_those_of_a_model_that_has_these_weights(name):
    model, other = networks.build(name), networks.build(name)
    engine = Engine(model)
    pictures = networks.pictures(3)
    weights = fresh(model, engine.default_layer, seed=4)
    ours = {id(variable): value for variable, value in zip(weights.variables, weights.values, strict=True)}
    for variable, twin in zip(model.variables, other.variables, strict=True):
        if id(variable) in ours:
            twin.assign(ours[id(variable)])
    expected = Engine(other).heatmaps(pictures, target=1)
    found = engine.reinitialized(engine.default_layer, seed=4).heatmaps(pictures, target=1)
    np.testing.assert_allclose(found.signed, expected.signed, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-4, atol=1e-5)
    assert not np.allclose(found.logits, engine.heatmaps(pictures, target=1).logits, rtol=0.01)


@pytest.mark.parametrize("method", ["ablation-cam", "eigen-cam", "saliency", "occlusion"])
def test_every_kind_of_method_sees_the_fresh_weights(method):
    model, other = networks.build("nested"), networks.build("nested")
    weights = fresh(model, None, seed=1)
    for twin, value in zip(other.variables, weights.values, strict=True):
        twin.assign(value)
    pictures = networks.pictures(2)
    expected = Engine(other).heatmaps(pictures, target=0, method=method).signed
    found = Engine(model).reinitialized(seed=1).heatmaps(pictures, target=0, method=method).signed
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("layer", ["conv2", "gap"])
def test_filter_patterns_are_those_of_the_fresh_weights(layer):
    """Of an affine layer and of another, though those of the trained weights were asked for before."""
    model, other = networks.build("bare_operations"), networks.build("bare_operations")
    for twin, value in zip(other.variables, fresh(model, None, seed=1).values, strict=True):
        twin.assign(value)
    engine, options = Engine(model), {"filters": [0, 1], "steps": 2, "size": (8, 8)}
    trained = engine.filter_patterns(layer, **options)
    found, expected = (one.filter_patterns(layer, **options) for one in (engine.reinitialized(seed=1), Engine(other)))
    np.testing.assert_allclose(found.images, expected.images, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-4, atol=1e-6)
    assert np.abs(found.images - trained.images).max() > 0.1
    np.testing.assert_array_equal(engine.filter_patterns(layer, **options).images, trained.images)


@pytest.mark.parametrize("name", ["nested", "shared", "subclassed", "regularized"])
def test_the_model_is_as_it_was(name):
    model = networks.build(name)
    engine = Engine(model)
    pictures = networks.pictures(2)
    before, predicted = snapshot(model), engine.predict(pictures).logits
    engine.reinitialized(engine.default_layer).heatmaps(pictures)
    assert differences(before, snapshot(model)) == []
    np.testing.assert_array_equal(engine.predict(pictures).logits, predicted)


def test_the_model_is_as_it_was_when_something_raises_half_way():
    model = networks.build("regularized")
    before = snapshot(model)

    def broken(activations, gradients, scores):
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        Engine(model).reinitialized().heatmaps(networks.pictures(2), method=broken)
    assert differences(before, snapshot(model)) == []


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("sequential", "conv2", ["conv2", "logits"]),
        ("sequential", "gap", ["conv2", "logits"]),
        ("sequential", "pool1", ["conv1", "conv2", "logits"]),
        ("sequential", "logits", ["logits"]),
        ("sequential", None, ["conv1", "conv2", "logits"]),
        ("nested", "trunk/backbone/pool1", ["conv1", "conv2", "logits"]),
        ("nested", "trunk/backbone/conv2", ["conv2", "logits"]),
        ("flat", "flatten", ["conv1", "hidden", "logits"]),
        ("shared", "twice", ["twice", "logits"]),
        ("bare_operations", "default", ["conv2", "logits"]),  # an addition
        ("subclassed_plain", "conv1", ["conv1", "logits"]),
        # An activation after a normalization: down to the convolution, whose normalization is included.
        ("regularized", "relu", ["conv1", "norm", "probabilities"]),
        # A composite layer is explained: with all that is inside.
        ("composite", "block", ["inner", "norm", "logits"]),
        ("subclassed", "block", ["inner", "norm", "logits"]),
    ],
)
def test_which_layers_get_fresh_weights(name, path, expected):
    model = networks.build(name)
    path = Engine(model).default_layer if path == "default" else path
    found = [path.split("/")[-2] for path in paths_of(model, path)]
    assert list(dict.fromkeys(found)) == expected


def test_a_frozen_layer_gets_them_too():
    model = networks.build("sequential")
    model.trainable = False
    assert len(paths_of(model, "conv2")) == 4


def test_a_layer_that_only_rescales_has_nothing_before_it_but_all_after_it():
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), layers.Rescaling(2.0, name="rescaling"), layers.Flatten(), layers.Dense(3)]
    )
    assert paths_of(model, "rescaling") == [variable.path for variable in model.layers[-1].variables]


def test_kernels_keep_the_size_of_activations_and_the_rest_is_0_or_1():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 32)),
            layers.Conv2D(64, 3, name="conv"),
            layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise"),
            layers.SeparableConv2D(64, 3, name="separable"),
            layers.BatchNormalization(name="norm"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(50, name="head"),
        ]
    )
    weights = fresh(model, None)
    by_path = {variable.path: value for variable, value in zip(weights.variables, weights.values, strict=True)}
    fans = {
        "conv/kernel": 9 * 32,
        "depthwise/kernel": 9,
        "separable/depthwise_kernel": 9,
        "separable/pointwise_kernel": 128,
        "head/kernel": 64,
    }
    for name, fan_in in fans.items():
        value = by_path.pop(next(path for path in by_path if path.endswith(name)))
        assert value.std() == pytest.approx(np.sqrt(2 / fan_in), rel=0.05)
        assert abs(value.mean()) < 4 * value.std() / np.sqrt(value.size)
    for path, value in by_path.items():
        assert set(np.unique(value)) == {1.0 if path.endswith(("gamma", "moving_variance")) else 0.0}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    model = networks.build("sequential")
    first, again, other = (fresh(model, None, seed=seed).values for seed in (3, 3, 4))
    assert all(map(np.array_equal, first, again))
    assert not np.array_equal(first[0], other[0])


def test_negated_turns_the_sign_of_the_logits_and_with_it_of_the_map():
    engine, pictures = Engine(networks.build("sequential")), networks.pictures(2)
    plain, turned = (
        engine.reinitialized("conv2", seed=2, negated=negated).heatmaps(pictures, target=0) for negated in (False, True)
    )
    np.testing.assert_allclose(turned.logits, -plain.logits, rtol=1e-5)
    np.testing.assert_allclose(turned.signed, -plain.signed, rtol=1e-5)


def test_a_batch_normalization_uses_each_pictures_own_statistics():
    model = networks.build("regularized")
    engine = Engine(model).reinitialized("relu", seed=5)
    pictures = networks.pictures(3)
    kernel = dict(zip([v.path for v in fresh(model, "relu", 5).variables], fresh(model, "relu", 5).values, strict=True))
    [conv] = [value for path, value in kernel.items() if path.endswith("conv1/kernel")]
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (3, 3), axis=(1, 2))  # (N, 6, 6, C, 3, 3)
    responses = np.einsum("nhwcij,ijck->nhwk", windows, conv)
    mean, variance = responses.mean(axis=(1, 2), keepdims=True), responses.var(axis=(1, 2), keepdims=True)
    expected = np.maximum((responses - mean) / np.sqrt(variance + 1e-3), 0)
    # The normalization itself, with a variance of 1, divides by √(1 + ε) first.
    np.testing.assert_allclose(engine.activations(pictures, "relu")["relu"], expected, rtol=5e-3, atol=1e-3)
    alone = engine.heatmaps(pictures[:1], target=0).signed
    np.testing.assert_allclose(engine.heatmaps(pictures, target=0).signed[:1], alone, rtol=1e-5, atol=1e-7)


def test_a_deep_network_in_half_precision_stays_finite():
    with networks.dtype_policy("mixed_float16"):
        model = keras.Sequential([keras.Input((8, 8, 3))])
        for _ in range(8):
            for layer in (layers.Conv2D(8, 3, padding="same"), layers.BatchNormalization(), layers.ReLU()):
                model.add(layer)
        model.add(layers.GlobalAveragePooling2D())
        model.add(layers.Dense(3, dtype="float32"))
    maps = Engine(model).reinitialized().heatmaps(255 * networks.pictures(2), target=0)
    assert np.isfinite(maps.signed).all()
    assert np.abs(maps.signed).max() > 0


def test_nothing_with_weights_is_an_error():
    picture = keras.Input((4, 4, 3))
    model = keras.Model(picture, layers.GlobalAveragePooling2D(name="gap")(layers.ReLU(name="relu")(picture)))
    with pytest.raises(ValueError, match="'relu' has weights, so there is nothing to re-initialise"):
        Engine(model).reinitialized("relu")


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_a_quantised_model_is_an_error():
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(3, name="head")])
    model.quantize("int8")
    with pytest.raises(ModelError, match=r"'head' .* is quantised"):
        fresh(model, None)


class TestInputs:
    def test_what_pictures_become_is_taken_as_images(self):
        engine = Engine(
            networks.build("sequential"), preprocessing=Preprocessing(scale=lambda pixels: pixels / 127.5 - 1)
        )
        cases = [Case(np.random.default_rng(index).integers(0, 256, (9, 7, 3), np.uint8)) for index in range(3)]
        inputs = engine.inputs(cases)
        assert [array.shape for array in inputs.values()] == [(3, 8, 8, 3)]
        for method in ("grad-cam", "integrated-gradients", "occlusion"):  # the last two ask what black is
            expected = engine.heatmaps(cases, target=1, method=method).signed
            np.testing.assert_allclose(engine.heatmaps(inputs, target=1, method=method).signed, expected, rtol=1e-6)

    def test_the_other_inputs_come_along(self):
        picture, age = keras.Input((4, 4, 3), name="picture"), keras.Input((1,), name="age")
        pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 1, name="conv")(picture))
        model = keras.Model([age, picture], layers.Dense(2)(layers.Concatenate()([pooled, age])))
        engine = Engine(model, other_inputs={"age": lambda case: [int(case.id)]})
        cases = [Case(np.zeros((4, 4, 3), np.uint8), id=str(index)) for index in range(3)]
        inputs = engine.inputs(cases)
        assert list(inputs) == ["picture", "age"]
        assert inputs["age"].tolist() == [[0], [1], [2]]
        np.testing.assert_allclose(engine.predict(inputs).logits, engine.predict(cases).logits)
