"""The engine as a guest: it leaves the model as it was, compiles once, sees new weights, and says what is wrong."""

import keras
import networks
import numpy as np
import pytest
from keras import layers
from untouched import operations_of, snapshot

from pytest_cnnaudit import Engine, ModelError


def everything(engine, images):
    """One call of each kind."""
    engine.predict(images)
    engine.activations(images)
    engine.activation_stats(images)
    engine.heatmaps(images, target=1)
    engine.heatmaps(images, target=0, score="probability", layer=engine.layers[0].path)


# The model comes out untouched


@pytest.mark.parametrize("name", networks.BUILDERS)
def test_model_is_untouched(name):
    model = networks.build(name)
    before = snapshot(model)
    everything(Engine(model), networks.pictures(3))
    after = snapshot(model)
    assert {key: after[key] for key in after if after[key] != before[key]} == {}
    assert not any("call" in operation.__dict__ for operation in operations_of(model))


class Failing(layers.Layer):
    """Works for so many calls and raises from then on."""

    remaining = 10**9

    def call(self, x):
        type(self).remaining -= 1
        if self.remaining < 0:
            raise RuntimeError("the layer broke")
        return x * 1


@pytest.mark.parametrize("calls", [0, 1])
def test_model_is_untouched_after_a_layer_raised(calls, monkeypatch):
    """At once while the structure is recorded, and later while a function is made."""
    picture = keras.Input((8, 8, 3))
    x = Failing(name="failing")(layers.Conv2D(4, 3, activation="relu", name="conv1")(picture))
    x = layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    model = networks.assign_weights(keras.Model(picture, x))
    before = snapshot(model)
    with monkeypatch.context() as patch:
        patch.setattr(Failing, "remaining", calls)
        with pytest.raises(RuntimeError, match="the layer broke"):
            everything(Engine(model), networks.pictures(2))
        assert Failing.remaining == -1
    assert snapshot(model) == before
    assert Engine(model).heatmaps(networks.pictures(2)).layer == "failing"


def test_model_is_untouched_after_a_method_raised():
    def method(activations, gradients, scores):
        raise ArithmeticError("the method broke")

    model = networks.build("regularized")
    before = snapshot(model)
    with pytest.raises(ArithmeticError, match="the method broke"):
        Engine(model).heatmaps(networks.pictures(2), method=method)
    assert snapshot(model) == before


def test_gradients_collected_by_the_user_are_kept():
    if keras.backend.backend() != "torch":
        pytest.skip("only PyTorch keeps gradients beside the weights")
    import torch

    model = networks.build("functional")
    model(torch.from_numpy(networks.pictures(2))).sum().backward()
    before = [variable.value.grad.clone() for variable in model.trainable_variables]
    everything(Engine(model), networks.pictures(2))
    for variable, gradient in zip(model.trainable_variables, before, strict=True):
        assert torch.equal(variable.value.grad, gradient)
    assert torch.is_grad_enabled()


def test_frozen_layers_are_explained_alike():
    model, images = networks.build("nested"), networks.pictures(2)
    expected = Engine(model).heatmaps(images, target=0).signed
    model.trainable = False
    np.testing.assert_array_equal(Engine(model).heatmaps(images, target=0).signed, expected)


# Compiled once


class Counting(layers.Layer):
    """Counts how often it is called: once a trace where there is a compiler."""

    calls = 0

    def call(self, x):
        type(self).calls += 1
        return x * 1


def counting():
    Counting.calls = 0
    picture = keras.Input((8, 8, 3))
    x = Counting(name="counting")(layers.Conv2D(4, 3, activation="relu", name="conv1")(picture))
    x = layers.GlobalAveragePooling2D()(x)
    return networks.assign_weights(keras.Model(picture, layers.Dense(3)(x)))


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch runs eagerly: there is no trace to count")
@pytest.mark.parametrize(
    "call",
    [
        lambda engine, images: engine.heatmaps(images),
        lambda engine, images: engine.heatmaps(images, target=1),
        lambda engine, images: engine.activation_stats(images),
        lambda engine, images: engine.activations(images),
        lambda engine, images: engine.predict(images),
    ],
)
def test_no_call_traces_again(call):
    engine = Engine(counting(), batch_size=8)
    call(engine, networks.pictures(8))
    traced = Counting.calls
    for count in (5, 13, 8):
        call(engine, networks.pictures(count))
    assert Counting.calls == traced


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch runs eagerly: there is no trace to count")
def test_one_trace_serves_all_targets():
    engine = Engine(counting(), batch_size=4)
    engine.heatmaps(networks.pictures(4), target=0)
    traced = Counting.calls
    engine.heatmaps(networks.pictures(4), target=[0, 1, 2, 0])
    engine.heatmaps(networks.pictures(3), target="predicted")
    assert Counting.calls == traced


def test_batches_give_what_single_pictures_give():
    engine, images = networks.engine("nested", batch_size=4), networks.pictures(11)
    together = engine.heatmaps(images, target=2)
    assert together.signed.shape == (11, 3, 3)
    one_by_one = [engine.heatmaps(images[index : index + 1], target=2) for index in range(11)]
    np.testing.assert_allclose(together.signed, np.concatenate([one.signed for one in one_by_one]), atol=1e-6)
    np.testing.assert_allclose(together.scores, np.concatenate([one.scores for one in one_by_one]), atol=1e-5)
    np.testing.assert_allclose(engine.predict(images).logits, together.logits, atol=1e-5)
    activations = engine.activations(images)
    assert {path: array.shape for path, array in activations.items()} == {
        "trunk/backbone/conv1": (11, 6, 6, 4),
        "trunk/backbone/pool1": (11, 3, 3, 4),
        "trunk/backbone/conv2": (11, 3, 3, 5),
        "gap": (11, 5),
    }
    alone = engine.activations(images[10:])
    for path, array in activations.items():
        np.testing.assert_allclose(array[10:], alone[path], atol=1e-6)
        assert array.dtype == np.float32


def test_new_weights_are_seen():
    """No function keeps the weights it was compiled with."""
    model, images = networks.build("functional"), networks.pictures(4)
    engine = Engine(model)
    everything(engine, images)
    networks.assign_weights(model, seed=5)
    fresh = Engine(model)
    np.testing.assert_array_equal(engine.heatmaps(images, target=1).signed, fresh.heatmaps(images, target=1).signed)
    np.testing.assert_array_equal(engine.predict(images).logits, fresh.predict(images).logits)
    np.testing.assert_array_equal(engine.activations(images)["conv2"], fresh.activations(images)["conv2"])
    before = networks.engine("functional").heatmaps(images, target=1).signed
    assert np.abs(engine.heatmaps(images, target=1).signed - before).max() > 1e-3


def test_training_between_calls():
    """`fit` and `predict` donate their buffers on JAX: a kept array would be deleted."""
    model, images = networks.build("regularized"), networks.pictures(8)
    engine = Engine(model)
    before = engine.heatmaps(images, target=1)
    for _ in range(2):
        model.fit(images, np.arange(8) % 3, epochs=1, verbose=0)
        everything(engine, images)
        model.predict(images, verbose=0)
    after = engine.heatmaps(images, target=1)
    assert np.abs(after.signed - before.signed).max() > 1e-6
    np.testing.assert_array_equal(after.signed, Engine(model).heatmaps(images, target=1).signed)


def test_inference_mode_is_repeatable():
    engine, images = networks.engine("subclassed"), networks.pictures(3)
    np.testing.assert_array_equal(engine.heatmaps(images, target=1).signed, engine.heatmaps(images, target=1).signed)


# Mixed precision


@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_float16", 0.01), ("mixed_bfloat16", 0.06)])
def test_half_precision_gives_float32_maps_close_to_those_in_float32(policy, tolerance):
    images = networks.pictures(3)
    full = networks.engine("nested").heatmaps(images, target=1)
    with networks.dtype_policy(policy):
        model = networks.build("nested")
    engine = Engine(model)
    half = engine.heatmaps(images, target=1)
    assert half.signed.dtype == half.logits.dtype == np.float32
    np.testing.assert_allclose(half.signed, full.signed, atol=tolerance * np.abs(full.signed).max())
    stats = engine.activation_stats(images)
    assert all(np.isfinite(one.mean).all() for one in stats.values())
    assert engine.activations(images)["gap"].dtype == np.float32


def test_small_gradients_survive_half_precision():
    """A gradient of 1e-5 spread over 64 × 64 cells is below the smallest number of float16."""
    picture = keras.Input((64, 64, 3))
    with networks.dtype_policy("mixed_float16"):
        x = layers.Conv2D(4, 1, activation="relu", name="conv1")(picture)
        x = layers.Dense(2, dtype="float32", name="head")(layers.GlobalAveragePooling2D(name="gap")(x))
        model = keras.Model(picture, x)
    networks.assign_weights(model)
    kernel = np.array([[-1e-5, 1e-5]] * 4, np.float32)
    model.get_layer("head").set_weights([kernel, np.zeros(2, np.float32)])
    engine, images = Engine(model), networks.pictures(2, 64, 64)
    activations = engine.activations(images, "conv1")["conv1"]
    expected = activations.sum(axis=-1) * 1e-5 / 64**2
    heatmaps = engine.heatmaps(images, target=1, layer="conv1")
    np.testing.assert_allclose(heatmaps.signed, expected, atol=0.02 * expected.max())


# Errors


def test_unbuilt_model():
    model = keras.Sequential([layers.Conv2D(2, 1), layers.Flatten()], name="loose")
    with pytest.raises(ModelError, match="'loose' is not built: call it once on a batch"):
        Engine(model)


def test_not_a_model():
    with pytest.raises(TypeError, match=r"must be a keras\.Model or the path of a model file, not int"):
        Engine(3)


def test_several_inputs():
    inputs = [keras.Input((4, 4, 3)), keras.Input((4, 4, 3))]
    model = keras.Model(inputs, layers.Flatten()(layers.Add()(inputs)), name="two")
    with pytest.raises(ModelError, match=r"'two' takes several pictures: .*; name the one to explain with picture="):
        Engine(model).predict(networks.pictures(1, 4, 4))


def test_other_inputs_for_the_explained_picture_is_an_error():
    inputs = [keras.Input((4, 4, 3), name="before"), keras.Input((4, 4, 3), name="after")]
    model = keras.Model(inputs, layers.Flatten()(layers.Add()(inputs)))
    with pytest.raises(ValueError, match="other_inputs has 'after', the picture that is explained"):
        Engine(model, picture="after", other_inputs={"after": np.zeros((4, 4, 3))})


def test_input_that_is_not_a_picture():
    picture = keras.Input((4,))
    model = keras.Model(picture, layers.Dense(2)(picture), name="table")
    with pytest.raises(ModelError, match=r"'table' takes 'input_layer.*' \(None, 4\); a picture has"):
        Engine(model).predict(networks.pictures(1, 4, 4))


@pytest.mark.parametrize("size", [0, -1, 2.5, 2.0, True, "abc", [2]])
def test_batch_size_must_be_positive(size):
    with pytest.raises(ValueError, match="an integer of at least 1 is expected"):
        Engine(networks.build("functional"), batch_size=size)


def test_unknown_activation():
    with pytest.raises(ValueError, match="activation is 'relu'; known: 'softmax', 'sigmoid'"):
        Engine(networks.build("functional"), activation="relu")


@pytest.mark.parametrize("call", ["predict", "heatmaps"])
def test_wrong_number_of_class_names(call):
    engine = Engine(networks.build("functional"), class_names=["cat", "dog"])
    with pytest.raises(ValueError, match="There are 2 class names, but the model has 3 classes"):
        getattr(engine, call)(networks.pictures(1))


def test_nan_in_the_weights():
    model = networks.build("functional")
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, bias * np.nan])
    with pytest.raises(ValueError, match=r"The weight '.*bias' of the model '.*' holds NaN or infinity"):
        Engine(model)


def test_infinity_names_its_picture():
    images = networks.pictures(7)
    images[5] *= 1e38
    with pytest.raises(ValueError, match="The logits of image 5 hold NaN or infinity"):
        networks.engine("functional", batch_size=4).predict(images)


def test_method_that_gives_nan():
    with pytest.raises(ValueError, match="The heatmap of image 0 hold"):
        networks.engine("functional").heatmaps(networks.pictures(1), method=lambda a, g, s: a[..., 0] * np.nan)


@pytest.mark.parametrize("call", ["activations", "activation_stats"])
def test_layers_by_name(call):
    engine, images = networks.engine("nested"), networks.pictures(2)
    assert list(getattr(engine, call)(images, "conv2")) == ["trunk/backbone/conv2"]
    assert list(getattr(engine, call)(images, ["gap", "trunk/backbone/conv1"])) == ["gap", "trunk/backbone/conv1"]
    with pytest.raises(ValueError, match="no layer 'conv3'"):
        getattr(engine, call)(images, ["conv3"])
    with pytest.raises(ValueError, match="No layer is chosen"):
        getattr(engine, call)(images, [])
    for wrong in (3, b"conv1"):
        with pytest.raises(TypeError, match="layers must be a layer's name or a list of them, not"):
            getattr(engine, call)(images, wrong)
