"""Grad-CAM against what people use today, on the same Xception, with the same maps."""

from __future__ import annotations

import argparse
import sys
import types
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np
from models import noise, random_model
from timing import Row, interleaved, not_installed, ratio

from pytest_cnnaudit import Engine

BATCH = 8
LAYER = "block14_sepconv2_act"
SAME = 1e-3
"""Of a map's maximum."""


def measure_peers(options: argparse.Namespace) -> list[Row]:
    """Xception that ends in its logits, as the peers want it, 8 pictures: each peer against the engine."""
    peers = {"tensorflow": (textbook, tf_keras_vis), "torch": (captum, pytorch_grad_cam)}
    model = random_model("Xception", classifier_activation=None)
    batch = noise(BATCH, 299, 299)
    engine = Engine(model, batch_size=BATCH)
    ours = engine.heatmaps(batch)
    rows: list[Row] = []
    rivals: dict[str, Callable[[], Any]] = {}
    limits: dict[str, float] = {}
    for make in peers.get(keras.backend.backend(), ()):
        name, package, limit = PEERS[make.__name__]
        if package is not None and find_spec(package) is None:
            rows.append(not_installed(f"{name} / Grad-CAM", package))
            continue
        run, expected = make(model, batch, ours)
        assert_same_maps(name, expected, run())
        rivals[name], limits[name] = run, limit
    if rivals:
        seconds = interleaved({"ours": lambda: engine.heatmaps(batch), **rivals}, options.peer_rounds, options.clock)
        rows += [
            ratio(f"{name} / Grad-CAM", seconds[name], seconds["ours"], "at least", limits[name]) for name in rivals
        ]
    return rows


PEERS: dict[str, tuple[str, str | None, float]] = {
    "textbook": ("textbook loop", None, 3.0),
    "tf_keras_vis": ("tf-keras-vis", "tf_keras_vis", 2.0),
    "captum": ("captum LayerGradCam", "captum", 1.4),
    "pytorch_grad_cam": ("pytorch-grad-cam", "pytorch_grad_cam", 1.4),
}
"""Name, package and how many times faster the engine shall be."""


def assert_same_maps(name: str, ours: Any, theirs: Any) -> None:
    """Where the formula is the same, so are the maps."""
    theirs = np.asarray(theirs)
    difference = float(np.abs(ours - theirs).max() / np.abs(ours).max())
    if ours.shape != theirs.shape or not difference <= SAME:
        raise AssertionError(f"{name} gives other maps: {theirs.shape}, off by {difference:.2g} of the maximum")


# Each gives a call NumPy to NumPy, and the engine's maps on that peer's scale


def textbook(model: Any, batch: Any, ours: Any) -> tuple[Callable[[], Any], Any]:
    """One eager picture at a time through a two-output model, as tutorials do it."""
    import tensorflow as tf

    both = keras.Model(model.input, [model.get_layer(LAYER).output, model.output])

    def one(picture: Any) -> Any:
        with tf.GradientTape() as tape:
            activations, predictions = both(picture[None])
            score = predictions[:, int(tf.argmax(predictions[0]))]
        gradients = tape.gradient(score, activations)
        weights = tf.reduce_mean(gradients, axis=(0, 1, 2))
        return tf.nn.relu(tf.reduce_sum(activations[0] * weights, axis=-1)).numpy()

    return lambda: np.stack([one(picture) for picture in batch]), ours.maps


def tf_keras_vis(model: Any, batch: Any, ours: Any) -> tuple[Callable[[], Any], Any]:
    """At its quickest: the whole batch at once, the classes known, maps on the layer's grid, nothing resized."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.scores import CategoricalScore

    gradcam, score = Gradcam(model, clone=False), CategoricalScore(ours.targets.tolist())
    as_is = {"seek_penultimate_conv_layer": False, "expand_cam": False, "normalize_cam": False}
    return lambda: np.asarray(gradcam(score, batch, penultimate_layer=LAYER, **as_is)), ours.maps


def captum(model: Any, batch: Any, ours: Any) -> tuple[Callable[[], Any], Any]:
    """On the layer's grid, the classes known."""
    import torch
    from captum.attr import LayerGradCam

    module = channels_first_module(model)
    gradcam, targets = LayerGradCam(module, module.layer), ours.targets.tolist()

    def run() -> Any:
        maps = gradcam.attribute(torch.from_numpy(batch), target=targets, relu_attributions=True)
        return maps[:, 0].detach().numpy()

    return run, ours.maps


def pytorch_grad_cam(model: Any, batch: Any, ours: Any) -> tuple[Callable[[], Any], Any]:
    """Its maps are always resized to the picture and scaled from 0 to 1; so are ours, to be held against them."""
    import torch

    without_torchvision()
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import scale_cam_image
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    module = channels_first_module(model, channels_first_input=True)
    gradcam = GradCAM(model=module, target_layers=[module.layer])
    targets = [ClassifierOutputTarget(int(target)) for target in ours.targets]
    pictures = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))
    size = batch.shape[1:3]
    return lambda: gradcam(input_tensor=pictures, targets=targets), scale_cam_image(scale_cam_image(ours.maps, size))


def channels_first_module(model: Any, *, channels_first_input: bool = False) -> Any:
    """The Keras model as a PyTorch module whose `layer` gives `LAYER`'s output as `(N, K, h, w)`.

    Both libraries take the channels for the second axis. The trunk and the head are the model's own layers, and
    changing the order of the axes is a view, which costs nothing.
    """
    import torch

    trunk = keras.Model(model.input, model.get_layer(LAYER).output)
    head = keras.Model(model.get_layer(LAYER).output, model.output)

    class ChannelsFirst(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.head, self.layer = trunk, head, torch.nn.Identity()

        def forward(self, x: Any) -> Any:
            x = x.permute(0, 2, 3, 1) if channels_first_input else x
            activations = self.layer(self.trunk(x, training=False).permute(0, 3, 1, 2))
            return self.head(activations.permute(0, 2, 3, 1), training=False)

    return ChannelsFirst()


def without_torchvision() -> None:
    """Where torchvision is missing, stands in for what pytorch-grad-cam imports of it and Grad-CAM never calls."""
    if find_spec("torchvision") is None:
        names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
        modules = {name: types.ModuleType(name) for name in names}
        for name in ("Compose", "Normalize", "ToTensor"):
            setattr(modules["torchvision.transforms"], name, None)
        modules["torchvision.transforms.functional"].resize = None  # type: ignore[attr-defined]
        sys.modules.update(modules)
