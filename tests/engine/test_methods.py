"""Every heatmap method by numbers: the worked example, independent transcriptions, identities, and its limits.

The worked example (`networks.one_conv`): the picture X = [[1, 2], [−1, 0]] gives A₀ = [[1, 2], [0, 0]] and
A₁ = [[0, 0], [1, 0]]; the logits are W·mean(A) + b with W = [[2, −1], [−3, 1]] and b = (½, 0). So g_k = W_k/4,
and ∂y/∂X is W₀/4 where X > 0, −W₁/4 where X < 0, and 0 where X = 0.
"""

from functools import partial

import keras
import networks
import numpy as np
import pytest
from distances import close, distance
from keras import layers, ops
from networks import PICTURE, one_conv

from pytest_cnnaudit import Engine, Preprocessing
from pytest_cnnaudit.engine import methods
from pytest_cnnaudit.engine.methods import METHODS

A0 = np.array([[1.0, 2.0], [0.0, 0.0]])
A1 = np.array([[0.0, 0.0], [1.0, 0.0]])
CAM_METHODS = [name for name, method in METHODS.items() if method.kind == "cam"]


# The worked example

EXPECTED = {
    "grad-cam": (0.5 * A0 - 0.75 * A1, -0.25 * A0 + 0.25 * A1),
    "xgrad-cam": (0.5 * A0 - 0.75 * A1, -0.25 * A0 + 0.25 * A1),
    "hires-cam": (0.5 * A0 - 0.75 * A1, -0.25 * A0 + 0.25 * A1),
    "layer-cam": (0.5 * A0, 0.25 * A1),
    # 4 cells of ReLU(g) / (2 + g ΣA): 4 · 0.5 / (2 + 0.5 · 3), 4 · 0.25 / (2 + 0.25 · 1)
    "grad-cam++": (4 / 7 * A0, 4 / 9 * A1),
    # Logits of X ∘ A₀/2 are (1.75, −0.625), of X ∘ A₁ (−0.25, 0.25).
    "score-cam": (
        (A0 + np.exp(-2.0) * A1) / (1 + np.exp(-2.0)),
        (np.exp(-0.875) * A0 + A1) / (1 + np.exp(-0.875)),
    ),
    # Without A₀ the logits lose (1.5, −0.75), without A₁ (−0.75, 0.25).
    "ablation-cam": (1.5 * A0 - 0.75 * A1, -0.75 * A0 + 0.25 * A1),
    "eigen-cam": (A0, A0),
    "saliency": ([[0.5, 0.5], [0.75, 0]], [[0.25, 0.25], [0.25, 0]]),
    "gradient-x-input": ([[0.5, 1], [-0.75, 0]], [[-0.25, -0.5], [0.25, 0]]),
    # The gradient is the same all the way from 0 to X.
    "integrated-gradients": ([[0.5, 1], [-0.75, 0]], [[-0.25, -0.5], [0.25, 0]]),
    "occlusion": ([[0.5, 1], [-0.75, 0]], [[-0.25, -0.5], [0.25, 0]]),
}


@pytest.mark.parametrize("method", EXPECTED)
def test_worked_example(method):
    heatmaps = networks.worked_example("dense").heatmaps(np.repeat(PICTURE, 2, axis=0), target=[0, 1], method=method)
    close(heatmaps.signed, EXPECTED[method], 1e-5)
    close(heatmaps.scores, [1.25, -0.5])
    assert heatmaps.method == method
    assert heatmaps.signed.dtype == np.float32


@pytest.mark.one_backend
def test_every_method_has_a_test_by_numbers():
    assert set(METHODS) == {*EXPECTED, "smoothgrad", "rise"}


def exact_gradient(picture):
    """∂y₀/∂X of the worked example."""
    return np.where(picture > 0, 0.5, np.where(picture < 0, 0.75, 0.0))


def test_smoothgrad():
    """25 copies, σ = 0.15 · (2 − (−1)), the last without noise; the noise is NumPy's."""
    noise = np.random.default_rng(7).standard_normal((25, 2, 2, 1), np.float32)
    noise[24] = 0
    copies = PICTURE[0] + 0.45 * noise
    expected = np.abs(exact_gradient(copies).mean(axis=0))[..., 0]
    actual = Engine(one_conv(), seed=7).heatmaps(PICTURE, target=0, method="smoothgrad").signed
    close(actual, expected[None], 1e-5)
    assert np.abs(expected - np.abs(exact_gradient(PICTURE[0]))[..., 0]).max() > 0.01


@pytest.mark.one_backend
def test_rise():
    """The formula with masks read off from the method: the model is shown 1 ∘ m, and its weights are known."""
    shown = []

    class Listener:
        pictures, classes = np.ones((1, 6, 5, 1), np.float32), np.zeros(1, int)

        def generator(self):
            return np.random.default_rng(3)

        def scores(self, index, count, variants):
            masks = np.concatenate([variants(slice(start, start + 8)) for start in range(0, count, 8)])
            shown.append(masks[..., 0])
            return masks[:, 2, 3, 0]

    found = methods.rise(Listener(), masks=64)[0]
    (masks,) = shown
    assert masks.shape == (64, 6, 5)
    assert masks.min() >= 0
    assert masks.max() <= 1
    scores = masks[:, 2, 3]
    expected = np.mean((scores - scores.mean())[:, None, None] * masks, axis=0) / 0.5
    close(found, expected, 1e-5)
    assert np.unravel_index(found.argmax(), found.shape) == (2, 3)


@pytest.mark.one_backend
def test_rise_masks_have_the_mean_they_are_divided_by():
    class Listener:
        pictures = np.ones((1, 9, 9, 1), np.float32)

        def generator(self):
            return np.random.default_rng(0)

        def scores(self, index, count, variants):
            self.mean = variants(slice(0, count)).mean(axis=0)
            return np.zeros(count, np.float32)

    listener = Listener()
    methods.rise(listener, masks=4000, keep=0.3, cells=3)
    np.testing.assert_allclose(listener.mean, 0.3, atol=0.03)


def test_rise_of_a_model_that_sees_one_corner():
    """The mass is where the evidence is; a constant added to the score changes nothing."""
    picture = keras.Input((8, 8, 1))
    model = keras.Model(picture, layers.Dense(2, name="logits")(layers.Flatten()(layers.Conv2D(1, 1)(picture))))
    kernel = np.zeros((8, 8, 2))
    kernel[:3, :3, 0] = 1
    model.layers[1].set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    for bias in (0.0, 5.0):
        model.get_layer("logits").set_weights([kernel.reshape(64, 2), np.array([bias, 0.0])])
        maps = Engine(model).heatmaps(np.ones((1, 8, 8, 1)), target=0, method="rise").maps[0]
        assert maps[:4, :4].sum() > 0.8 * maps.sum()


# Independent transcriptions on a network with a hidden layer behind the explained one


def head_of(model):
    """Pooled convolution → logits, in Keras' own layers."""
    return lambda a: model.get_layer("logits")(model.get_layer("hidden")(model.get_layer("flatten")(a)))


@pytest.fixture(scope="module")
def flat():
    """(engine, pictures, activations, gradients) of class 2 at `pool1`, the last two by the framework itself."""
    engine, images = networks.engine("flat"), networks.pictures(4)
    model = engine.model
    activations = ops.convert_to_numpy(model.get_layer("pool1")(model.get_layer("conv1")(images)))
    head = head_of(model)
    gradients = networks.gradient(lambda a: ops.sum(head(a)[:, 2]), activations)
    return engine, images, activations.astype(np.float64), gradients.astype(np.float64)


def by_loops(method, a, g):
    """The table of formulas, one picture, cell by cell."""
    height, width, channels = a.shape
    total = np.zeros((height, width))
    for k in range(channels):
        for i in range(height):
            for j in range(width):
                if method == "hires-cam":
                    weight = g[i, j, k]
                elif method == "layer-cam":
                    weight = max(g[i, j, k], 0)
                elif method == "xgrad-cam":
                    weight = (g[..., k] * a[..., k]).sum() / a[..., k].sum() if a[..., k].sum() else 0
                elif method == "grad-cam":
                    weight = g[..., k].mean()
                else:
                    terms = [max(d, 0) / (2 + d * a[..., k].sum()) if d else 0 for d in g[..., k].ravel()]
                    weight = sum(terms)
                total[i, j] += weight * a[i, j, k]
    return total


@pytest.mark.parametrize("method", CAM_METHODS)
def test_cam_methods_against_loops(flat, method):
    engine, images, activations, gradients = flat
    expected = np.stack([by_loops(method, a, g) for a, g in zip(activations, gradients, strict=True)])
    assert distance(engine.heatmaps(images, target=2, method=method).signed, expected) < 1e-5


@pytest.mark.one_backend
def test_grad_cam_plus_plus_where_the_denominator_is_zero():
    activations = np.full((1, 2, 2, 1), -0.5, np.float32)  # Σ = −2, so 2 + g Σ = 0 for g = 1
    gradients = np.array([1.0, 0.5, -1.0, 0.0], np.float32).reshape(1, 2, 2, 1)
    close(methods.grad_cam_plus_plus(activations, gradients, np.zeros(1)), np.full((1, 2, 2), -0.5 * 0.5 / (2 - 1)))


@pytest.mark.one_backend
def test_xgrad_cam_of_a_channel_that_sums_to_zero_is_zero():
    activations = np.array([1.0, -1.0, 0.0, 0.0], np.float32).reshape(1, 2, 2, 1)
    close(methods.xgrad_cam(activations, np.ones((1, 2, 2, 1), np.float32), np.zeros(1)), np.zeros((1, 2, 2)))


@pytest.mark.one_backend
def test_eigen_cam_against_the_singular_value_decomposition():
    for shape in ((2, 5, 4, 7), (2, 2, 2, 30)):

        class Layer:
            values = np.random.default_rng(0).normal(0.3, 1, shape).astype(np.float32)

            def activations(self, layer):
                return self.values

        found = methods.eigen_cam(Layer(), "any")
        for one, activation in zip(found, Layer.values.astype(np.float64), strict=True):
            cells = activation.reshape(-1, shape[-1])
            expected = (cells @ np.linalg.svd(cells, full_matrices=False)[2][0]).reshape(shape[1:3])
            expected = expected if expected.sum() >= 0 else -expected
            assert distance(one, expected) < 1e-5
            assert one.sum() >= 0


def test_score_cam_against_its_formula(flat):
    engine, images, activations, _ = flat
    model, expected = engine.model, []
    for picture, a in zip(images, activations, strict=True):
        up = ops.convert_to_numpy(ops.image.resize(a.astype(np.float32), picture.shape[:2], interpolation="bilinear"))
        lowest, highest = up.min(axis=(0, 1)), up.max(axis=(0, 1))
        varying = highest > lowest
        masks = ((up - lowest) / np.where(varying, highest - lowest, 1)).transpose(2, 0, 1)[..., None]
        gains = ops.convert_to_numpy(model(picture * masks) - model(np.zeros_like(picture)[None]))[:, 2]
        weights = np.where(varying, np.exp(gains), 0)
        expected.append((a * weights / weights.sum()).sum(axis=-1))
    assert distance(engine.heatmaps(images, target=2, method="score-cam").signed, np.stack(expected)) < 1e-5


def test_score_cam_of_constant_channels_is_empty():
    heatmaps = networks.worked_example().heatmaps(np.zeros_like(PICTURE), target=0, method="score-cam")
    assert heatmaps.empty.tolist() == [True]


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_ablation_cam_against_its_formula(flat, score):
    engine, images, activations, _ = flat
    head = head_of(engine.model)

    def scores(a):
        logits = ops.convert_to_numpy(head(a.astype(np.float32)))
        return (logits if score == "logit" else np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))[:, 2]

    weights = []
    for k in range(activations.shape[-1]):
        without = activations.copy()
        without[..., k] = 0
        weights.append(scores(activations) - scores(without))
    expected = np.einsum("nhwk,kn->nhw", activations, np.stack(weights))
    found = engine.heatmaps(images, target=2, method="ablation-cam", score=score).signed
    assert distance(found, expected) < 1e-4


def input_gradient(model, images, target):
    return networks.gradient(lambda x: ops.sum(model(x, training=False)[:, target]), images)


def test_input_gradients_against_the_framework(flat):
    engine, images, _, _ = flat
    gradient = input_gradient(engine.model, images, 2)
    assert distance(engine.heatmaps(images, target=2, method="saliency").signed, np.abs(gradient).max(-1)) < 1e-5
    found = engine.heatmaps(images, target=2, method="gradient-x-input").signed
    assert distance(found, (images * gradient).sum(-1)) < 1e-5


def test_integrated_gradients_against_a_fine_sum(flat):
    """2,000 midpoints instead of 50 Gauss–Legendre nodes; a kink of a ReLU between two nodes costs what is allowed."""
    engine, images, _, _ = flat
    nodes = (np.arange(2000) + 0.5) / 2000
    paths = (nodes[:, None, None, None] * images[:, None]).astype(np.float32)
    gradients = input_gradient(engine.model, paths.reshape(-1, *images.shape[1:]), 2).reshape(paths.shape)
    expected = (images * gradients.mean(axis=1)).sum(-1)
    found = engine.heatmaps(images, target=2, method="integrated-gradients").signed
    assert all(distance(*pair) < 0.02 for pair in zip(found, expected, strict=True))


# Identities


@pytest.mark.parametrize("name", ["functional", "nested", "shared", "composite", "subclassed_plain"])
def test_identities_of_a_pooled_linear_head(name):
    """grad-cam = xgrad-cam = hires-cam, ablation-cam's weights are those times the channel's mean."""
    engine, images = networks.engine(name), networks.pictures(5)
    maps = engine.heatmaps(images, target=1, method=["grad-cam", "xgrad-cam", "hires-cam", "ablation-cam"])
    activations = engine.activations(images, engine.default_layer)[engine.default_layer]
    for same in ("xgrad-cam", "hires-cam"):
        assert distance(maps[same].signed, maps["grad-cam"].signed) < 1e-5
    head = engine.layers[-1].operation
    weights = ops.convert_to_numpy(head.kernel)[:, 1]
    drops = weights * activations.mean(axis=(1, 2))
    assert distance(maps["ablation-cam"].signed, np.einsum("nhwk,nk->nhw", activations, drops)) < 1e-4


@pytest.mark.parametrize("name", ["functional", "nested", "flat", "regularized", "bare_operations"])
@pytest.mark.parametrize("score", ["logit", "probability"])
def test_integrated_gradients_are_complete(name, score):
    """Σ map = y(X) − y(X′), to 2 % of the largest difference."""
    engine, images = networks.engine(name), networks.pictures(6)
    heatmaps = engine.heatmaps(images, target=1, method="integrated-gradients", score=score)
    black = engine.heatmaps(np.zeros_like(images), target=1, score=score)
    gained = heatmaps.scores - black.scores
    close(heatmaps.signed.sum(axis=(1, 2)), gained, 0.02 * np.abs(gained).max())


def test_integrated_gradients_of_pictures_start_from_the_black_picture():
    """Scaled to −1…1, black is −1: the path starts there, and the map is not zero where the input is."""
    model = networks.build("functional")
    preprocessing = Preprocessing(scale=lambda pixels: pixels / 127.5 - 1)
    engine = Engine(model, preprocessing=preprocessing)
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    heatmaps = engine.heatmaps([picture], target=1, method=partial(methods.integrated_gradients, steps=400))
    gained = heatmaps.scores - engine.heatmaps(np.full((1, 8, 8, 3), -1.0), target=1).scores
    close(heatmaps.signed.sum(axis=(1, 2)), gained, 0.01 * np.abs(gained).max())


def test_occlusion_of_everything_is_the_whole_gain():
    engine = networks.worked_example()
    whole = engine.heatmaps(PICTURE, target=0, method=partial(methods.occlusion, patch=2))
    close(whole.signed, np.full((1, 2, 2), 1.25 - 0.5))


def test_occlusion_reaches_the_edges_and_averages_the_patches_that_cover_a_pixel():
    """y = Σ w x: a patch's drop is the sum of w x in it."""
    picture = keras.Input((7, 5, 1))
    identity = layers.Conv2D(1, 1, name="conv")
    model = keras.Model(picture, layers.Dense(2, name="logits")(layers.Flatten()(identity(picture))))
    generator = np.random.default_rng(0)
    w = generator.normal(size=(7, 5)).astype(np.float32)
    model.get_layer("conv").set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    model.get_layer("logits").set_weights([np.stack([w.ravel(), -w.ravel()], axis=1), np.zeros(2)])
    x = generator.normal(size=(7, 5)).astype(np.float32)
    found = Engine(model).heatmaps(x[None, ..., None], target=0, method=partial(methods.occlusion, patch=3, stride=2))
    total, covers = np.zeros((7, 5)), np.zeros((7, 5))
    for top in (0, 2, 4):
        for left in (0, 2):
            window = np.s_[top : top + 3, left : left + 3]
            total[window] += (w * x)[window].sum()
            covers[window] += 1
    close(found.signed[0], total / covers, 1e-5)
