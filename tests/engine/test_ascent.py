"""The ascent of filter patterns: closed forms, chunks, and the network up to the layer and no further."""

import keras
import networks
import numpy as np
import pytest
from keras import layers
from networks import KERNEL_OF_COLORS, linear
from test_engine import Failing, operations_of, snapshot

from pytest_cnnaudit import Engine
from pytest_cnnaudit.engine import ascent
from pytest_cnnaudit.engine.models.keras import tracing
from pytest_cnnaudit.engine.models.keras.layers import is_affine

LAYER, SIZE = "sepconv3", (40, 40)


def noise(count, seed=3):
    return networks.pictures(count, *SIZE, seed=seed, low=0.4, high=0.6)


# Closed forms: a 1 × 1 convolution without an activation has the same gradient everywhere


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
    assert is_affine(engine.layer("affine"))
    assert not is_affine(engine.layer("after"))
    np.testing.assert_allclose(affine.images, other.images, atol=1e-4)
    np.testing.assert_allclose(affine.losses, other.losses, rtol=1e-4, atol=1e-6)


def test_an_affine_layer_called_twice_is_climbed_at_its_call():
    picture = keras.Input((12, 12, 3))
    shared = layers.Conv2D(3, 1, name="shared", use_bias=False)
    model = keras.Model(picture, shared(layers.ReLU()(shared(picture))))
    shared.set_weights([KERNEL_OF_COLORS[None, None]])
    options = {"steps": 1, "step_size": 8.0, "size": (12, 12), "init": np.ones((12, 12, 3))}
    first, second = (Engine(model).filter_patterns(path, [0], **options) for path in ("shared#1", "shared"))
    np.testing.assert_allclose(first.images[0, 6, 6] - 1, [0.6, 0.8, 0], rtol=1e-5)
    # 3 · (3, 4, 0) + 4 · 0 from the first and the second filter, in proportion.
    np.testing.assert_allclose(second.images[0, 6, 6] - 1, [0.6, 0.8, 0], rtol=1e-5)
    np.testing.assert_allclose([first.losses[0, 0], second.losses[0, 0]], [7, 21])


@pytest.mark.parametrize("options", [{"activation": "relu"}, {"dtype": "mixed_float16"}])
def test_what_is_not_affine_in_float32_is_not_taken_for_it(options):
    engine = Engine(linear(**options))
    assert not is_affine(engine.layer("conv"))


def test_pixel_normalisation_gives_every_pixel_a_whole_step():
    engine = Engine(linear())
    found = engine.filter_patterns("conv", [0], steps=3, size=(12, 12), normalize="pixel", init=np.zeros((12, 12, 3)))
    expected = np.zeros((12, 12, 3))
    expected[2:-2, 2:-2] = np.array([0.6, 0.8, 0.0]) * 30
    np.testing.assert_allclose(found.images[0], expected, rtol=1e-5)


@pytest.mark.one_backend
@pytest.mark.parametrize(("side", "inner"), [(1, [0]), (2, [0, 1]), (3, [1]), (4, [1, 2]), (5, [2]), (6, [2, 3])])
def test_a_small_grid_keeps_its_middle(side, inner):
    weights = ascent.cell_weights((side, 12)).reshape(side, 12)
    assert np.flatnonzero(weights[:, 5]).tolist() == inner
    assert np.flatnonzero(weights[inner[0]]).tolist() == list(range(2, 10))
    np.testing.assert_allclose(weights[weights > 0], 1 / (8 * len(inner)), rtol=1e-6)


def test_a_small_grid_is_climbed_in_its_middle():
    found = Engine(linear()).filter_patterns("conv", [2], steps=1, size=(4, 12), init=np.zeros((4, 12, 3)))
    assert np.flatnonzero(found.images[0, :, 5, 0]).tolist() == [1, 2]


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

    engine._model.backend.abstract(run, model, [((2, 8, 8, 3), "float32")])
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
def test_half_precision_climbs_in_float32(policy, trunk_engine):
    with networks.dtype_policy(policy):
        half = Engine(networks.separable())
    start = noise(2)
    found = half.filter_patterns(LAYER, [0, 1], steps=1, size=SIZE, init=start)
    whole = trunk_engine.filter_patterns(LAYER, [0, 1], steps=1, size=SIZE, init=start)
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
    # To the last digit but one: TensorFlow's threads add up in any order. Half precision has three digits.
    np.testing.assert_allclose(found["float16"].images, found["float32"].images, rtol=0, atol=2e-6)


# Chunks


@pytest.mark.one_backend
def test_every_filter_climbs_once_in_chunks_that_are_filled_up():
    """A climber of plain NumPy adds the filter's index to its start; the last of three chunks has two rows of four."""
    asked = []

    def climb(steps, start, losses, shifts, filters):
        asked.append((int(steps), filters.tolist(), shifts.shape))
        return start + filters[:, None, None, None], losses + filters[:, None]

    climber = ascent.Climber(climb, channels=11, bytes=1)
    rules = ascent.Ascent("layer", (2, 3, 1), (0.0, 1.0), steps=5)
    filters, starts = np.arange(10) + 1, np.zeros((10, 2, 3, 1), np.float32)
    images, losses = ascent.ascend(climber, rules, filters, starts, seed=0, batch_size=4)
    assert [one[1] for one in asked] == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 10, 10]]
    assert {(steps, shape) for steps, _, shape in asked} == {(5, (4, 5, 2))}
    assert images[:, 1, 2, 0].tolist() == filters.tolist()
    assert losses.tolist() == [[index] * 6 for index in filters]
    assert climber.fastest == {}


@pytest.mark.one_backend
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
    monkeypatch.setattr(ascent, "shortest_seconds", lambda run: seconds[len(run() or rows[-1])])
    found = ascent.fastest_chunk(8, largest, 64, 10**9, lambda chunk, steps: rows.append(chunk))
    assert found == expected
