"""Whether heatmaps depend on what was learned: known weights, and methods that are known to be bad."""

import keras
import numpy as np
import pytest
from colours import message_of, refused
from explained import CASES, UNSCORABLE, centre_blob, edges
from keras import layers

from pytest_cnnaudit import metrics


def like_guided_backpropagation(activations, gradients, scores):
    """A known bad one: edges, dimmed a little where the gradient is small, as guided backpropagation draws."""
    strength = np.abs(gradients).max(axis=-1)
    return edges(activations, gradients, scores) * (1 + strength / strength.max(axis=(1, 2), keepdims=True))


def sign_of_the_gradient(activations, gradients, scores):
    """A known bad one: where activity is high, or low, as the sign of the gradient says."""
    energy = activations.mean(axis=-1)
    return (energy - energy.mean(axis=(1, 2), keepdims=True)) * _sign(gradients)


def one_sign_only(activations, gradients, scores):
    """A known bad one: where the activity changes, with the first picture's sign only; else nothing."""
    return edges(activations, gradients, scores) * -_sign(gradients)


def signed_blob(activations, gradients, scores):
    """A known bad one: the middle and, against it, what is around, whatever the picture and the model."""
    height, width = activations.shape[1:3]
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2)
    ring = np.where(distance < height / 3, -1 - distance / 100, 0)
    return np.broadcast_to(np.where(distance < height / 5, 1 + distance / 100, ring), activations.shape[:3])


def signed_edges(activations, gradients, scores):
    """A known bad one: steps of brightness, up for and down against, whatever the model."""
    steps = np.gradient(activations.mean(axis=-1), axis=2)
    return np.where(np.abs(steps) > np.quantile(np.abs(steps), 0.7, axis=(1, 2), keepdims=True), steps, 0)


def signed_edges_by_the_gradient(activations, gradients, scores):
    """A known bad one: the same, the other way round where the gradient is."""
    return signed_edges(activations, gradients, scores) * _sign(gradients)


def _sign(gradients):
    return np.sign(gradients.mean(axis=(1, 2, 3)))[:, None, None]


class TestRespondsToWeights:
    def test_the_value_is_the_mean_over_networks_of_these_weights(self, audit):
        one = CASES[0]
        x = one.image.astype(np.float64)
        before, found, whole = x[..., 0], [], []
        for draw in range(4):
            generator = np.random.default_rng(draw)
            convolution = generator.standard_normal((1, 1, 3, 3), np.float32)[0, 0] * np.sqrt(2 / 3)
            head = generator.standard_normal((3, 3), np.float32) * np.sqrt(2 / 3)
            after = np.maximum(x @ convolution, 0) @ head[:, 0]
            parts = [part for part in (np.maximum(after, 0), np.maximum(-after, 0)) if np.ptp(part)]
            found.append(min(abs(metrics.rank_correlation(before, part)) for part in parts))
            whole.append(abs(metrics.rank_correlation(before, after)))
        finding = audit.assert_responds_to_weights(one, samples=4, correlation_at_most=1)
        assert finding.value == pytest.approx(max(np.mean(found), min(whole)), abs=1e-4)
        assert finding.chance == pytest.approx(np.sqrt(2 / np.pi / 15))
        assert f"signed maps from {min(whole):.2f} to {max(whole):.2f} over 4 re-initialisations" in finding.message

    @pytest.mark.every_backend
    def test_grad_cam_on_a_trained_network_passes(self, audit_of, honest, pictures):
        finding = audit_of(honest).assert_responds_to_weights(pictures)
        assert finding.passed == len(pictures)
        assert max(result.value for result in finding.cases) < 0.4

    @pytest.mark.parametrize(
        ("method", "layer", "least"),
        [
            (centre_blob, None, 1),
            (edges, "rescaling", 1),
            (sign_of_the_gradient, None, 0.6),
            (one_sign_only, None, 0.7),
            (signed_blob, None, 1),
            (signed_edges, "rescaling", 1),
            (signed_edges_by_the_gradient, "rescaling", 1),
            (like_guided_backpropagation, "rescaling", 0.9),
            ("eigen-cam", "rescaling", 0.6),
        ],
    )
    def test_methods_that_ignore_the_weights_are_refused(self, audit_of, honest, pictures, method, layer, least):
        finding = refused(
            audit_of(honest).assert_responds_to_weights, pictures[:3], method=method, layer=layer, samples=2
        )
        assert finding.passed == 0
        assert min(result.value for result in finding.cases if result.value is not None) >= least - 1e-9

    def test_a_method_on_the_picture_re_initialises_all_layers(self, audit_of, honest, pictures):
        finding = audit_of(honest).assert_responds_to_weights(pictures[:2], method="saliency", samples=2)
        assert finding.layer == "picture"
        assert finding.passed == 2

    @pytest.mark.parametrize(("one", "why"), UNSCORABLE)
    def test_a_case_without_a_map_of_its_own_is_unscorable(self, audit, one, why):
        assert why in refused(audit.assert_responds_to_weights, one).message

    def test_a_model_without_weights_there_is_an_error(self, audit_of):
        image = keras.Input((4, 4, 3))
        model = keras.Model(image, layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(name="colour")(image)))
        message = message_of(ValueError, audit_of(model).assert_responds_to_weights, CASES)
        assert "nothing to re-initialise" in message

    def test_samples_must_be_a_whole_number(self, audit):
        assert "samples is 0" in message_of(ValueError, audit.assert_responds_to_weights, CASES, samples=0)
