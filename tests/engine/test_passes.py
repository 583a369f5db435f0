"""A pass: its union, and that what comes from one is what separate ones would give."""

import keras
import networks
import numpy as np
import pytest
from toy import Toy

from pytest_cnnaudit.engine.models.keras.model import KerasModel
from pytest_cnnaudit.engine.passes import INPUT, NOTHING, Pass, class_evidence, finiteness, sparsity, united

ONE = Pass(layers=("a", "b"), gradients=("c",), finite=("a",), score="probability", logits=False)
OTHER = Pass(layers=("b", "d"), reductions=("a",))


class TestUnion:
    def test_each_layer_once_in_order(self):
        both = Pass(("a", "b", "d"), ("c",), ("a",), ("a",), "probability", logits=True)
        assert both == ONE | OTHER
        assert Pass(("b", "d", "a"), ("c",), ("a",), ("a",), "probability", logits=True) == OTHER | ONE

    def test_with_itself_or_with_nothing_it_is_the_same(self):
        assert ONE | ONE == ONE == ONE | NOTHING == NOTHING | ONE
        assert united([]) == NOTHING
        assert united([ONE, OTHER]) == ONE | OTHER

    def test_two_scores_are_an_error_where_both_are_differentiated(self):
        with pytest.raises(ValueError, match="one score, not both 'probability' and 'logit'"):
            _ = ONE | Pass(gradients=("a",))

    def test_nothing_is_wanted_of_nothing_alone(self):
        assert not NOTHING
        assert all([ONE, OTHER, Pass(), Pass(finite=("a",), logits=False)])


def test_what_assertions_want():
    model = Toy()
    assert class_evidence(model) == Pass(gradients=("relu",))
    assert sparsity(model) == Pass(reductions=("relu",), logits=False)
    assert finiteness(model) == Pass(finite=("color", "relu", "mean", "logits"), logits=False)


def test_a_model_without_a_grid_gives_its_logits():
    image = keras.Input((4, 4, 3))
    model = KerasModel(keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(image))))
    assert class_evidence(model) == Pass()


IMAGES = networks.pictures(3)
TARGETS = np.array([0, -1, 1], np.int32)
PARTS = {
    "logits": Pass(),
    "layers": Pass(layers=("conv1", "pool1"), logits=False),
    "gradients": Pass(gradients=("conv2", "conv1"), score="probability"),
    "input": Pass(gradients=(INPUT,), score="probability", logits=False),
    "reductions": Pass(reductions=("conv1", "conv2"), logits=False),
    "finite": Pass(finite=("conv1", "conv2", "pool1"), logits=False),
}


@pytest.fixture(scope="module")
def model():
    return KerasModel(networks.build("functional"))


@pytest.fixture(scope="module")
def together(model):
    return model.compute(united(PARTS.values()), (IMAGES,), TARGETS)


@pytest.mark.parametrize("name", PARTS)
def test_one_pass_gives_what_separate_ones_do(model, together, name):
    alone = model.compute(PARTS[name], (IMAGES,), TARGETS)
    assert (alone.logits is not None) == PARTS[name].logits
    if alone.logits is not None:
        np.testing.assert_allclose(together.logits, alone.logits, rtol=1e-5, atol=1e-6)
    for kind in ("layers", "gradients", "finite"):
        for path, array in getattr(alone, kind).items():
            np.testing.assert_allclose(getattr(together, kind)[path], array, rtol=1e-4, atol=1e-7, err_msg=path)
    for path, (array, positions) in alone.reductions.items():
        np.testing.assert_allclose(together.reductions[path][0], array, rtol=1e-5, atol=1e-6, err_msg=path)
        assert together.reductions[path][1] == positions
    wanted = PARTS[name]
    assert set(alone.layers) == {*wanted.layers, *wanted.gradients} - {INPUT}
    assert (set(alone.gradients), set(alone.reductions)) == (set(wanted.gradients), set(wanted.reductions))
    assert set(alone.finite) == set(wanted.finite)


def test_shapes_are_channels_last(together):
    assert together.gradients[INPUT].shape == IMAGES.shape
    for path in ("conv1", "conv2"):
        assert together.layers[path].shape == together.gradients[path].shape
        assert together.reductions[path][0].shape == (6, 3, together.layers[path].shape[-1])
        assert together.reductions[path][1] == np.prod(together.layers[path].shape[1:3])


def test_the_same_pass_over_the_same_shapes_is_compiled_once(model):
    before = len(model._compiled)
    for scale in (1, 2):
        model.compute(PARTS["reductions"] | PARTS["finite"], (IMAGES * scale,))
    assert len(model._compiled) <= before + 1


def test_without_logits_nothing_after_the_last_layer_is_called(rows):
    image = keras.Input((4, 4, 3))
    features = keras.layers.Conv2D(2, 1, name="features")(image)
    pooled = keras.layers.GlobalAveragePooling2D()(networks.Listening(name="later")(features))
    model = KerasModel(keras.Model(image, keras.layers.Dense(2)(pooled)))
    _ = model.layers
    rows.clear()
    images = networks.pictures(2, 4, 4)
    model.compute(Pass(layers=("features",), reductions=("features",), logits=False), (images,))
    assert "later" not in rows
    model.compute(Pass(layers=("features",)), (images,))
    assert "later" in rows
