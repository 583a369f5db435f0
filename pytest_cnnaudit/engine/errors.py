"""What is raised for a model that can't be explained, or that computes no numbers.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations


class ModelError(ValueError):
    """A model that can't be loaded or can't be explained; the message says which and what to do."""


class NonFiniteError(ValueError):
    """NaN or infinity in the model or from it: no measure of it means anything.

    `layer` is the path of the layer with such a weight; None where they were found otherwise.
    """

    def __init__(self, message: str, layer: str | None = None) -> None:
        super().__init__(message)
        self.layer = layer
