"""Filter patterns: the chapter's loop written out, where it starts, what repeats, and what is wrong."""

import keras
import networks
import numpy as np
import pytest
from keras import layers, ops
from networks import KERNEL_OF_COLORS, linear
from test_engine import Counting

from pytest_cnnaudit import Engine
from pytest_cnnaudit.engine.errors import NonFiniteError

LAYER, SIZE = "sepconv3", (40, 40)


def noise(count, seed=3):
    return networks.pictures(count, *SIZE, seed=seed, low=0.4, high=0.6)


# The chapter's loop


def chapters_loop(model, layer, filters, images, steps, normalize, step_size=10.0):
    """One filter at a time, one step at a time, with a model cut off at the layer, as the book writes it."""
    extractor = keras.Model(model.input, model.get_layer(layer).output)
    final, losses = [], []
    for index, image in zip(filters, images[:, None], strict=True):

        def loss(tensor, index=index):
            return ops.mean(extractor(tensor, training=False)[:, 2:-2, 2:-2, index])

        compiled, seen = networks.value_and_gradient(loss), []
        for _ in range(steps):
            value, gradient = compiled(image)
            seen.append(float(value))
            if normalize == "global":
                gradient = gradient / np.sqrt((gradient.astype(np.float64) ** 2).sum())
            else:
                gradient = ops.convert_to_numpy(ops.normalize(ops.convert_to_tensor(gradient), axis=-1))
            image = (image + step_size * gradient).astype(np.float32)
        final.append(image[0])
        losses.append([*seen, float(compiled(image)[0])])
    return np.stack(final), np.array(losses)


@pytest.mark.parametrize(("normalize", "tolerance"), [("global", 1e-4), ("pixel", 1e-2)])
def test_one_step_is_the_chapters(trunk_engine, trunk, normalize, tolerance):
    filters, start = [0, 7, 3], noise(3)
    ours = trunk_engine.filter_patterns(LAYER, filters, steps=1, size=SIZE, normalize=normalize, init=start)
    images, losses = chapters_loop(trunk, LAYER, filters, start, 1, normalize)
    error = np.linalg.norm(ours.images - images) / np.linalg.norm(images - start)
    assert error <= tolerance
    np.testing.assert_allclose(ours.losses, losses, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("normalize", ["global", "pixel"])
def test_thirty_steps_are_the_chapters(trunk_engine, trunk, normalize):
    filters, start = [1, 4], noise(2)
    ours = trunk_engine.filter_patterns(LAYER, filters, size=SIZE, normalize=normalize, init=start)
    images, losses = chapters_loop(trunk, LAYER, filters, start, 30, normalize)
    assert ours.losses.shape == (2, 31)
    np.testing.assert_allclose(ours.losses[:, -1], losses[:, -1], rtol=0.01)
    for one, other in zip(ours.images, images, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] >= 0.99
    assert ours.responds.all()


# The input range


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (None, (0, 1)),
        (lambda x: layers.Rescaling(1 / 255)(x), (0, 255)),
        (lambda x: layers.Rescaling(1 / 127.5, offset=-1)(layers.RandomFlip()(x)), (0, 255)),
        (lambda x: layers.Normalization(mean=[120.0] * 3, variance=[3600.0] * 3)(x), (0, 255)),
        (lambda x: layers.Rescaling(2.0, offset=-1)(x), (0, 1)),
        (lambda x: layers.Normalization(mean=[0.5] * 3, variance=[0.05] * 3)(x), (0, 1)),
        (lambda x: layers.Rescaling(1 / 255)(layers.Conv2D(3, 1)(x)), (0, 1)),
    ],
)
def test_input_range_is_what_the_model_rescales_itself(first, expected):
    found = Engine(linear(first)).filter_patterns("conv", [0], steps=1, step_size=1e-6, size=(12, 12))
    low, high = (0.4 * expected[1], 0.6 * expected[1])
    assert low <= found.images.min() < low + 0.02 * expected[1]
    assert high - 0.02 * expected[1] < found.images.max() <= high


@pytest.mark.parametrize("normalize", ["global", "pixel"])
def test_a_model_that_rescales_climbs_like_one_that_does_not(normalize):
    options = {"steps": 5, "size": (12, 12), "normalize": normalize, "seed": 1}
    plain = Engine(linear()).filter_patterns("conv", [0, 2], **options)
    rescaled = Engine(linear(layers.Rescaling(1 / 255))).filter_patterns("conv", [0, 2], **options)
    np.testing.assert_allclose(rescaled.images, 255 * plain.images, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(rescaled.losses, plain.losses, rtol=1e-4)


# Filters that do not respond


def test_a_dead_filter_is_marked_and_left_as_it_was():
    model = linear(activation="relu")
    model.get_layer("conv").set_weights(
        [np.concatenate([KERNEL_OF_COLORS[:, :2], -KERNEL_OF_COLORS[:, :1]], axis=1)[None, None]]
    )
    found = Engine(model).filter_patterns("conv", size=(60, 60), seed=2)
    assert found.responds.tolist() == [True, False, False]
    assert not found.losses[1:].any()
    assert np.isfinite(found.images).all()
    assert 0.4 <= found.images[1:].min() <= found.images[1:].max() <= 0.6
    grid = found.grid(columns=3, margin=1, crop=5)
    assert grid[:, :50].any()
    assert not grid[:, 51:].any()


def test_a_layer_that_does_not_see_the_picture_responds_nowhere():
    picture = keras.Input((12, 12, 3))
    constant = layers.Conv2D(2, 1, name="constant")(ops.zeros_like(picture))
    found = Engine(keras.Model(picture, constant)).filter_patterns("constant", steps=2, size=(12, 12))
    assert found.responds.tolist() == [False, False]


# Repeatable, whatever climbs together


def test_the_seed_says_it_all(trunk, trunk_engine):
    one = trunk_engine.filter_patterns(LAYER, [2, 5], steps=3, size=SIZE, seed=4)
    again = Engine(trunk, seed=4).filter_patterns(LAYER, [2, 5], steps=3, size=SIZE)
    other = trunk_engine.filter_patterns(LAYER, [2, 5], steps=3, size=SIZE, seed=5)
    np.testing.assert_allclose(one.images, again.images, atol=1e-4)
    assert not np.allclose(one.images, other.images, atol=0.01)
    assert not np.allclose(one.images[0], one.images[1], atol=0.01)


def test_each_filter_has_a_start_of_its_own_whichever_others_are_asked_for():
    engine, options = Engine(linear()), {"steps": 1, "step_size": 1e-6, "size": (12, 12)}
    both, alone = engine.filter_patterns("conv", [0, 2], **options), engine.filter_patterns("conv", [2], **options)
    np.testing.assert_allclose(alone.images[0], both.images[1], atol=1e-6)
    assert np.abs(both.images[0] - both.images[1]).mean() > 0.05


def test_chunks_give_what_filters_give_alone(trunk, trunk_engine):
    options = {"steps": 4, "size": SIZE, "jitter": 3, "parametrization": "fourier"}
    together = trunk_engine.filter_patterns(LAYER, **options)
    assert together.filters.tolist() == list(range(10))
    chunked = Engine(trunk, batch_size=4).filter_patterns(LAYER, **options)
    alone = trunk_engine.filter_patterns(LAYER, 7, **options)
    np.testing.assert_allclose(chunked.images, together.images, atol=2e-3)
    np.testing.assert_allclose(alone.images[0], together.images[7], atol=2e-3)
    np.testing.assert_allclose(chunked.losses, together.losses, rtol=1e-3, atol=1e-4)


def test_one_start_for_all_filters(trunk_engine):
    start = noise(1)[0]
    one = trunk_engine.filter_patterns(LAYER, [3, 3], steps=1, size=SIZE, init=start)
    np.testing.assert_allclose(one.images[0], one.images[1], atol=1e-6)
    each = trunk_engine.filter_patterns(LAYER, [3, 3], steps=1, size=SIZE, init=np.stack([start, start]))
    np.testing.assert_array_equal(one.images, each.images)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch runs eagerly: there is no trace to count")
def test_another_call_compiles_nothing():
    Counting.calls = 0
    picture = keras.Input((8, 8, 3))
    x = layers.Conv2D(9, 3, name="conv")(Counting(name="counting")(picture))
    engine = Engine(networks.assign_weights(keras.Model(picture, x)), batch_size=4)
    engine.filter_patterns("conv", steps=2, size=(9, 9))
    traced = Counting.calls
    for filters in (None, [1, 2, 3], [8, 0, 7, 5, 1]):
        engine.filter_patterns("conv", filters, steps=2, size=(9, 9), seed=1)
    assert Counting.calls == traced


def test_new_weights_are_seen():
    model = linear()
    engine, options = Engine(model), {"steps": 1, "size": (12, 12), "init": np.zeros((12, 12, 3))}
    engine.filter_patterns("conv", [2], **options)
    model.get_layer("conv").set_weights([np.roll(KERNEL_OF_COLORS, 1, axis=0)[None, None]])
    found = engine.filter_patterns("conv", [2], **options)
    np.testing.assert_allclose(found.images[0, 6, 6], [0, 10 / 8, 0], rtol=1e-5)


# Activations of a filter


def test_the_common_start_is_the_first_filters_own(trunk_engine):
    start = trunk_engine.pattern_start(SIZE, seed=5)
    assert (start.shape, start.dtype) == ((*SIZE, 3), np.float32)
    assert 0.4 <= start.min() < start.max() <= 0.6
    own, given = (
        trunk_engine.filter_patterns(LAYER, 0, steps=1, size=SIZE, seed=5, init=init) for init in (None, start)
    )
    np.testing.assert_array_equal(own.images, given.images)
    wide = trunk_engine.pattern_start(SIZE, input_range=(-1, 1), seed=5)
    np.testing.assert_allclose(wide, 2 * start - 1, atol=1e-6)


def test_a_filters_activations_are_the_layers_without_the_border(trunk_engine):
    pictures = noise(3)
    whole = trunk_engine.activations(pictures, [LAYER])[LAYER][:, 2:-2, 2:-2, 7]
    np.testing.assert_allclose(
        trunk_engine.filter_activations(LAYER, 7, pictures), whole.reshape(3, -1), rtol=1e-4, atol=1e-6
    )


def test_a_filters_mean_activation_on_its_pattern_is_what_the_ascent_came_to(trunk_engine):
    found = trunk_engine.filter_patterns(LAYER, [3], steps=4, size=SIZE)
    means = trunk_engine.filter_activations(LAYER, 3, found.images).mean(axis=1)
    np.testing.assert_allclose(means, found.losses[:, -1], rtol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
def test_a_filters_activations_of_any_precision_are_float32(policy):
    with networks.dtype_policy(policy):
        engine = Engine(networks.one_conv())
    layer = next(layer.path for layer in engine.layers if layer.type == "Conv2D")
    assert engine.filter_activations(layer, 0, np.full((2, 2, 2, 1), 0.5)).dtype == np.float32


@pytest.mark.parametrize(
    ("index", "pictures", "message"),
    [(99, noise(1), "The filter 99 is out of range"), (0, noise(1)[0], r"shape \(40, 40, 3\)")],
)
def test_activations_of_no_filter_or_no_pictures_are_errors(trunk_engine, index, pictures, message):
    with pytest.raises(ValueError, match=message):
        trunk_engine.filter_activations(LAYER, index, pictures)


def test_activations_that_are_not_finite_are_an_error(trunk_engine):
    with pytest.raises(NonFiniteError, match=f"The filter 0 of the layer '{LAYER}' gives NaN or infinity"):
        trunk_engine.filter_activations(LAYER, 0, np.full((1, *SIZE, 3), np.nan))


# Bad input


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": [10]}, "filter 10 is out of range: the layer 'sepconv3' has 10 filters"),
        ({"filters": -1}, "filter -1 is out of range"),
        ({"filters": []}, "No filter is chosen"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 1.5}, "steps is 1.5"),
        ({"step_size": 0.0}, "step_size is 0.0; it must be positive"),
        ({"step_size": float("nan")}, "step_size is nan; a finite number"),
        ({"step_size": "10"}, "step_size is '10'"),
        ({"size": (0, 40)}, r"size is \(0, 40\)"),
        ({"size": 40}, "size is 40"),
        ({"normalize": "l2"}, "normalize is 'l2'; known: 'global', 'pixel'"),
        ({"parametrization": "waves"}, "parametrization is 'waves'; known: 'pixels', 'fourier'"),
        ({"input_range": (1, 0)}, r"input_range is \(1, 0\)"),
        ({"input_range": (0, float("inf"))}, "input_range is"),
        ({"init": np.zeros((40, 41, 3))}, r"init has the shape \(40, 41, 3\); \(40, 40, 3\)"),
        ({"init": np.zeros((3, 40, 40, 3))}, r"\(2, 40, 40, 3\) \(one for each filter\)"),
        ({"init": np.full((40, 40, 3), np.nan)}, "init holds NaN"),
        ({"init": "noise"}, "init is no array of numbers"),
        ({"seed": -1}, "seed is -1"),
        ({"jitter": -1}, "jitter is -1"),
        ({"jitter": 20}, "jitter is 20; less than half"),
        ({"total_variation": -0.5}, "total_variation is -0.5; it must be at least 0"),
        ({"l2": float("inf")}, "l2 is inf"),
    ],
)
def test_bad_options_are_named(trunk_engine, options, message):
    with pytest.raises(ValueError, match=message):
        trunk_engine.filter_patterns(LAYER, **{"filters": [0, 1], "size": SIZE, **options})


@pytest.mark.one_backend
def test_a_filter_is_an_index(trunk_engine):
    for wrong in ("first", True, 1.0):
        with pytest.raises(TypeError, match=f"A filter is named by its index, an int, not {wrong!r}"):
            trunk_engine.filter_patterns(LAYER, [wrong], size=SIZE)


@pytest.mark.one_backend
def test_an_unknown_layer_is_an_error(trunk_engine):
    with pytest.raises(ValueError, match="no layer 'sepconv9'; nearest: 'sepconv"):
        trunk_engine.filter_patterns("sepconv9")


def test_an_overflow_names_the_filter():
    model = linear(lambda x: ops.exp(20 * x))
    with pytest.raises(
        NonFiniteError, match=r"ascent of filter 2 of the layer 'conv' ran into NaN or infinity before step"
    ):
        Engine(model).filter_patterns("conv", [2], size=(12, 12), normalize="pixel")
