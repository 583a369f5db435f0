"""A model of plain NumPy functions behind the protocol: whether an RGB image of 2 × 2 pixels is more red or green.

`color` (1 × 1 convolution: red − green, green − red, in units of 255) → `relu` → `mean` over the positions → `logits`
(2 r − g and 2 g − r + ½ for the means r and g).
"""

import hashlib

import numpy as np

from pytest_cnnaudit.engine.inputs import Inputs, ModelInput
from pytest_cnnaudit.engine.layers import Layer
from pytest_cnnaudit.engine.passes import INPUT, Computed
from pytest_cnnaudit.engine.ranges import Expectation

KERNEL = np.array([[1, -1], [-1, 1], [0, 0]], np.float32) / 255
WEIGHTS = np.array([[2, -1], [-1, 2]], np.float32)
BIAS = np.array([0, 0.5], np.float32)


class Toy:
    name = "toy"
    inputs = Inputs((ModelInput("image", (2, 2, 3), "float32"),))
    layers = (
        Layer("color", "Conv2D", (None, 2, 2, 2), is_spatial=True),
        Layer("relu", "ReLU", (None, 2, 2, 2), is_spatial=True, is_relu_like=True),
        Layer("mean", "GlobalAveragePooling2D", (None, 2), is_spatial=False),
        Layer("logits", "Dense", (None, 2), is_spatial=False),
    )
    default_layer = "relu"
    outputs = 2
    activation = "softmax"
    expects = Expectation("0 to 255")

    def compute(self, wanted, arrays, targets=None):
        (images,) = arrays
        color = images @ KERNEL
        relu = np.maximum(color, 0)
        mean = relu.mean(axis=(1, 2))
        logits = mean @ WEIGHTS + BIAS
        values = {"color": color, "relu": relu, "mean": mean, "logits": logits}
        gradients = {}
        if wanted.gradients:
            gradients = backwards(color, logits, targets, wanted.score)
        return Computed(
            logits=logits if wanted.logits else None,
            layers={path: values[path] for path in (*wanted.layers, *wanted.gradients) if path != INPUT},
            gradients={path: gradients[path] for path in wanted.gradients},
            reductions={path: reductions(values[path]) for path in wanted.reductions},
            finite={path: np.isfinite(values[path]).reshape(len(images), -1).all(axis=1) for path in wanted.finite},
        )

    def identity(self):
        weights = b"".join(array.tobytes() for array in (KERNEL, WEIGHTS, BIAS))
        return {"weights_sha256": hashlib.sha256(weights).hexdigest(), "architecture_sha256": None, "parameters": 12}


def backwards(color, logits, targets, score):
    """Gradients of the target's score at each layer and at the image, by hand."""
    rows = np.arange(len(logits))
    classes = np.where(targets < 0, logits.argmax(axis=1), targets)
    chosen = np.zeros_like(logits)
    chosen[rows, classes] = 1
    if score == "probability":
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        chosen = probabilities[rows, classes, None] * (chosen - probabilities)
    mean = chosen @ WEIGHTS.T
    height, width = color.shape[1:3]
    relu = np.broadcast_to(mean[:, None, None] / (height * width), color.shape)
    before = relu * (color > 0)
    return {"logits": chosen, "mean": mean, "relu": relu, "color": before, INPUT: before @ KERNEL.T}


def reductions(values):
    flat = values.reshape(len(values), -1, values.shape[-1])
    found = [
        (flat == 0).sum(axis=1),
        flat.sum(axis=1),
        np.sqrt((flat**2).sum(axis=1)),
        np.abs(flat).sum(axis=1),
        flat.min(axis=1),
        flat.max(axis=1),
    ]
    return np.stack(found).astype(np.float32), flat.shape[1]
