"""A tiny model whose heatmaps are known exactly.

The model tells a red square from a green one: its heatmap lies on the square of the class's colour and nowhere
else. Its three convolutions get sparser with depth, and a red and a green picture together leave no channel dead.
"""

import warnings

import pytest


@pytest.fixture(scope="session")
def kit(kit, backend):
    """With the model."""
    with warnings.catch_warnings():
        # Keras' own conversion of a tensor uses what NumPy 2 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        build_model().save(kit.model)
    # pytester forgets what a run in this process imported, and TensorFlow and JAX can't be imported twice.
    import pytest_cnnaudit.engine.cache
    import pytest_cnnaudit.engine.models.keras.loading
    import pytest_cnnaudit.engine.models.keras.model  # noqa: F401

    return kit


def build_model():
    import keras
    import numpy as np

    picture = keras.Input((32, 32, 3), name="picture")
    # Redness, greenness, and a brightness that is positive everywhere.
    colours = keras.layers.Conv2D(3, 1, activation="relu", name="colours")
    # The same on cells of 2 × 2 pixels; the brightness is zero on black.
    cells = keras.layers.Conv2D(3, 2, strides=2, activation="relu", name="cells")
    # The brightness fires only where all cells around are bright.
    inner = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="inner")
    head = keras.layers.Dense(3, activation="softmax", name="head")
    x = inner(cells(colours(picture)))
    model = keras.Model(picture, head(keras.layers.GlobalAveragePooling2D(name="pool")(x)), name="candidate")

    kernel = np.array([[1, -1, 1], [-1, 1, 1], [0, 0, 1]], np.float32) / 255
    colours.set_weights([kernel[None, None], np.array([0, 0, 0.1], np.float32)])
    cells.set_weights([np.tile(np.eye(3, dtype=np.float32) / 4, (2, 2, 1, 1)), np.array([0, 0, -0.2], np.float32)])
    inner_kernel = np.zeros((3, 3, 3, 3), np.float32)
    inner_kernel[1, 1, 0, 0] = inner_kernel[1, 1, 1, 1] = 1
    inner_kernel[:, :, 2, 2] = 1
    inner.set_weights([inner_kernel, np.array([0, 0, -7], np.float32)])
    head.set_weights([np.array([[40, -40, 0], [-40, 40, 0], [0, 0, 0]], np.float32), np.array([0, 0, 1], np.float32)])
    return model
