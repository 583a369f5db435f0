"""keras_hub's classifiers and backbones, built from config: predicted, explained, loaded, with their converter.

keras_hub brings TensorFlow with it whatever Keras runs on, so its home is TensorFlow's environment; elsewhere
these tests run where it happens to be installed.
"""

import os
import subprocess
import sys

import keras
import networks
import numpy as np
import pytest
from test_converters import photo

from pytest_cnnaudit import Box, Case, Engine, Preprocessing

try:
    import keras_hub
except ImportError as error:
    if os.environ.get("CI") and keras.backend.backend() == "tensorflow":
        raise
    pytest.skip(f"keras_hub is not installed (dependency group `hub`): {error}", allow_module_level=True)

SCALE, OFFSET = [1 / 58.4, 1 / 57.1, 1 / 57.4], [-2.1, -2.0, -1.8]


def image_converter(size=(64, 64), **options):
    return keras_hub.layers.ImageConverter(image_size=size, **{"scale": SCALE, "offset": OFFSET, **options})


def resnet():
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(64, 64, 3),
    )


def efficientnet():
    return keras_hub.models.EfficientNetBackbone(
        width_coefficient=1.0,
        depth_coefficient=1.0,
        stackwise_kernel_sizes=[3, 3],
        stackwise_num_repeats=[1, 1],
        stackwise_input_filters=[8, 8],
        stackwise_output_filters=[8, 16],
        stackwise_expansion_ratios=[1, 2],
        stackwise_strides=[1, 2],
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
        stackwise_block_types=["v1", "v1"],
        stackwise_force_input_filters=[0, 0],
        stackwise_nores_option=[False, False],
        input_shape=(64, 64, 3),
    )


def vit():
    return keras_hub.models.ViTBackbone(
        image_shape=(64, 64, 3), patch_size=16, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32
    )


BACKBONES = {"resnet": resnet, "efficientnet": efficientnet, "vit": vit}
DEFAULT_LAYERS = {
    "resnet": ((8, 8), "res_net_backbone/stack1_block0_out"),
    "efficientnet": ((16, 16), "efficient_net_backbone/top_activation"),
    # No grid but the patches' own: behind it there are tokens.
    "vit": ((4, 4), "vi_t_backbone/vit_patching_and_embedding/patch_embedding"),
}


def classifier(name, converter=None):
    models = keras_hub.models
    kind, options = (models.ViTImageClassifier, {"pooling": "token"}) if name == "vit" else (models.ImageClassifier, {})
    preprocessor = models.ImageClassifierPreprocessor(image_converter=converter or image_converter())
    model = kind(backbone=BACKBONES[name](), num_classes=3, preprocessor=preprocessor, **options)
    return networks.assign_weights(model)


def by_hand(model, pixels):
    """What keras_hub's own layers give, one after the other."""
    inputs = model.preprocessor.image_converter(pixels[None].astype(np.float32))
    return keras.ops.convert_to_numpy(model(inputs, training=False))


@pytest.mark.parametrize("name", BACKBONES)
def test_a_classifier_gets_pictures_as_its_converter_makes_them(name):
    model = classifier(name)
    engine, expected = Engine(model), by_hand(model, photo())
    np.testing.assert_allclose(engine.predict([photo()]).logits, expected, atol=1e-3 * np.abs(expected).max())
    grid, path = DEFAULT_LAYERS[name]
    heatmaps = engine.heatmaps([photo()], target=1)
    assert (heatmaps.signed.shape[1:], heatmaps.layer) == (grid, path)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_alone_has_activations(name):
    model = networks.assign_weights(BACKBONES[name]())
    engine, images = Engine(model), networks.pictures(2, 64, 64)
    last = engine.layers[-1]
    found = engine.activations(images, last.path)[last.path]
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "options",
    [{}, {"crop_to_aspect_ratio": False}, {"crop_to_aspect_ratio": False, "pad_to_aspect_ratio": True}],
    ids=["crop", "stretch", "pad"],
)
@pytest.mark.parametrize("antialias", [False, True])
def test_the_input_is_the_converters_own_output(options, antialias):
    for size in ((64, 64), (40, 57), (160, 120)):
        converter = image_converter(size, antialias=antialias, **options)
        expected = keras.ops.convert_to_numpy(converter(photo()[None].astype(np.float32)))[0]
        inputs, _ = Preprocessing.from_keras_hub(converter).bound((*size, 3))(photo())
        np.testing.assert_allclose(inputs, expected, atol=1e-3)


def test_whole_numbers_are_rounded_by_keras_alone():
    """Given uint8, Keras rounds what it resizes to whole numbers; ours are the unrounded ones, at most 0.5 off."""
    converter = image_converter(scale=None, offset=None)
    expected = keras.ops.convert_to_numpy(converter(photo()[None]))[0]
    inputs, _ = Preprocessing.from_keras_hub(converter).bound((64, 64, 3))(photo())
    assert np.abs(inputs - expected.astype(np.float32)).max() <= 0.5 + 1e-3
    exact, _ = Preprocessing.from_keras_hub(converter).bound((64, 64, 3))(photo(64, 64))
    np.testing.assert_array_equal(exact, photo(64, 64))


def test_a_bright_box_is_found_in_the_converters_output():
    pixels = np.zeros((96, 160, 3), np.uint8)
    pixels[16:64, 48:112] = 255
    case = Case(pixels, region=Box(48, 16, 112, 64))
    converter = image_converter((192, 192), scale=1 / 255, offset=None)
    found = keras.ops.convert_to_numpy(converter(pixels[None].astype(np.float32)))[0, ..., 0]
    _, geometry = Preprocessing.from_keras_hub(converter).bound((192, 192, 3))(case)
    np.testing.assert_array_equal(found > 0.5, geometry.coverage(case.regions, (192, 192)) > 0.5)
    assert geometry.to_model(case.regions[0]) == Box(32, 32, 160, 128)


def test_a_file_is_loaded_with_its_converter(tmp_path):
    """By a process that has not imported keras_hub: Keras does it where it is installed."""
    model = classifier("efficientnet", image_converter((64, 64), crop_to_aspect_ratio=False))
    path, results = tmp_path / "model.keras", tmp_path / "logits.npy"
    model.save(path)
    np.save(tmp_path / "photo.npy", photo())
    code = (
        "import sys, numpy\nfrom pytest_cnnaudit import Engine\n"
        "engine = Engine(sys.argv[1])\n"
        "assert engine.preprocessing.resize == 'stretch', engine.preprocessing\n"
        "numpy.save(sys.argv[3], engine.predict([numpy.load(sys.argv[2])]).logits)\n"
    )
    arguments = [sys.executable, "-c", code, str(path), str(tmp_path / "photo.npy"), str(results)]
    finished = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]
    expected = by_hand(model, photo())
    np.testing.assert_allclose(np.load(results), expected, atol=1e-3 * np.abs(expected).max())
