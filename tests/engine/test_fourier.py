"""The Fourier basis that an ascent climbs in."""

import keras
import networks
import numpy as np
import pytest
from keras import layers, ops

from pytest_cnnaudit import Engine
from pytest_cnnaudit.engine import fourier

LAYER, SIZE = "sepconv3", (40, 40)


def noise(count, seed=3):
    return networks.pictures(count, *SIZE, seed=seed, low=0.4, high=0.6)


@pytest.mark.one_backend
@pytest.mark.parametrize("side", [1, 2, 7, 8])
def test_waves_are_orthonormal(side):
    waves = fourier.waves(side)
    np.testing.assert_allclose(waves @ waves.T, np.eye(side), atol=1e-12)


@pytest.mark.one_backend
def test_waves_by_rising_frequency():
    np.testing.assert_allclose(fourier.frequencies(6) * 6, [0, 1, 1, 2, 2, 3])
    spectrum = np.abs(np.fft.fft(fourier.waves(6), axis=0))
    for column, frequency in enumerate([0, 1, 1, 2, 2, 3]):
        assert set(np.flatnonzero(spectrum[:, column] > 1e-9)) == {frequency, -frequency % 6}


@pytest.mark.parametrize("channels", [1, 3])
def test_a_start_in_pixels_is_the_same_picture_in_waves(channels):
    picture = keras.Input((9, 12, channels))
    model = networks.assign_weights(keras.Model(picture, layers.Conv2D(2, 3, name="conv")(picture)))
    start = networks.pictures(1, 9, 12, channels, low=0, high=1)[0]
    found = Engine(model).filter_patterns(
        "conv", [0], steps=1, step_size=1e-6, size=(9, 12), init=start, parametrization="fourier"
    )
    np.testing.assert_allclose(found.images[0], start, atol=1e-4)


def test_a_step_in_waves_is_the_gradient_through_them(trunk, trunk_engine):
    """z += 10 · ∇/‖∇‖ with pictures = ½ + basis · (gains ∘ z) · basisᵀ, the matrices written out as one."""
    start = noise(1)
    ours = trunk_engine.filter_patterns(LAYER, [4], steps=1, size=SIZE, init=start, parametrization="fourier")
    extractor = keras.Model(trunk.input, trunk.get_layer(LAYER).output)
    gradient = networks.gradient(lambda x: ops.mean(extractor(x, training=False)[:, 2:-2, 2:-2, 4]), start)[0]
    frequency = (np.arange(40) + 1) // 2 / 40
    gains = 1 / np.sqrt(np.maximum(np.hypot(frequency[:, None], frequency), 1 / 40))
    gains /= np.sqrt((gains**2).mean())
    colours = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    colours /= np.sqrt((colours**2).sum() / 3)
    waves = fourier.waves(40)
    through = np.einsum("hk,hwc,wl,cd->kld", waves, gradient, waves, colours) * gains[..., None]
    step = 10 * through / np.linalg.norm(through)
    change = np.einsum("hk,kld,wl,cd->hwc", waves, step * gains[..., None], waves, colours)
    np.testing.assert_allclose(ours.images[0] - start[0], change, atol=1e-3 * np.abs(change).max())


def test_waves_make_smoother_pictures(trunk_engine):
    """What the mean square of the pixels holds in differences of neighbours, for the same filter."""

    def roughness(parametrization):
        image = trunk_engine.filter_patterns(LAYER, [1], size=SIZE, parametrization=parametrization).images[0]
        return np.square(np.diff(image, axis=0)).mean() / image.var()

    assert roughness("fourier") < 0.75 * roughness("pixels")
