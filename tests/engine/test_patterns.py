"""Filter patterns: the chapter's loop written out, closed forms, and the network up to the layer and no further."""

import os

import keras
import networks
import numpy as np
import pytest
from keras import layers, ops
from test_engine import Counting, Failing, operations_of, snapshot

from pytest_cnnaudit import Engine, FilterPatterns
from pytest_cnnaudit.engine import patterns
from pytest_cnnaudit.engine.errors import NonFiniteError
from pytest_cnnaudit.engine.models.keras import tracing

LAYER, SIZE = "sepconv3", (40, 40)


@pytest.fixture(scope="module")
def trunk():
    return networks.separable()


@pytest.fixture(scope="module")
def engine(trunk):
    return Engine(trunk)


def noise(count, size=SIZE, seed=3, low=0.4, high=0.6):
    return networks.pictures(count, *size, seed=seed, low=low, high=high)


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
def test_one_step_is_the_chapters(engine, trunk, normalize, tolerance):
    filters, start = [0, 7, 3], noise(3)
    ours = engine.filter_patterns(LAYER, filters, steps=1, size=SIZE, normalize=normalize, init=start)
    images, losses = chapters_loop(trunk, LAYER, filters, start, 1, normalize)
    error = np.linalg.norm(ours.images - images) / np.linalg.norm(images - start)
    assert error <= tolerance
    np.testing.assert_allclose(ours.losses, losses, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("normalize", ["global", "pixel"])
def test_thirty_steps_are_the_chapters(engine, trunk, normalize):
    filters, start = [1, 4], noise(2)
    ours = engine.filter_patterns(LAYER, filters, size=SIZE, normalize=normalize, init=start)
    images, losses = chapters_loop(trunk, LAYER, filters, start, 30, normalize)
    assert ours.losses.shape == (2, 31)
    np.testing.assert_allclose(ours.losses[:, -1], losses[:, -1], rtol=0.01)
    for one, other in zip(ours.images, images, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] >= 0.99
    assert ours.responds.all()


# Closed forms: a 1 × 1 convolution without an activation has the same gradient everywhere


KERNEL = np.array([[3.0, 0.0, 1.0], [4.0, 0.0, 0.0], [0.0, 0.0, 0.0]], np.float32)


def linear(first=None, **options):
    """Filters (3, 4, 0), nothing, (1, 0, 0) on the colours of a pixel."""
    picture = keras.Input((12, 12, 3))
    x = picture if first is None else first(picture)
    model = keras.Model(picture, layers.Conv2D(3, 1, use_bias=False, name="conv", **options)(x))
    model.get_layer("conv").set_weights([KERNEL[None, None]])
    return model


def test_linear_filter_climbs_straight():
    """The gradient is 0.6, 0.8, 0 within the border of 2 and 0 on it, 64 of 144 cells, so its L2 norm is 8 · 5 / 64."""
    found = Engine(linear()).filter_patterns(
        "conv", [0], steps=4, step_size=2.0, size=(12, 12), init=np.zeros((12, 12, 3))
    )
    expected = np.zeros((12, 12, 3))
    expected[2:-2, 2:-2] = np.array([0.6, 0.8, 0.0]) * 4 * 2.0 / 8
    np.testing.assert_allclose(found.images[0], expected, atol=1e-6)
    np.testing.assert_allclose(found.losses[0], np.arange(5) * 2.0 / 8 * 5, rtol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(4, 3, name="affine"),
        layers.Conv2D(4, 3, groups=2, strides=2, padding="same", use_bias=False, name="affine"),
        layers.Conv2DTranspose(4, 3, strides=2, name="affine"),
        layers.Dense(4, name="affine"),
        layers.DepthwiseConv2D(3, name="affine"),
        layers.SeparableConv2D(4, 3, dilation_rate=2, name="affine"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_an_affine_layer_is_climbed_as_any_other(layer):
    """What follows it gives the same values, but is computed in every step."""
    picture = keras.Input((14, 15, 3))
    x = layers.Activation("tanh")(layers.Conv2D(4, 3, name="before")(picture))
    model = networks.assign_weights(keras.Model(picture, layers.Activation("linear", name="after")(layer(x))))
    engine = Engine(model)
    options = {"steps": 5, "size": (16, 17), "step_size": 0.5}
    affine, other = (engine.filter_patterns(name, **options) for name in ("affine", "after"))
    assert tracing.is_affine(engine.layer("affine"))
    assert not tracing.is_affine(engine.layer("after"))
    np.testing.assert_allclose(affine.images, other.images, atol=1e-4)
    np.testing.assert_allclose(affine.losses, other.losses, rtol=1e-4, atol=1e-6)


def test_an_affine_layer_called_twice_is_climbed_at_its_call():
    picture = keras.Input((12, 12, 3))
    shared = layers.Conv2D(3, 1, name="shared", use_bias=False)
    model = keras.Model(picture, shared(layers.ReLU()(shared(picture))))
    shared.set_weights([KERNEL[None, None]])
    options = {"steps": 1, "step_size": 8.0, "size": (12, 12), "init": np.ones((12, 12, 3))}
    first, second = (Engine(model).filter_patterns(path, [0], **options) for path in ("shared#1", "shared"))
    np.testing.assert_allclose(first.images[0, 6, 6] - 1, [0.6, 0.8, 0], rtol=1e-5)
    # 3 · (3, 4, 0) + 4 · 0 from the first and the second filter, in proportion.
    np.testing.assert_allclose(second.images[0, 6, 6] - 1, [0.6, 0.8, 0], rtol=1e-5)
    np.testing.assert_allclose([first.losses[0, 0], second.losses[0, 0]], [7, 21])


@pytest.mark.parametrize("options", [{"activation": "relu"}, {"dtype": "mixed_float16"}])
def test_what_is_not_affine_in_float32_is_not_taken_for_it(options):
    engine = Engine(linear(**options))
    assert not tracing.is_affine(engine.layer("conv"))


def test_pixel_normalisation_gives_every_pixel_a_whole_step():
    engine = Engine(linear())
    found = engine.filter_patterns("conv", [0], steps=3, size=(12, 12), normalize="pixel", init=np.zeros((12, 12, 3)))
    expected = np.zeros((12, 12, 3))
    expected[2:-2, 2:-2] = np.array([0.6, 0.8, 0.0]) * 30
    np.testing.assert_allclose(found.images[0], expected, rtol=1e-5)


@pytest.mark.parametrize(("side", "inner"), [(1, [0]), (2, [0, 1]), (3, [1]), (4, [1, 2]), (5, [2]), (6, [2, 3])])
def test_a_small_grid_keeps_its_middle(side, inner):
    found = Engine(linear()).filter_patterns("conv", [2], steps=1, size=(side, 12), init=np.zeros((side, 12, 3)))
    assert np.flatnonzero(found.images[0, :, 5, 0]).tolist() == inner


def test_penalties_pull_towards_the_middle_and_smooth():
    """With a filter that sees nothing, only the penalty is left: its gradient is known."""
    start = np.full((12, 12, 3), 0.5)
    start[6, 6] = 0.75
    found = Engine(linear()).filter_patterns("conv", [1], steps=1, step_size=0.1, size=(12, 12), init=start, l2=2.0)
    expected = start.copy()
    expected[6, 6] -= 0.1 / np.sqrt(3)
    np.testing.assert_allclose(found.images[0], expected, atol=1e-6)
    found = Engine(linear()).filter_patterns(
        "conv", [1], steps=1, step_size=0.1, size=(12, 12), init=start, total_variation=1.0
    )
    # Each neighbour is pulled up by one difference, the peak down by four: √(4² + 4 · 1²) = √20, in three colours.
    change = (found.images[0] - start)[5:8, 5:8, 0] * np.sqrt(60) / 0.1
    np.testing.assert_allclose(change, [[0, 1, 0], [1, -4, 1], [0, 1, 0]], atol=1e-4)
    assert not found.responds.any()


def test_jitter_moves_the_picture_and_back():
    """A border of 2 that wanders: every shift leaves its own frame out, as NumPy's numbers say."""
    options = {"steps": 3, "step_size": 8.0, "size": (12, 12), "init": np.zeros((12, 12, 3)), "seed": 5}
    found = Engine(linear()).filter_patterns("conv", [2], jitter=2, **options)
    frame = np.zeros((12, 12))
    frame[2:-2, 2:-2] = 1
    shifts = np.random.default_rng([5, 1]).integers(-2, 3, (3, 2))
    expected = sum(np.roll(frame, -shift, axis=(0, 1)) for shift in shifts)
    assert len({tuple(shift) for shift in shifts}) > 1
    np.testing.assert_allclose(found.images[0, :, :, 0], expected, atol=1e-5)


def test_a_pooled_layer_has_no_border():
    picture = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D(name="pool")(picture)
    found = Engine(keras.Model(picture, x)).filter_patterns("pool", [1], steps=2, size=(4, 6), init=np.zeros((4, 6, 3)))
    np.testing.assert_allclose(found.images[0, :, :, 1], 20 / np.sqrt(24), rtol=1e-5)
    assert not found.images[0, :, :, [0, 2]].any()


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
    model.get_layer("conv").set_weights([np.concatenate([KERNEL[:, :2], -KERNEL[:, :1]], axis=1)[None, None]])
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


# The network up to the layer, for any size


def test_nothing_after_the_layer_is_computed(monkeypatch):
    picture = keras.Input((12, 12, 3))
    x = layers.Conv2D(2, 3, name="conv")(picture)
    x = Failing(name="failing")(x)
    model = networks.assign_weights(keras.Model(picture, layers.Dense(2)(layers.Flatten()(x))))
    engine = Engine(model)
    assert engine.layers[1].path == "failing"  # recorded while it works
    monkeypatch.setattr(Failing, "remaining", 0)
    found = engine.filter_patterns("conv", steps=2, size=(20, 16))
    assert found.images.shape == (2, 20, 16, 3)
    assert Failing.remaining == 0
    with pytest.raises(
        ValueError, match=r"'failing' can't be computed for pictures of size \(20, 16\): .*the layer broke"
    ):
        engine.filter_patterns("failing", steps=2, size=(20, 16))


def test_the_call_is_left_at_the_last_of_several_layers():
    model = networks.build("sequential")
    engine = Engine(model)
    wanted = [engine.layer("conv1"), engine.layer("pool1")]
    later = engine.layer("conv2")
    seen = []
    shapes = []

    def run(pictures):
        with tracing.observed([later], lambda layer, output: seen.append(layer) or output):
            outputs = tracing.outputs_until(wanted, lambda: model(pictures, training=False))
        shapes.extend(tuple(output.shape) for output in outputs)

    engine._network.backend.abstract(run, model, [((2, 8, 8, 3), "float32")])
    assert shapes == [(2, 6, 6, 4), (2, 3, 3, 4)]
    assert seen == []


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("nested", "conv2"),
        ("nested_sequential", "conv2"),
        ("sequential", "conv2"),
        ("shared", "twice"),
        ("shared", "twice#1"),
        ("bare_operations", "Add"),
        ("composite", "inner"),
        ("squeeze_and_excite", "scaled"),
        ("subclassed", "block"),
        ("subclassed_plain", "dropout"),
        ("regularized", "relu"),
        ("flat", "pool1"),
    ],
)
def test_any_model_at_a_size_it_was_not_built_with(name, layer):
    model = networks.build(name)
    model.trainable = name not in {"nested", "shared"}
    engine, before = Engine(model), snapshot(model)
    if layer == "Add":  # a bare operation, which a process numbers
        layer = next(one.path for one in engine.layers if one.type == layer)
    found = engine.filter_patterns(layer, steps=3, size=(17, 14))
    assert found.images.shape[1:] == (17, 14, 3)
    assert found.layer == engine.layer(layer).path
    assert np.isfinite(found.losses).all()
    assert found.responds.any()
    after = snapshot(model)
    assert {key: after[key] for key in after if after[key] != before[key]} == {}
    assert not any({"call", "_assert_input_compatibility"} & set(one.__dict__) for one in operations_of(model))


def test_a_size_the_network_can_not_take_is_an_error_and_leaves_the_model_alone():
    model = networks.build("flat")
    before = snapshot(model)
    with pytest.raises(ValueError, match=r"'hidden' can't be computed for pictures of size \(20, 20\)"):
        Engine(model).filter_patterns("hidden", size=(20, 20))
    assert snapshot(model) == before
    assert Engine(model).filter_patterns("hidden", [0], steps=1, size=(8, 8)).images.shape == (1, 8, 8, 3)


def test_too_small_a_size_is_an_error():
    with pytest.raises(ValueError, match=r"'conv1' can't be computed for pictures of size \(2, 2\)"):
        Engine(networks.build("functional")).filter_patterns("conv1", size=(2, 2))


def test_channels_first_climbs_alike():
    found = {}
    for order, shape in (("channels_first", (3, 8, 8)), ("channels_last", (8, 8, 3))):
        keras.config.set_image_data_format(order)
        try:
            picture = keras.Input(shape)
            model = keras.Model(picture, layers.Conv2D(4, 3, name="conv1")(picture))
            found[order] = Engine(networks.assign_weights(model)).filter_patterns("conv1", steps=2, size=(14, 11))
        finally:
            keras.config.set_image_data_format("channels_last")
    first, last = found.values()
    assert first.images.shape == (4, 14, 11, 3)
    np.testing.assert_allclose(first.images, last.images, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_climbs_in_float32(policy, engine):
    with networks.dtype_policy(policy):
        half = Engine(networks.separable())
    start = noise(2)
    found = half.filter_patterns(LAYER, [0, 1], steps=1, size=SIZE, init=start)
    whole = engine.filter_patterns(LAYER, [0, 1], steps=1, size=SIZE, init=start)
    assert found.images.dtype == found.losses.dtype == np.float32
    for one, other in zip(found.images - start, whole.images - start, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] >= 0.95
    # A mean near zero is a difference of large numbers, so the largest one is the measure.
    np.testing.assert_allclose(found.losses, whole.losses, rtol=0, atol=0.02 * np.abs(whole.losses).max())


@pytest.mark.parametrize("layer", [LAYER, "conv1_act"])
def test_the_default_precision_of_keras_changes_nothing(layer, trunk):
    """A keras.json may set it; a model in float32 climbs in float32 all the same."""
    found = {}
    for precision in ("float32", "float16"):
        keras.config.set_floatx(precision)
        try:
            found[precision] = Engine(trunk).filter_patterns(layer, [0, 1], steps=3, size=SIZE, l2=0.1, jitter=2)
        finally:
            keras.config.set_floatx("float32")
    # Nearly: how many climb together is measured, and rounding depends on it.
    np.testing.assert_allclose(found["float16"].images, found["float32"].images, atol=1e-4)


# Repeatable, whatever climbs together


def test_the_seed_says_it_all(trunk, engine):
    one = engine.filter_patterns(LAYER, [2, 5], steps=3, size=SIZE, seed=4)
    again = Engine(trunk, seed=4).filter_patterns(LAYER, [2, 5], steps=3, size=SIZE)
    other = engine.filter_patterns(LAYER, [2, 5], steps=3, size=SIZE, seed=5)
    np.testing.assert_allclose(one.images, again.images, atol=1e-4)
    assert not np.allclose(one.images, other.images, atol=0.01)
    assert not np.allclose(one.images[0], one.images[1], atol=0.01)


def test_each_filter_has_a_start_of_its_own_whichever_others_are_asked_for():
    engine, options = Engine(linear()), {"steps": 1, "step_size": 1e-6, "size": (12, 12)}
    both, alone = engine.filter_patterns("conv", [0, 2], **options), engine.filter_patterns("conv", [2], **options)
    np.testing.assert_allclose(alone.images[0], both.images[1], atol=1e-6)
    assert np.abs(both.images[0] - both.images[1]).mean() > 0.05


def test_chunks_give_what_filters_give_alone(trunk, engine):
    options = {"steps": 4, "size": SIZE, "jitter": 3, "parametrization": "fourier"}
    together = engine.filter_patterns(LAYER, **options)
    assert together.filters.tolist() == list(range(10))
    chunked = Engine(trunk, batch_size=4).filter_patterns(LAYER, **options)
    alone = engine.filter_patterns(LAYER, 7, **options)
    np.testing.assert_allclose(chunked.images, together.images, atol=2e-3)
    np.testing.assert_allclose(alone.images[0], together.images[7], atol=2e-3)
    np.testing.assert_allclose(chunked.losses, together.losses, rtol=1e-3, atol=1e-4)


def test_one_start_for_all_filters(engine):
    start = noise(1)[0]
    one = engine.filter_patterns(LAYER, [3, 3], steps=1, size=SIZE, init=start)
    np.testing.assert_allclose(one.images[0], one.images[1], atol=1e-6)
    each = engine.filter_patterns(LAYER, [3, 3], steps=1, size=SIZE, init=np.stack([start, start]))
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
    model.get_layer("conv").set_weights([np.roll(KERNEL, 1, axis=0)[None, None]])
    found = engine.filter_patterns("conv", [2], **options)
    np.testing.assert_allclose(found.images[0, 6, 6], [0, 10 / 8, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("seconds", "largest", "expected"),
    [
        ({8: 8, 4: 3, 2: 1.4, 1: 1}, 64, 2),
        ({8: 8, 4: 4, 16: 12, 32: 30}, 64, 16),
        ({8: 8, 4: 5, 16: 10}, 16, 16),
        ({8: 8, 4: 8, 16: 16}, 64, 8),
    ],
)
def test_the_fastest_chunk_is_found_by_halving_and_doubling(monkeypatch, seconds, largest, expected):
    """What a step of a chunk takes, by its size; for 64 filters."""
    rows = []
    monkeypatch.setattr(patterns, "_seconds", lambda run: seconds[len(run() or rows[-1])])
    found = patterns._measured(8, largest, 64, 10**9, lambda chunk, steps: rows.append(chunk))
    assert found == expected


# Waves


def test_the_common_start_is_the_first_filters_own(engine):
    start = engine.pattern_start(SIZE, seed=5)
    assert (start.shape, start.dtype) == ((*SIZE, 3), np.float32)
    assert 0.4 <= start.min() < start.max() <= 0.6
    own, given = (engine.filter_patterns(LAYER, 0, steps=1, size=SIZE, seed=5, init=init) for init in (None, start))
    np.testing.assert_array_equal(own.images, given.images)
    wide = engine.pattern_start(SIZE, input_range=(-1, 1), seed=5)
    np.testing.assert_allclose(wide, 2 * start - 1, atol=1e-6)


def test_a_filters_activations_are_the_layers_without_the_border(engine):
    pictures = noise(3)
    whole = engine.activations(pictures, [LAYER])[LAYER][:, 2:-2, 2:-2, 7]
    np.testing.assert_allclose(
        engine.filter_activations(LAYER, 7, pictures), whole.reshape(3, -1), rtol=1e-4, atol=1e-6
    )


def test_a_filters_mean_activation_on_its_pattern_is_what_the_ascent_came_to(engine):
    found = engine.filter_patterns(LAYER, [3], steps=4, size=SIZE)
    means = engine.filter_activations(LAYER, 3, found.images).mean(axis=1)
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
def test_activations_of_no_filter_or_no_pictures_are_errors(engine, index, pictures, message):
    with pytest.raises(ValueError, match=message):
        engine.filter_activations(LAYER, index, pictures)


def test_activations_that_are_not_finite_are_an_error(engine):
    with pytest.raises(NonFiniteError, match=f"The filter 0 of the layer '{LAYER}' gives NaN or infinity"):
        engine.filter_activations(LAYER, 0, np.full((1, *SIZE, 3), np.nan))


@pytest.mark.parametrize("side", [1, 2, 7, 8])
def test_waves_are_orthonormal(side):
    waves = patterns._waves(side)
    np.testing.assert_allclose(waves @ waves.T, np.eye(side), atol=1e-12)


def test_waves_by_rising_frequency():
    np.testing.assert_allclose(patterns._frequencies(6) * 6, [0, 1, 1, 2, 2, 3])
    spectrum = np.abs(np.fft.fft(patterns._waves(6), axis=0))
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


def test_a_step_in_waves_is_the_gradient_through_them(trunk, engine):
    """z += 10 · ∇/‖∇‖ with pictures = ½ + basis · (gains ∘ z) · basisᵀ, the matrices written out as one."""
    start = noise(1)
    ours = engine.filter_patterns(LAYER, [4], steps=1, size=SIZE, init=start, parametrization="fourier")
    extractor = keras.Model(trunk.input, trunk.get_layer(LAYER).output)
    gradient = networks.gradient(lambda x: ops.mean(extractor(x, training=False)[:, 2:-2, 2:-2, 4]), start)[0]
    frequency = (np.arange(40) + 1) // 2 / 40
    gains = 1 / np.sqrt(np.maximum(np.hypot(frequency[:, None], frequency), 1 / 40))
    gains /= np.sqrt((gains**2).mean())
    colours = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    colours /= np.sqrt((colours**2).sum() / 3)
    waves = patterns._waves(40)
    through = np.einsum("hk,hwc,wl,cd->kld", waves, gradient, waves, colours) * gains[..., None]
    step = 10 * through / np.linalg.norm(through)
    change = np.einsum("hk,kld,wl,cd->hwc", waves, step * gains[..., None], waves, colours)
    np.testing.assert_allclose(ours.images[0] - start[0], change, atol=1e-3 * np.abs(change).max())


def test_waves_make_smoother_pictures(engine):
    """What the mean square of the pixels holds in differences of neighbours, for the same filter."""

    def roughness(parametrization):
        image = engine.filter_patterns(LAYER, [1], size=SIZE, parametrization=parametrization).images[0]
        return np.square(np.diff(image, axis=0)).mean() / image.var()

    assert roughness("fourier") < 0.75 * roughness("pixels")


# To look at


def found(images, losses=None, layer="conv"):
    images = np.asarray(images, np.float32)
    losses = np.tile(np.arange(2), (len(images), 1)) if losses is None else losses
    return FilterPatterns(images, np.asarray(losses, np.float32), np.arange(len(images)), layer)


def test_deprocessing_by_hand():
    """Mean 3, standard deviation 2, two of eight pixels beyond 2 deviations after the second picture's scaling."""
    image = np.array([[1, 5], [1, 5]], np.float32)[..., None]
    assert found([image]).pictures(crop=0)[0, ..., 0].tolist() == [[64, 192], [64, 192]]
    outlier = np.zeros((1, 10, 1), np.float32)
    outlier[0, 0] = 10  # mean 1, deviation 3
    assert found([outlier]).pictures(crop=0)[0, 0, :, 0].tolist() == [255] + [106] * 9


def test_the_whole_picture_is_standardised_before_it_is_cropped():
    image = np.zeros((6, 6, 1), np.float32)
    image[1:-1, 1:-1] = 1  # mean 16/36, deviation √(20 · 16)/36
    pictures = found([image]).pictures(crop=1)
    assert pictures.shape == (1, 4, 4, 1)
    assert pictures.dtype == np.uint8
    assert set(pictures.ravel()) == {int(128 + 64 * 20 / np.sqrt(320))}


@pytest.mark.parametrize("value", [0.0, 0.1, 255.0])
def test_a_constant_picture_is_grey(value):
    assert set(found(np.full((1, 9, 9, 3), value)).pictures(crop=2).ravel()) == {128}


@pytest.mark.parametrize("crop", [5, 100, -1, 1.5, True])
def test_a_crop_that_leaves_nothing_is_an_error(crop):
    with pytest.raises(ValueError, match=r"crop is .* from 0 to 4 .* 10 × 12 pixels"):
        found(np.zeros((1, 10, 12, 3))).pictures(crop=crop)


def test_the_chapters_grid():
    images = np.random.default_rng(0).uniform(0, 1, (64, 200, 200, 3))
    grid = found(images).grid()
    assert grid.shape == (1235, 1235, 3)
    pictures = found(images).pictures()
    np.testing.assert_array_equal(grid[155:305, 310:460], pictures[10])
    assert not grid[150:155].any()


def test_a_grid_with_an_unfinished_row():
    images = np.random.default_rng(0).uniform(0, 1, (5, 10, 12, 3))
    grid = found(images).grid(columns=3, margin=2, crop=1)
    assert grid.shape == (2 * 8 + 2, 3 * 10 + 4, 3)
    assert not grid[10:, 24:].any()
    with pytest.raises(ValueError, match="columns is 0"):
        found(images).grid(columns=0)


# Bad input


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
def test_bad_options_are_named(engine, options, message):
    with pytest.raises(ValueError, match=message):
        engine.filter_patterns(LAYER, **{"filters": [0, 1], "size": SIZE, **options})


def test_a_filter_is_an_index(engine):
    for wrong in ("first", True, 1.0):
        with pytest.raises(TypeError, match=f"A filter is named by its index, an int, not {wrong!r}"):
            engine.filter_patterns(LAYER, [wrong], size=SIZE)


def test_an_unknown_layer_is_an_error(engine):
    with pytest.raises(ValueError, match="no layer 'sepconv9'; nearest: 'sepconv"):
        engine.filter_patterns("sepconv9")


def test_an_overflow_names_the_filter():
    model = linear(lambda x: ops.exp(20 * x))
    with pytest.raises(
        NonFiniteError, match=r"ascent of filter 2 of the layer 'conv' ran into NaN or infinity before step"
    ):
        Engine(model).filter_patterns("conv", [2], size=(12, 12), normalize="pixel")


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="only on JAX the filters are shared out to threads")
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not bind processes to processors")
@pytest.mark.parametrize("processors", [1, 2])
def test_as_many_threads_as_the_process_has_processors(processors, engine, monkeypatch):
    from pytest_cnnaudit.engine.models.keras.backends import jax

    started = []
    pool = jax.ThreadPoolExecutor
    monkeypatch.setattr(jax, "ThreadPoolExecutor", lambda threads: started.append(threads) or pool(threads))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    Engine(engine.model, batch_size=4).filter_patterns(LAYER, [0, 1, 2, 3], steps=1, size=SIZE)
    assert set(started) == {processors}
