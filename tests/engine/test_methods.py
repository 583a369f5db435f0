"""Every heatmap method by numbers: the worked example, independent transcriptions, identities, and its limits.

The worked example (`networks.one_conv`): the picture X = [[1, 2], [−1, 0]] gives A₀ = [[1, 2], [0, 0]] and
A₁ = [[0, 0], [1, 0]]; the logits are W·mean(A) + b with W = [[2, −1], [−3, 1]] and b = (½, 0). So g_k = W_k/4,
and ∂y/∂X is W₀/4 where X > 0, −W₁/4 where X < 0, and 0 where X = 0.
"""

import tracemalloc
from fractions import Fraction
from functools import partial

import keras
import networks
import numpy as np
import pytest
from keras import layers, ops
from networks import PICTURE, one_conv

from pytest_cnnaudit import Engine, Preprocessing
from pytest_cnnaudit.engine import methods
from pytest_cnnaudit.engine.methods import METHODS

A0 = np.array([[1.0, 2.0], [0.0, 0.0]])
A1 = np.array([[0.0, 0.0], [1.0, 0.0]])
CAM_METHODS = [name for name, method in METHODS.items() if method.kind == "cam"]
LAYER_METHODS = [name for name, method in METHODS.items() if method.kind != "picture"]
PICTURE_METHODS = [name for name, method in METHODS.items() if method.kind == "picture"]


def close(actual, expected, tolerance=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def distance(actual, expected):
    """Largest difference as a share of the largest value."""
    return np.abs(np.asarray(actual) - expected).max() / np.abs(expected).max()


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
    heatmaps = Engine(one_conv("dense")).heatmaps(np.repeat(PICTURE, 2, axis=0), target=[0, 1], method=method)
    close(heatmaps.signed, EXPECTED[method], 1e-5)
    close(heatmaps.scores, [1.25, -0.5])
    assert heatmaps.method == method
    assert heatmaps.signed.dtype == np.float32


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
    """(model, pictures, activations, gradients) of class 2 at `pool1`, by the framework itself."""
    model, images = networks.build("flat"), networks.pictures(4)
    activations = ops.convert_to_numpy(model.get_layer("pool1")(model.get_layer("conv1")(images)))
    head = head_of(model)
    gradients = networks.gradient(lambda a: ops.sum(head(a)[:, 2]), activations)
    return model, images, activations.astype(np.float64), gradients.astype(np.float64)


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
    model, images, activations, gradients = flat
    expected = np.stack([by_loops(method, a, g) for a, g in zip(activations, gradients, strict=True)])
    assert distance(Engine(model).heatmaps(images, target=2, method=method).signed, expected) < 1e-5


def test_grad_cam_plus_plus_where_the_denominator_is_zero():
    activations = np.full((1, 2, 2, 1), -0.5, np.float32)  # Σ = −2, so 2 + g Σ = 0 for g = 1
    gradients = np.array([1.0, 0.5, -1.0, 0.0], np.float32).reshape(1, 2, 2, 1)
    close(methods.grad_cam_plus_plus(activations, gradients, np.zeros(1)), np.full((1, 2, 2), -0.5 * 0.5 / (2 - 1)))


def test_xgrad_cam_of_a_channel_that_sums_to_zero_is_zero():
    activations = np.array([1.0, -1.0, 0.0, 0.0], np.float32).reshape(1, 2, 2, 1)
    close(methods.xgrad_cam(activations, np.ones((1, 2, 2, 1), np.float32), np.zeros(1)), np.zeros((1, 2, 2)))


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
    model, images, activations, _ = flat
    expected = []
    for picture, a in zip(images, activations, strict=True):
        up = ops.convert_to_numpy(ops.image.resize(a.astype(np.float32), picture.shape[:2], interpolation="bilinear"))
        lowest, highest = up.min(axis=(0, 1)), up.max(axis=(0, 1))
        varying = highest > lowest
        masks = ((up - lowest) / np.where(varying, highest - lowest, 1)).transpose(2, 0, 1)[..., None]
        gains = ops.convert_to_numpy(model(picture * masks) - model(np.zeros_like(picture)[None]))[:, 2]
        weights = np.where(varying, np.exp(gains), 0)
        expected.append((a * weights / weights.sum()).sum(axis=-1))
    assert distance(Engine(model).heatmaps(images, target=2, method="score-cam").signed, np.stack(expected)) < 1e-5


def test_score_cam_of_constant_channels_is_empty():
    heatmaps = Engine(one_conv()).heatmaps(np.zeros_like(PICTURE), target=0, method="score-cam")
    assert heatmaps.empty.tolist() == [True]


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_ablation_cam_against_its_formula(flat, score):
    model, images, activations, _ = flat
    head = head_of(model)

    def scores(a):
        logits = ops.convert_to_numpy(head(a.astype(np.float32)))
        return (logits if score == "logit" else np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))[:, 2]

    weights = []
    for k in range(activations.shape[-1]):
        without = activations.copy()
        without[..., k] = 0
        weights.append(scores(activations) - scores(without))
    expected = np.einsum("nhwk,kn->nhw", activations, np.stack(weights))
    found = Engine(model).heatmaps(images, target=2, method="ablation-cam", score=score).signed
    assert distance(found, expected) < 1e-4


def input_gradient(model, images, target):
    return networks.gradient(lambda x: ops.sum(model(x, training=False)[:, target]), images)


def test_input_gradients_against_the_framework(flat):
    model, images, _, _ = flat
    gradient = input_gradient(model, images, 2)
    engine = Engine(model)
    assert distance(engine.heatmaps(images, target=2, method="saliency").signed, np.abs(gradient).max(-1)) < 1e-5
    found = engine.heatmaps(images, target=2, method="gradient-x-input").signed
    assert distance(found, (images * gradient).sum(-1)) < 1e-5


def test_integrated_gradients_against_a_fine_sum(flat):
    """10,000 midpoints instead of 50 Gauss–Legendre nodes; a kink of a ReLU between two nodes costs what is allowed."""
    model, images, _, _ = flat
    nodes = (np.arange(2000) + 0.5) / 2000
    for picture in images:
        path = (nodes[:, None, None, None] * picture).astype(np.float32)
        expected = (picture * input_gradient(model, path, 2).mean(axis=0)).sum(-1)
        found = Engine(model).heatmaps(picture[None], target=2, method="integrated-gradients").signed[0]
        assert distance(found, expected) < 0.02


# Identities


@pytest.mark.parametrize("name", ["functional", "nested", "shared", "composite", "subclassed_plain"])
def test_identities_of_a_pooled_linear_head(name):
    """grad-cam = xgrad-cam = hires-cam, ablation-cam's weights are those times the channel's mean."""
    model, images = networks.build(name), networks.pictures(5)
    engine = Engine(model)
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
    engine, images = Engine(networks.build(name)), networks.pictures(6)
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
    engine = Engine(one_conv())
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


# Ablation runs only the head


ROWS: dict[str, list[int]] = {}


class Listening(layers.Layer):
    """Passes its input on and remembers how many pictures it was called with."""

    def call(self, x):
        ROWS.setdefault(self.name, []).append(x.shape[0])
        return x


@pytest.fixture
def rows():
    ROWS.clear()
    return ROWS


def test_only_the_head_is_computed_for_every_channel(rows):
    picture = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(Listening(name="trunk")(picture))
    x = layers.GlobalAveragePooling2D()(Listening(name="head")(x))
    engine = Engine(networks.assign_weights(keras.Model(picture, layers.Dense(2)(x))))
    engine.heatmaps(networks.pictures(2), target=0, layer="conv")
    rows.clear()
    engine.heatmaps(networks.pictures(2), target=0, layer="conv", method="ablation-cam")
    assert max(rows["trunk"]) <= 2  # the pictures themselves
    assert 7 in rows["head"]  # six channels and the whole


HEADS = {
    ("bare_operations", "conv1"): lambda get: lambda a: get("gap")(a + ops.relu(get("conv2")(a))),
    ("shared", "twice#1"): lambda get: lambda a: get("gap")(get("twice")(a)),
    ("composite", "block/inner"): lambda get: lambda a: get("gap")(get("block").normalization(a)),
    ("squeeze_and_excite", "conv1"): lambda get: (
        lambda a: get("flatten")(get("scaled")([a, get("reshape")(get("excite")(get("squeeze")(a)))]))
    ),
    ("regularized", "norm"): lambda get: lambda a: get("gap")(get("relu")(a)),
}


@pytest.mark.parametrize(("name", "layer"), HEADS)
def test_ablation_where_the_layers_output_is_used_twice_or_deep_inside(name, layer):
    model, images = networks.build(name), networks.pictures(2)
    engine = Engine(model)
    activations = engine.activations(images, layer)[layer]
    features = HEADS[name, layer](model.get_layer)
    last = model.layers[-1]

    def scores(a):
        return ops.convert_to_numpy(ops.matmul(features(ops.convert_to_tensor(a)), last.kernel) + last.bias)[:, 1]

    weights = []
    for k in range(activations.shape[-1]):
        keep = np.ones(activations.shape[-1], np.float32)
        keep[k] = 0
        weights.append(scores(activations) - scores(activations * keep))
    expected = np.einsum("nhwk,kn->nhw", activations, np.stack(weights))
    found = engine.heatmaps(images, target=1, layer=layer, method="ablation-cam").signed
    assert distance(found, expected) < 1e-4


def test_ablation_where_something_beside_the_layer_reaches_the_head():
    """A branch that bypasses the layer is computed once and repeated for every channel."""
    picture = keras.Input((8, 8, 3))
    side = layers.GlobalMaxPooling2D(name="side")(layers.Conv2D(2, 3, name="other")(picture))
    x = layers.GlobalAveragePooling2D(name="gap")(layers.Conv2D(4, 3, activation="relu", name="conv")(picture))
    both = layers.Concatenate(name="both")([side, x])
    hidden = layers.Dense(5, activation="sigmoid", name="hidden")(both)
    model = networks.assign_weights(keras.Model(picture, layers.Dense(3, name="logits")(hidden)))
    images = networks.pictures(2)
    engine = Engine(model)
    beside = ops.convert_to_numpy(model.get_layer("side")(model.get_layer("other")(images)))
    activations = engine.activations(images, "conv")["conv"]

    def scores(a):
        joined = np.concatenate([beside, a.mean(axis=(1, 2))], axis=1)
        return ops.convert_to_numpy(model.get_layer("logits")(model.get_layer("hidden")(joined)))[:, 0]

    weights = [scores(activations) - scores(activations * (np.arange(4) != k)) for k in range(4)]
    expected = np.einsum("nhwk,kn->nhw", activations, np.stack(weights))
    assert distance(engine.heatmaps(images, target=0, layer="conv", method="ablation-cam").signed, expected) < 1e-4


# Several layers and methods from one pass


def test_a_list_of_layers_gives_one_map_each():
    engine, images = Engine(networks.build("nested")), networks.pictures(3)
    paths = ["trunk/backbone/conv2", "trunk/backbone/conv1"]
    both = engine.heatmaps(images, target=1, layer=["conv2", "conv1"])
    assert list(both) == paths
    for path in paths:
        single = engine.heatmaps(images, target=1, layer=path)
        assert distance(both[path].signed, single.signed) < 1e-6
        assert both[path].layer == path


def test_lists_of_layers_and_methods_give_every_pair():
    engine, images = Engine(networks.build("functional")), networks.pictures(3)
    found = engine.heatmaps(images, target=1, layer=["conv1", "conv2"], method=["layer-cam", "eigen-cam"])
    assert list(found) == [(path, name) for path in ("conv1", "conv2") for name in ("layer-cam", "eigen-cam")]
    for (path, name), heatmaps in found.items():
        assert distance(heatmaps.signed, engine.heatmaps(images, target=1, layer=path, method=name).signed) < 1e-6


def test_one_pass_for_all(rows):
    picture = keras.Input((8, 8, 3))
    x = Listening(name="first")(picture)
    for index in range(3):
        x = layers.Conv2D(3, 3, padding="same", activation="relu", name=f"conv{index}")(x)
    model = keras.Model(picture, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    engine = Engine(networks.assign_weights(model))
    engine.predict(networks.pictures(2))
    rows.clear()
    engine.heatmaps(networks.pictures(2), target=0, layer=["conv2", "conv0"], method=CAM_METHODS)
    dry_run = keras.backend.backend() == "jax"  # looks for what the score depends on before it differentiates
    assert len(rows["first"]) == 1 + dry_run


def test_lists_are_checked():
    engine, images = Engine(networks.build("functional")), networks.pictures(1)
    with pytest.raises(ValueError, match="empty list was given as layer"):
        engine.heatmaps(images, layer=[])
    with pytest.raises(ValueError, match="empty list was given as method"):
        engine.heatmaps(images, method=[])
    with pytest.raises(ValueError, match="'grad-cam' at 'conv1' is asked for twice"):
        engine.heatmaps(images, layer=["conv1", "conv1"])


# The picture's own grid


@pytest.mark.parametrize("method", PICTURE_METHODS)
def test_maps_of_the_picture_have_its_size_and_the_inputs_name(method):
    picture = keras.Input((8, 6, 3), name="photo")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(picture))
    engine = Engine(networks.assign_weights(keras.Model(picture, layers.Dense(3)(x))))
    heatmaps = engine.heatmaps(networks.pictures(2, 8, 6), target=0, method=method)
    assert heatmaps.signed.shape == (2, 8, 6)
    assert heatmaps.layer == "photo"


def test_a_layer_for_a_method_that_takes_none():
    engine = Engine(networks.build("functional"))
    with pytest.raises(ValueError, match=r"'saliency' explains the picture itself and takes no layer.*'conv1'"):
        engine.heatmaps(networks.pictures(1), method="saliency", layer="conv1")


# Random numbers


@pytest.mark.parametrize("method", ["smoothgrad", "rise"])
def test_random_numbers_come_from_the_seed(method):
    model, images = networks.build("functional"), networks.pictures(2)
    method = partial(methods.rise, masks=50) if method == "rise" else method
    one, same, other = (Engine(model, seed=seed).heatmaps(images, target=1, method=method).signed for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert distance(other, one) > 1e-3
    np.testing.assert_array_equal(Engine(model).heatmaps(images, target=1, method=method, seed=1).signed, one)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_does_not_depend_on_its_neighbours_nor_on_the_batch(method):
    model, images = networks.build("nested"), networks.pictures(5)
    function = partial(methods.rise, masks=40) if method == "rise" else method
    together = Engine(model).heatmaps(images, target=1, method=function).signed
    alone = Engine(model, batch_size=3).heatmaps(images[3:4], target=1, method=function).signed[0]
    assert distance(alone, together[3]) < 1e-4


# Limits


@pytest.mark.parametrize("method", ["score-cam", "ablation-cam"])
def test_a_layer_of_2048_channels_needs_little_memory(method):
    """All 2,048 masked pictures at once would take 201 MB."""
    picture = keras.Input((64, 128, 3))
    x = layers.Conv2D(2048, 16, strides=16, activation="relu", name="wide")(picture)
    model = keras.Model(picture, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    engine = Engine(networks.assign_weights(model))
    images = networks.pictures(1, 64, 128)
    tracemalloc.start()
    try:
        heatmaps = engine.heatmaps(images, target=0, method=method)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert heatmaps.signed.shape == (1, 4, 8)
    assert peak < 60e6


@pytest.mark.parametrize("method", ["grad-cam", "score-cam", "ablation-cam"])
def test_a_layer_the_score_does_not_depend_on(method):
    picture = keras.Input((8, 8, 3))
    used = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="used")(picture))
    unused = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="unused")(picture))
    model = keras.Model(picture, [layers.Dense(2, name="kept")(used), layers.Dense(2, name="other")(unused)])
    engine = Engine(networks.assign_weights(model), output="kept")
    with pytest.raises(ValueError, match="does not depend on the layer 'unused'"):
        engine.heatmaps(networks.pictures(1), target=0, layer="unused", method=method)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (lambda activations, gradients: activations[..., 0], r"'<lambda>', .* with \(activations, gradients, scores\)"),
        (Fraction, "'Fraction', .* a function of three arrays"),
        (partial(methods.grad_cam, power=2), r"'grad_cam', .* unexpected keyword argument 'power'; 'grad-cam' with"),
        (partial(methods.eigen_cam, power=2), r"'eigen_cam', .* with \(probe, layer\): .* keyword argument 'power'"),
        (partial(methods.rise, mask=100), r"'rise', .* with \(probe\): got an unexpected keyword argument 'mask'"),
    ],
)
@pytest.mark.parametrize("several", [False, True])
def test_what_a_method_is_called_with_is_checked_before_anything_is_computed(method, words, several, monkeypatch):
    engine = Engine(one_conv())
    monkeypatch.setattr(engine, "_probes", None)
    with pytest.raises(TypeError, match=f"^method is {words}"):
        engine.heatmaps(PICTURE, method=["grad-cam", method] if several else method)


def test_an_error_within_a_method_is_the_users_own():
    error = TypeError("takes 2 positional arguments but 3 were given")

    def method(activations, gradients, scores):
        raise error

    with pytest.raises(TypeError) as caught:
        Engine(one_conv()).heatmaps(PICTURE, method=method)
    assert caught.value is error


@pytest.mark.parametrize(
    ("given", "words"),
    [([[[1, 2], [3]]], "gave list: setting an array"), ("no map", "gave str: could not convert"), ({}, "gave dict")],
)
def test_what_is_no_array_of_numbers_is_an_error_that_says_what_was_given(given, words):
    with pytest.raises(TypeError, match=f"The method '<lambda>' {words}"):
        Engine(one_conv()).heatmaps(PICTURE, method=lambda activations, gradients, scores: given)


def test_unknown_method_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no method 'gradcam'; known: grad-cam, grad-cam\+\+, .*rise, or a callable"):
        Engine(one_conv()).heatmaps(PICTURE, method="gradcam")


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (partial(methods.occlusion, patch=3), "patch is 3, larger than the model's input of 2 × 2"),
        (partial(methods.occlusion, stride=0), "stride is 0"),
        (partial(methods.rise, masks=0), "masks is 0"),
        (partial(methods.rise, masks=2.5), r"masks is 2\.5; a positive integer is expected"),
        (partial(methods.rise, cells="7"), "cells is '7'; a positive integer is expected"),
        (partial(methods.smoothgrad, noise="0.1"), "noise is '0.1'; a positive number is expected"),
        (partial(methods.rise, keep=1.0), r"keep is 1\.0"),
        (partial(methods.smoothgrad, noise=float("nan")), "noise is nan"),
        (partial(methods.integrated_gradients, steps=0), "steps is 0"),
    ],
)
def test_wrong_parameters(method, words):
    with pytest.raises(ValueError, match=words):
        Engine(one_conv()).heatmaps(PICTURE, target=0, method=method)


@pytest.mark.parametrize("seed", [-1, 0.5, "a", True])
def test_wrong_seed(seed):
    with pytest.raises(ValueError, match=f"seed is {seed!r}; an integer of at least 0 is expected"):
        Engine(one_conv()).heatmaps(PICTURE, target=0, method="smoothgrad", seed=seed)


def test_slow_methods_show_progress_where_asked(capsys):
    images = networks.pictures(1)
    Engine(networks.build("functional"), progress=True).heatmaps(images, target=0, method="occlusion")
    assert "chunk" in capsys.readouterr().out
    Engine(networks.build("functional")).heatmaps(images, target=0, method="occlusion")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("method", METHODS)
def test_half_precision(policy, method):
    """The map of the same weights in full precision, as far as the digits go."""
    images = networks.pictures(2)
    function = partial(methods.rise, masks=60) if method == "rise" else method
    full = Engine(networks.build("functional")).heatmaps(images, target=1, method=function)
    with networks.dtype_policy(policy):
        model = networks.build("functional")
    half = Engine(model).heatmaps(images, target=1, method=function)
    assert half.signed.dtype == np.float32
    assert np.corrcoef(half.signed.ravel(), full.signed.ravel())[0, 1] > 0.98
