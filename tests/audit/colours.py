"""Pictures, and networks whose Grad-CAM maps are the pictures' colour channels.

`colour_model` is a 1 × 1 identity convolution, global average pooling and a dense head with the matrix
`kernel` (channels × classes). Its Grad-CAM map for class c is Σ_k kernel[k, c] / 16 · channel k, so with the
identity as kernel the map for "red" is the red channel, up to a factor no measure sees.
"""

import keras
import numpy as np
import pytest
from keras import layers

from pytest_cnnaudit import AuditFailure, Box, Case
from pytest_cnnaudit.findings import to_json

CLASSES = ("red", "green", "blue")
LEFT_HALF = Box(0, 0, 2, 4)
QUARTER = Box(0, 0, 2, 2)


def colour_model(kernel=None, width=4):
    image = keras.Input((4, width, 3))
    convolution = layers.Conv2D(3, 1, use_bias=False, activation="relu", name="colour")
    head = layers.Dense(3, use_bias=False, name="head")
    model = keras.Model(image, head(layers.GlobalAveragePooling2D(name="pool")(convolution(image))), name="colours")
    convolution.set_weights([np.eye(3, dtype=np.float32)[None, None]])
    head.set_weights([np.asarray(np.eye(3) if kernel is None else kernel, np.float32)])
    return model


def picture(red=0, green=0, blue=0, height=4, width=4):
    """A uint8 picture from its channels, each a number or an array."""
    channels = [np.broadcast_to(np.asarray(channel, np.uint8), (height, width)) for channel in (red, green, blue)]
    return np.stack(channels, axis=-1)


def halves(left, right):
    """A channel with one value in the left half and another in the right one: mass left = left / (left + right)."""
    return np.repeat([[left, left, right, right]], 4, axis=0)


def quarter(inside, outside):
    """A channel with one value in the upper left quarter, another elsewhere: mass = inside / (inside + 3 outside)."""
    channel = np.full((4, 4), outside)
    channel[:2, :2] = inside
    return channel


def half_case(mass, id=None, **about):  # noqa: A002 - the name of Case's own argument
    """A red picture with `mass` percent of its red in the left half, which is its region; chance is 0.5."""
    about = {"label": "red", "region": LEFT_HALF, **about}
    return Case(picture(red=halves(mass, 100 - mass)), id=id, **about)


def quarter_case(inside, outside, id=None, **about):  # noqa: A002
    """A red picture whose region is the upper left quarter; chance is 0.25."""
    about = {"label": "red", "region": QUARTER, **about}
    return Case(picture(red=quarter(inside, outside)), id=id, **about)


def blank_case(id=None, **about):  # noqa: A002
    """A picture without any red that is labelled red: the map for its label is empty."""
    about = {"label": "red", "region": LEFT_HALF, "forbidden": Box(2, 0, 4, 4), **about}
    return Case(picture(green=100), id=id, **about)


def refused(assertion, *args, **kwargs):
    """The finding of an assertion that must not pass."""
    with pytest.raises(AuditFailure) as caught:
        assertion(*args, **kwargs)
    finding = caught.value.finding
    assert str(caught.value) == finding.message
    return finding


def judged(assertion, *args, **kwargs):
    """The finding of an assertion, whether it passed or not."""
    try:
        return assertion(*args, **kwargs)
    except AuditFailure as failure:
        return failure.finding


def evidence_of(finding):
    """A finding's evidence as the page gets it."""
    return to_json(finding.evidence)


def message_of(error, assertion, *args, **kwargs):
    """The text of the error that an assertion must raise, of exactly this type."""
    with pytest.raises(error) as caught:
        assertion(*args, **kwargs)
    assert type(caught.value) is error
    return str(caught.value)
