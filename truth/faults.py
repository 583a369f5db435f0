"""Models with exactly one thing wrong, planted into the honest model of fixtures/ where an edit can do it.

Most edits leave the function as it was, so that nothing but the fault can be noticed: a layer is widened by further
filters (Chen 2016, arXiv:1511.05641), whose outputs the next layer does not use, or uses in place of others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
sys.path.insert(0, str(FIXTURES))

from shipped import CLASS_NAMES  # noqa: E402 - fixtures/
from training import FILTERS, network  # noqa: E402

if TYPE_CHECKING:
    import keras

    from pytest_cnnaudit import Engine

FAR_BELOW_ZERO, FAR_ABOVE_ZERO = -1e3, 1e2
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and the assertions that must notice it.

    Where it is the `same_function`, the model's outputs are those of the honest one, wherever they are finite.
    """

    name: str
    engine: Callable[[], Engine]
    caught_by: tuple[str, ...]
    same_function: bool = False


def honest() -> keras.Model:
    """The shipped model, read anew, to be edited."""
    import keras

    return keras.models.load_model(FIXTURES / "honest.keras")


def engine_of(model: keras.Model) -> Engine:
    """The engine as the suites use it."""
    from pytest_cnnaudit import Engine

    return Engine(model, class_names=CLASS_NAMES)


def widened(model: keras.Model, depth: int, sources: Sequence[int], share: float) -> keras.Model:
    """The same function with copies of the filters `sources` of convolution `depth`, counted from 1.

    The next convolution takes `share` of its weights for each source from the copy and the rest from the source.
    """
    filters = [model.get_layer(f"conv{number}").filters for number in range(1, len(FILTERS) + 1)]
    filters[depth - 1] += len(sources)
    wide = network(filters)
    for layer in model.layers:
        weights = layer.get_weights()
        if layer.name in (f"conv{depth}", f"norm{depth}"):
            weights = [np.concatenate([values, values[..., sources]], axis=-1) for values in weights]
        elif layer.name == f"conv{depth + 1}":
            (kernel,) = weights
            copies = kernel[:, :, sources] * share
            kernel[:, :, sources] -= copies
            weights = [np.concatenate([kernel, copies], axis=2)]
        wide.get_layer(layer.name).set_weights(weights)
    return wide


def with_last_convolution_on(
    features: Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor],
) -> keras.Model:
    """The last convolution reads `features` of what it used to read and of the rescaled picture.

    Channels that are appended there are handed on by as many further filters, which raise all logits alike.
    """
    import keras

    model = honest()
    x = features(model.get_layer("relu5").output, model.get_layer("rescaling").output)
    further = x.shape[-1] - FILTERS[-2]
    fills = {"conv6": (0,), "norm6": (1, 0, 0, 1), "classes": (1, 0)}
    for name in ("conv6", "norm6", "relu6", "pool", "classes"):
        layer = model.get_layer(name)
        config = layer.get_config()
        if name == "conv6":
            config["filters"] += further
        copy = type(layer).from_config(config)
        x = copy(x)
        weights = [
            np.pad(old, [(0, size - was) for size, was in zip(new.shape, old.shape, strict=True)], constant_values=fill)
            for old, new, fill in zip(layer.get_weights(), copy.get_weights(), fills.get(name, ()), strict=True)
        ]
        if name == "conv6":
            weights[0][..., FILTERS[-2] :, FILTERS[-1] :] = np.eye(further)
        copy.set_weights(weights)
    return keras.Model(model.input, x)


def scale_kernels(model: keras.Model, depth: int, filters: slice, factor: float) -> None:
    """Multiply the kernels of some filters of a convolution."""
    convolution = model.get_layer(f"conv{depth}")
    (kernel,) = convolution.get_weights()
    kernel[..., filters] *= factor
    convolution.set_weights([kernel])


def set_norm(model: keras.Model, depth: int, filters: slice, **values: float) -> None:
    """Give filters of a normalisation other weights, by their names in Keras."""
    import keras

    for name, value in values.items():
        weights = getattr(model.get_layer(f"norm{depth}"), name)
        array = np.array(keras.ops.convert_to_numpy(weights))
        array[filters] = value
        weights.assign(array)


def dead_layer() -> Engine:
    """No filter of the fifth layer ever fires, so that all pictures look the same to what follows."""
    model = honest()
    set_norm(model, 5, slice(None), beta=FAR_BELOW_ZERO)
    return engine_of(model)


def dead_filters() -> Engine:
    """The fifth layer has sixteen more filters that never fire, no kernel twice. The function is the same."""
    model = widened(honest(), 5, range(16), share=0)
    scale_kernels(model, 5, slice(-16, None), -1)
    set_norm(model, 5, slice(-16, None), beta=FAR_BELOW_ZERO)
    return engine_of(model)


def duplicated_filters() -> Engine:
    """The fourth layer has its first sixteen filters twice, each with half of the weight. The function is the same."""
    return engine_of(widened(honest(), 4, range(16), share=0.5))


def filters_never_silent() -> Engine:
    """The fourth and the fifth layer have as many filters again, shifted until their ReLU lets all through.

    The next layers do not use them: the function is the same.
    """
    model = honest()
    for depth in (4, 5):
        count = FILTERS[depth - 1]
        model = widened(model, depth, range(count), share=0)
        scale_kernels(model, depth, slice(count, None), -1)
        set_norm(model, depth, slice(count, None), beta=FAR_ABOVE_ZERO)
    return engine_of(model)


PRUNED = 0, 1, 2, 3  # channels of the third layer, each the only one that a pruned filter still reads


def pruned_filters() -> Engine:
    """The fourth layer has further filters with one weight left, below zero: inputs can but silence them.

    The next layer does not use them: the function is the same.
    """
    model = widened(honest(), 4, PRUNED, share=0)
    further = slice(-len(PRUNED), None)
    convolution = model.get_layer("conv4")
    (kernel,) = convolution.get_weights()
    kernel[..., further] = 0
    kernel[1, 1, PRUNED, further] = -np.eye(len(PRUNED))
    convolution.set_weights([kernel])
    set_norm(model, 4, further, gamma=1, beta=1, moving_mean=0, moving_variance=1)
    return engine_of(model)


COMMON = 10.0  # how much larger than what tells the classes apart


def logits_with_a_common_part() -> Engine:
    """All logits get the same sum of features, which softmax takes out again. The function is the same."""
    model = honest()
    head = model.get_layer("classes")
    kernel, bias = head.get_weights()
    head.set_weights([kernel + COMMON * np.maximum(kernel, 0).sum(axis=1, keepdims=True), bias])
    return engine_of(model)


SHIFT = 4  # cells


def shifted_features() -> Engine:
    """Before the last convolution all features move to the right, and round. The function is the same."""
    from keras import layers

    def shifted(features: keras.KerasTensor, _: keras.KerasTensor) -> keras.KerasTensor:
        stay = features.shape[2] - SHIFT
        parts = [layers.Cropping2D((0, cut))(features) for cut in ((stay, 0), (0, SHIFT))]
        return layers.Concatenate(axis=2, name="shifted")(parts)

    return engine_of(with_last_convolution_on(shifted))


STEEP, LOUD = 1e4, 1e3  # the step from darker to brighter, and how much larger it is than other features


def pixels_in_the_last_convolution() -> Engine:
    """The last convolution also sees which of two neighbouring pixels is brighter, and adds it to all logits alike.

    Softmax takes it out again: the function is the same.
    """
    from keras import layers

    def with_pixels(features: keras.KerasTensor, picture: keras.KerasTensor) -> keras.KerasTensor:
        brighter = layers.Conv2D(1, (1, 2), 8, "same", activation="hard_sigmoid", use_bias=False, name="brighter")
        pixels = layers.Rescaling(LOUD, name="louder")(brighter(picture))
        brighter.set_weights([np.broadcast_to(np.array([-STEEP, STEEP])[:, None, None], (1, 2, 3, 1))])
        return layers.Concatenate(name="with_pixels")([features, pixels])

    return engine_of(with_last_convolution_on(with_pixels))


EXPLODING = 0, 3.5  # a filter of the third convolution, and the output at which its copy leaves float32


def exploding_activations() -> Engine:
    """A filter, unused by the next layer, that leaves float32 on some pictures. On others the function is the same."""
    source, largest = EXPLODING
    model = widened(honest(), 3, [source], share=0)
    scale_kernels(model, 3, slice(-1, None), LARGEST / largest)
    set_norm(model, 3, slice(-1, None), gamma=1, beta=0, moving_mean=0, moving_variance=1)
    return engine_of(model)


def constant_classifier() -> Engine:
    """The head gives the same logits whatever comes in."""
    model = honest()
    model.get_layer("classes").set_weights([np.zeros((FILTERS[-1], 3), np.float32), np.eye(3, dtype=np.float32)[0]])
    return engine_of(model)


def swapped_labels() -> Engine:
    """Cat and coffee cup have changed places in the head."""
    model = honest()
    head = model.get_layer("classes")
    head.set_weights([weights[..., [1, 0, 2]] for weights in head.get_weights()])
    return engine_of(model)


def wrong_preprocessing() -> Engine:
    """Pictures are divided by 255 before the model, which does its own rescaling."""
    from pytest_cnnaudit import Engine, Preprocessing

    return Engine(honest(), class_names=CLASS_NAMES, preprocessing=Preprocessing(scale=lambda pixels: pixels / 255))


def head_beside_the_last_convolution() -> Engine:
    """The head takes everything from a twin of the last two layers. The function is the same."""
    import keras
    from keras import layers

    model = honest()
    twin = model.get_layer("relu4").output
    for name in ("conv5", "norm5", "relu5", "conv6", "norm6", "relu6"):
        layer = model.get_layer(name)
        copy = type(layer).from_config(layer.get_config() | {"name": f"{name}_twin"})
        twin = copy(twin)
        copy.set_weights(layer.get_weights())
    twin = layers.Flatten(name="flat_twin")(layers.AveragePooling2D(twin.shape[1], name="pool_twin")(twin))
    both = layers.Concatenate(name="features")([model.get_layer("pool").output, twin])
    head = layers.Dense(3, activation="softmax", name="head")
    beside = keras.Model(model.input, head(both))
    kernel, bias = model.get_layer("classes").get_weights()
    head.set_weights([np.concatenate([np.zeros_like(kernel), kernel]), bias])
    return engine_of(beside)


TRAINED = {
    "stamp": ("mass_inside", "avoids", "object_matters", "object_suffices", "ignores_patch"),
    "background": ("mass_inside", "object_matters", "object_suffices", "ignores_background"),
}
"""Faults that come from training, and the assertions that must notice them."""

PLANTED = (
    Fault("dead layer", dead_layer, ("no_dead_filters", "mass_inside", "predicts")),
    Fault("dead filters", dead_filters, ("no_dead_filters",), same_function=True),
    Fault("duplicated filters", duplicated_filters, ("no_duplicate_filters", "filters_distinct"), same_function=True),
    Fault("filters that are never silent", filters_never_silent, ("sparsity_rises",), same_function=True),
    Fault("pruned filters", pruned_filters, ("filters_respond",), same_function=True),
    Fault("exploding activations", exploding_activations, ("finite",), same_function=True),
    Fault("constant classifier", constant_classifier, ("mass_inside", "predicts")),
    Fault("swapped labels", swapped_labels, ("mass_inside", "predicts")),
    Fault("wrong preprocessing", wrong_preprocessing, ("mass_inside", "predicts")),
    Fault("head beside the last convolution", head_beside_the_last_convolution, ("mass_inside",), same_function=True),
    Fault(
        "logits with a common part",
        logits_with_a_common_part,
        ("class_discriminative", "grid_pointing"),
        same_function=True,
    ),
    Fault(
        "shifted features",
        shifted_features,
        ("mass_inside", "points_at", "iou", "faithful", "follows"),
        same_function=True,
    ),
    Fault(
        "pixels in the last convolution",
        pixels_in_the_last_convolution,
        ("stable", "responds_to_weights"),
        same_function=True,
    ),
)
