"""Models with several inputs and outputs: what each gets, which one is explained, and what goes wrong."""

import keras
import networks
import numpy as np
import pytest
from keras import layers, ops
from PIL import Image

from pytest_cnnaudit import Case, Engine, ModelError, Preprocessing


def with_age(structure="list"):
    """Logits = W·(mean of the picture's colours) + age·v, with the picture and the age in a list or a mapping."""
    picture, age = keras.Input((4, 4, 3), name="photo"), keras.Input((2,), name="age")
    conv = layers.Conv2D(3, 1, name="conv")
    features = layers.GlobalAveragePooling2D(name="gap")(conv(picture))
    logits = layers.Dense(3, name="logits")(layers.Concatenate(name="both")([features, age]))
    inputs = {"list": [picture, age], "reversed": [age, picture], "mapping": {"photo": picture, "age": age}}
    return networks.assign_weights(keras.Model(inputs[structure], logits, name="with_age"))


class Subclassed(keras.Model):
    """Takes a mapping or a list, as its first call shows it."""

    def __init__(self, keys):
        super().__init__(name="subclassed")
        self.keys = keys
        self.conv = layers.Conv2D(3, 1, name="conv")
        self.pool = layers.GlobalAveragePooling2D(name="gap")
        self.head = layers.Dense(3, name="logits")

    def call(self, x):
        photo, age = (x[key] for key in self.keys)
        return self.head(ops.concatenate([self.pool(self.conv(photo)), age], axis=-1))


def subclassed(structure):
    photo, age = np.zeros((1, 4, 4, 3), np.float32), np.zeros((1, 2), np.float32)
    model = Subclassed(("photo", "age") if structure == "mapping" else (0, 1))
    model({"photo": photo, "age": age} if structure == "mapping" else [photo, age])
    return networks.assign_weights(model)


IMAGES = networks.pictures(5, 4, 4)
AGES = np.random.default_rng(2).normal(size=(5, 2)).astype(np.float32)


def expected(model, images, ages):
    """Logits and Grad-CAM of class 1, by hand: the head is linear in the pooled channels."""
    kernel, bias = (ops.convert_to_numpy(weight) for weight in model.get_layer("logits").weights)
    activations = ops.convert_to_numpy(model.get_layer("conv")(images))
    logits = np.concatenate([activations.mean(axis=(1, 2)), ages], axis=1) @ kernel + bias
    return logits, activations @ kernel[:3, 1] / 16


@pytest.mark.parametrize("structure", ["list", "reversed", "mapping"])
def test_arrays_by_name(structure):
    model = with_age(structure)
    logits, maps = expected(model, IMAGES, AGES)
    found = Engine(model, batch_size=2).heatmaps({"age": AGES, "photo": IMAGES}, target=1)
    np.testing.assert_allclose(found.logits, logits, atol=1e-5)
    np.testing.assert_allclose(found.signed, maps, atol=1e-5)


@pytest.mark.parametrize("structure", ["list", "mapping"])
def test_subclassed_model(structure):
    model = subclassed(structure)
    names = ("photo", "age") if structure == "mapping" else ("input_0", "input_1")
    logits, maps = expected(model, IMAGES, AGES)
    found = Engine(model).heatmaps(dict(zip(names, (IMAGES, AGES), strict=True)), target=1)
    np.testing.assert_allclose(found.logits, logits, atol=1e-5)
    np.testing.assert_allclose(found.signed, maps, atol=1e-5)


def test_the_same_for_every_picture():
    model = with_age()
    logits, _ = expected(model, IMAGES, np.repeat([[0.5, -2.0]], 5, axis=0))
    predictions = Engine(model, other_inputs={"age": [0.5, -2.0]}).predict(IMAGES)
    np.testing.assert_allclose(predictions.logits, logits, atol=1e-5)


def test_a_function_of_the_case():
    model = with_age()
    pictures = [np.full((4, 4, 3), 10 * index, np.uint8) for index in range(3)]
    cases = [Case(picture, id=str(index)) for index, picture in enumerate(pictures)]
    engine = Engine(model, other_inputs={"age": lambda case: AGES[int(case.id)]})
    logits, _ = expected(model, np.stack(pictures).astype(np.float32), AGES[:3])
    np.testing.assert_allclose(engine.predict(cases).logits, logits, atol=1e-4)
    np.testing.assert_allclose(engine.predict(cases[::-1]).logits, logits[::-1], atol=1e-4)


@pytest.mark.parametrize(
    "method", ["saliency", "smoothgrad", "integrated-gradients", "occlusion", "score-cam", "ablation-cam"]
)
def test_variants_of_a_picture_go_with_its_own_other_inputs(method):
    """The age multiplies the picture's evidence: with another picture's age, a map would be another one's."""
    picture, age = keras.Input((4, 4, 3), name="photo"), keras.Input((1,), name="age")
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, activation="relu", name="conv")(picture))
    model = networks.assign_weights(keras.Model([picture, age], layers.Dense(2)(features * age)))
    same = np.repeat(networks.pictures(1, 4, 4), 3, axis=0)
    factors = np.array([[1.0], [2.0], [4.0]], np.float32)
    maps = Engine(model).heatmaps({"photo": same, "age": factors}, target=0, method=method).signed
    if method == "score-cam":  # its weights are a softmax, so only their order is known
        alone = [
            Engine(model).heatmaps({"photo": same[:1], "age": one[None]}, target=0, method=method) for one in factors
        ]
        np.testing.assert_allclose(maps, np.concatenate([one.signed for one in alone]), atol=1e-5)
        assert np.abs(maps[2] - maps[0]).max() > 1e-4
    else:
        np.testing.assert_allclose(maps[1:], maps[:1] * factors[1:, :, None], rtol=1e-3, atol=1e-5)


def two_pictures():
    left, right = keras.Input((4, 4, 3), name="left"), keras.Input((6, 6, 1), name="right")
    convolutions = [layers.Conv2D(2, 1, name=f"conv_{side.name}")(side) for side in (left, right)]
    pooled = [layers.GlobalAveragePooling2D()(x) for x in convolutions]
    return networks.assign_weights(
        keras.Model([left, right], layers.Dense(2, name="logits")(layers.Concatenate()(pooled)))
    )


def test_one_of_several_pictures_is_explained():
    model = two_pictures()
    right = networks.pictures(2, 6, 6, 1, seed=9)
    images = {"left": IMAGES[:2], "right": right}
    for side, shape in (("left", (4, 4)), ("right", (6, 6))):
        engine = Engine(model, picture=side)
        assert engine.input_shape[:2] == shape
        assert engine.heatmaps(images, target=0, method="saliency").signed.shape == (2, *shape)
        found = engine.heatmaps(images, target=0, layer=f"conv_{side}").signed
        kernel = ops.convert_to_numpy(model.get_layer("logits").kernel)[:, 0]
        weights = kernel[:2] if side == "left" else kernel[2:]
        activations = ops.convert_to_numpy(model.get_layer(f"conv_{side}")(images[side]))
        np.testing.assert_allclose(found, activations @ weights / np.prod(shape), atol=1e-5)


def test_the_other_picture_may_be_a_file(tmp_path):
    model = two_pictures()
    grey = np.random.default_rng(0).integers(0, 256, (6, 6), np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    engine = Engine(model, picture="left")
    from_file = engine.predict({"left": IMAGES[:1], "right": [tmp_path / "grey.png"]}).logits
    from_array = engine.predict({"left": IMAGES[:1], "right": grey[None, ..., None].astype(np.float32)}).logits
    np.testing.assert_allclose(from_file, from_array, atol=1e-5)


def test_an_integer_input():
    picture, kind = keras.Input((4, 4, 3), name="photo"), keras.Input((), dtype="int32", name="kind")
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 1, name="conv")(picture))
    embedded = layers.Embedding(4, 2, name="table")(kind)
    model = networks.assign_weights(keras.Model([picture, kind], layers.Add(name="sum")([features, embedded])))
    table = ops.convert_to_numpy(model.get_layer("table").embeddings)
    logits = Engine(model, other_inputs={"kind": 3}).predict(IMAGES).logits
    pooled = ops.convert_to_numpy(model.get_layer("conv")(IMAGES)).mean(axis=(1, 2))
    np.testing.assert_allclose(logits, pooled + table[3], atol=1e-5)


# Errors


@pytest.mark.parametrize(
    ("images", "other_inputs", "words"),
    [
        (IMAGES, None, r"input 'age' of shape \(2,\) gets nothing: give the engine other_inputs=\{'age': …\}"),
        ({"age": AGES}, None, "mapping of inputs has no 'photo', the picture that is explained"),
        ({"photo": IMAGES, "ages": AGES}, None, "has no input 'ages'; its inputs are 'photo', 'age'"),
        ({"photo": IMAGES, "age": AGES[:3]}, None, "input 'age' has 3 rows, but there are more pictures"),
        ({"photo": IMAGES[:3], "age": AGES}, None, "input 'age' has 5 rows for 3 pictures"),
        (
            {"photo": IMAGES, "age": AGES[:, :1]},
            None,
            r"of image 0 for the input 'age' has the shape \(1,\); .* \(2,\)",
        ),
        (IMAGES, {"age": [0.0, np.nan]}, "for the input 'age' holds NaN or infinity"),
        (IMAGES, {"age": ["old", "young"]}, "for the input 'age' has the dtype <U5; numbers are expected"),
        (
            IMAGES,
            {"age": lambda case: [0, 0]},
            r"other_inputs\['age'\] is a function of the Case, but image 0 is no Case",
        ),
    ],
)
def test_what_other_inputs_may_not_be(images, other_inputs, words):
    with pytest.raises(ValueError, match=words):
        Engine(with_age(), other_inputs=other_inputs).predict(images)


@pytest.mark.parametrize(("dtype", "value"), [("int32", 0.7), ("uint8", 300), ("bool", 0.5)])
def test_a_value_that_the_inputs_dtype_cant_hold(dtype, value):
    picture, kind = keras.Input((4, 4, 3), name="photo"), keras.Input((), dtype=dtype, name="kind")
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 1)(picture))
    number = ops.expand_dims(ops.cast(kind, "float32"), -1)
    engine = Engine(keras.Model([picture, kind], layers.Dense(2)(features * number)), other_inputs={"kind": value})
    with pytest.raises(ValueError, match=f"input 'kind' is {value}, which {dtype}, what the model takes, can't hold"):
        engine.predict(IMAGES)


def test_the_expected_range_is_the_explained_pictures():
    """One picture is rescaled, the other is not: each is watched by what happens to it."""
    left, right = keras.Input((4, 4, 3), name="left"), keras.Input((4, 4, 3), name="right")
    both = layers.Concatenate()([layers.Rescaling(1 / 255, name="rescaled")(left), right])
    model = keras.Model([left, right], layers.Dense(2)(layers.GlobalAveragePooling2D()(layers.Conv2D(2, 1)(both))))
    expected = {side: Engine(model, picture=side)._model.expects for side in ("left", "right")}
    assert (expected["left"].rescales, expected["left"].values) == (True, "0 to 255")
    assert not expected["right"].rescales


def test_other_inputs_names_are_checked_at_once():
    with pytest.raises(ValueError, match="no input 'agee'; its inputs are 'photo', 'age'"):
        Engine(with_age(), other_inputs={"agee": [0, 0]})


def test_several_pictures_and_none_named():
    with pytest.raises(
        ModelError, match=r"takes several pictures: 'left' \(None, 4, 4, 3\), .*; name the one to explain"
    ):
        Engine(two_pictures())


def test_a_picture_the_model_does_not_have():
    with pytest.raises(ModelError, match="has no picture input 'age'; it takes 'photo'"):
        Engine(with_age(), picture="age")


class SeveralArguments(keras.Model):
    """Its call takes two tensors, of which Keras remembers one."""

    def __init__(self):
        super().__init__(name="arguments")
        self.head = layers.Dense(2)

    def call(self, photo, age):
        return self.head(age) + ops.mean(photo)


def test_a_model_that_takes_several_arguments():
    model = SeveralArguments()
    model(np.zeros((1, 4, 4, 3), np.float32), np.zeros((1, 2), np.float32))
    with pytest.raises(ModelError, match=r"several arguments \(photo, age\).*one mapping or list"):
        Engine(model)


# Outputs


def two_outputs(structure):
    """Two heads on two convolutions; each score depends on its own."""
    picture = keras.Input((4, 4, 3), name="photo")
    heads = {}
    for name in ("colour", "shape"):
        x = layers.GlobalAveragePooling2D(name=f"gap_{name}")(layers.Conv2D(2, 1, name=f"conv_{name}")(picture))
        heads[name] = layers.Dense(3, name=name, activation="softmax")(x)
    return networks.assign_weights(keras.Model(picture, heads if structure == "mapping" else list(heads.values())))


@pytest.mark.parametrize("structure", ["list", "mapping"])
@pytest.mark.parametrize("output", ["colour", "shape"])
def test_the_named_output_is_explained_at_its_own_layer(structure, output):
    model = two_outputs(structure)
    engine = Engine(model, output=output)
    assert engine.default_layer == f"conv_{output}"
    found = engine.heatmaps(IMAGES, target=2)
    kernel = ops.convert_to_numpy(model.get_layer(output).kernel)[:, 2]
    activations = ops.convert_to_numpy(model.get_layer(f"conv_{output}")(IMAGES))
    np.testing.assert_allclose(found.signed, activations @ kernel / 16, atol=1e-5)


def test_pictures_of_any_source_with_other_inputs(tmp_path):
    """A mapping's picture is preprocessed like any other."""
    model = with_age()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    engine = Engine(model, preprocessing=Preprocessing(scale=lambda x: x / 255))
    found = engine.predict({"photo": [tmp_path / "photo.png"], "age": AGES[:1]}).logits
    np.testing.assert_allclose(found, expected(model, pixels[None] / np.float32(255), AGES[:1])[0], atol=1e-5)
