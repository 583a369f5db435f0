"""What one backend computes on models that all build alike: `python agreement.py RESULTS.npz`."""

import sys
from functools import partial
from pathlib import Path

import keras
import networks
import numpy as np

from pytest_cnnaudit import Engine
from pytest_cnnaudit.engine import methods
from pytest_cnnaudit.engine.methods import METHODS

FIXTURE = Path(__file__).parents[2] / "fixtures" / "honest.keras"
ARCHITECTURES = {"MobileNetV2": (-1, 1)}
SIDE = 96
QUICK = {
    "rise": partial(methods.rise, masks=24),
    "smoothgrad": partial(methods.smoothgrad, samples=4),
    "integrated-gradients": partial(methods.integrated_gradients, steps=6),
}
"""Methods of many passes, with few: agreement needs no more."""

NOT_OF_DEEP_NETWORKS = {"score-cam", "occlusion", "rise", "ablation-cam", "smoothgrad", "integrated-gradients"}
"""A forward pass for each channel takes minutes for a wide layer, and batches of other sizes are compilations of
minutes for the arithmetic of `saliency`. Deep networks with random weights hardly tell one picture from another: what
a patch changes there is rounding."""


def models():
    """Name, model and its input."""
    for name in ("nested", "flat", "subclassed", "regularized", "squeeze_and_excite"):
        yield name, networks.build(name), networks.pictures(5)
    for name, (low, high) in ARCHITECTURES.items():
        model = getattr(keras.applications, name)(weights=None, input_shape=(SIDE, SIDE, 3), classes=7)
        yield name, networks.assign_weights(model), networks.pictures(2, SIDE, SIDE, low=low, high=high)
    if FIXTURE.exists():
        model = keras.saving.load_model(FIXTURE, compile=False)
        height, width, channels = model.input_shape[1:]
        yield "fixture", model, networks.pictures(3, height, width, channels, low=0, high=255)


def results(name, model, images):
    """Maps, scores and statistics by name; each array's first axis is pictures or channels."""
    engine = Engine(model)
    for method in METHODS:
        if name in ARCHITECTURES and method in NOT_OF_DEEP_NETWORKS:
            continue
        function = QUICK.get(method, method)
        yield f"{METHODS[method].kind} {method} map", engine.heatmaps(images, target=1, method=function).signed
    for score in ("logit", "probability"):
        heatmaps = engine.heatmaps(images, target=1, score=score)
        yield f"{score} map", heatmaps.signed
        yield f"{score} score", heatmaps.scores
    yield "logits", engine.predict(images).logits
    yield "probabilities", engine.predict(images).probabilities
    stats = engine.activation_stats(images, engine.default_layer)
    (one,) = stats.values()
    for name in ("mean", "min", "max", "zero_fraction", "sparsity_per_image", "hoyer_per_image"):
        yield f"channels' {name}", getattr(one, name)
    # Where random weights leave a mean far above its deviation, float32 can't tell the deviation to 1e-4.
    yield "channels' root mean square", np.hypot(one.mean, one.std)


def patterns():
    """A few steps of an ascent: many would magnify what float32 rounds."""
    engine = Engine(networks.separable())
    for normalize, steps in (("global", 5), ("pixel", 1)):
        for parametrization in ("pixels", "fourier"):
            found = engine.filter_patterns(
                "sepconv3",
                range(4),
                steps=steps,
                size=(48, 40),
                normalize=normalize,
                parametrization=parametrization,
                jitter=2,
                total_variation=0.1,
                l2=0.1,
            )
            yield f"{normalize} {parametrization} pictures", found.images
            yield f"{normalize} {parametrization} losses", found.losses


if __name__ == "__main__":
    arrays = {
        f"{name}: {what}": array for name, model, images in models() for what, array in results(name, model, images)
    }
    np.savez(sys.argv[1], **arrays, **{f"patterns: {what}": array for what, array in patterns()})
